//! `parse_query`: a query's tree as JSON, in the shape that Prometheus' own pages draw.
//!
//! Source of the shape: `web/api/v1/translate_ast.go` of prometheus/prometheus. What the language lacks here
//! (`anchored`, `smoothed`, aligned subqueries) is `false`; a plus sign before an expression is not part of
//! the tree.

use axum::response::Response;
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Call, Expr, LabelModifier, Offset, SubqueryExpr,
    VectorMatchCardinality, VectorSelector, value::ValueType,
};
use serde_json::{Value, json};

use super::{
    super::{parse, selector, walk::selectors},
    parameters::Parameters,
    queries::of_query,
    reply::{Reply, answer},
};
use crate::series::NAME;

pub async fn parsed(parameters: Parameters) -> Response {
    let work = async {
        let expr = parse(parameters.wanted("query")?).map_err(of_query)?;
        // What the parser takes and PromQL doesn't has no place in the tree.
        for chosen in selectors(&expr) {
            selector::matchers(chosen).map_err(of_query)?;
        }
        Ok(Reply::of(tree(&expr).to_string()))
    };
    answer(work.await)
}

fn tree(expr: &Expr) -> Value {
    match expr {
        Expr::Aggregate(aggregate) => of_aggregate(aggregate),
        Expr::Binary(binary) => of_binary(binary),
        Expr::Call(call) => of_call(call),
        Expr::Subquery(subquery) => of_subquery(subquery),
        Expr::VectorSelector(selector) => of_selector("vectorSelector", selector),
        Expr::MatrixSelector(matrix) => {
            let told = of_selector("matrixSelector", &matrix.vs);
            with(told, "range", millis(matrix.range).into())
        }
        Expr::NumberLiteral(number) => json!({"type": "numberLiteral", "val": spelt(number.val)}),
        Expr::StringLiteral(text) => json!({"type": "stringLiteral", "val": text.val}),
        Expr::Paren(inner) => with(json!({"type": "parenExpr"}), "expr", tree(&inner.expr)),
        Expr::Unary(inner) => with(json!({"type": "unaryExpr", "op": "-"}), "expr", tree(&inner.expr)),
        // The parser makes none.
        Expr::Extension(_) => Value::Null,
    }
}

/// Puts a part in as it is: `json!` would copy it, and what is below it once more at each level.
fn with(mut told: Value, field: &str, part: Value) -> Value {
    told[field] = part;
    told
}

fn of_aggregate(aggregate: &AggregateExpr) -> Value {
    let modifier = aggregate.modifier.as_ref();
    let grouping = modifier.map_or(&[][..], |modifier| modifier.labels().labels.as_slice());
    let is_without = matches!(modifier, Some(LabelModifier::Exclude(_)));
    let told = json!({
        "type": "aggregation", "op": aggregate.op.to_string(), "grouping": grouping, "without": is_without,
    });
    let param = aggregate.param.as_ref().map_or(Value::Null, |param| tree(param));
    with(with(told, "param", param), "expr", tree(&aggregate.expr))
}

fn of_binary(binary: &BinaryExpr) -> Value {
    let told = json!({
        "type": "binaryExpr", "op": binary.op.to_string(), "bool": binary.return_bool(),
        "matching": matching(binary),
    });
    with(with(told, "lhs", tree(&binary.lhs)), "rhs", tree(&binary.rhs))
}

/// How series of both sides find each other; nothing where one side is no vector.
fn matching(binary: &BinaryExpr) -> Value {
    let are_vectors = [&binary.lhs, &binary.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
    if !are_vectors {
        return Value::Null;
    }
    let modifier = binary.modifier.clone().unwrap_or_default();
    let card = match &modifier.card {
        VectorMatchCardinality::OneToOne => "one-to-one",
        VectorMatchCardinality::ManyToOne(_) => "many-to-one",
        VectorMatchCardinality::OneToMany(_) => "one-to-many",
        VectorMatchCardinality::ManyToMany => "many-to-many",
    };
    let include = modifier.card.labels().map_or(&[][..], |labels| labels.labels.as_slice());
    let matching = modifier.matching.as_ref();
    let labels = matching.map_or(&[][..], |matching| matching.labels().labels.as_slice());
    json!({
        "card": card, "labels": labels, "on": modifier.is_matching_on(), "include": include,
        "fillValues": {"lhs": modifier.fill_values.lhs, "rhs": modifier.fill_values.rhs},
    })
}

fn of_call(call: &Call) -> Value {
    let function = &call.func;
    let arguments: Vec<_> = function.arg_types.iter().map(ToString::to_string).collect();
    let told = json!({
        "type": "call",
        "func": {
            "name": function.name, "argTypes": arguments, "variadic": function.variadic,
            "returnType": function.return_type.to_string(),
        },
    });
    with(told, "args", call.args.args.iter().map(|argument| tree(argument)).collect())
}

fn of_subquery(subquery: &SubqueryExpr) -> Value {
    let told = json!({
        "type": "subquery", "range": millis(subquery.range), "offset": offset(subquery.offset.as_ref()),
        "step": subquery.step.map_or(0, millis), "timestamp": timestamp(subquery.at.as_ref()),
        "startOrEnd": start_or_end(subquery.at.as_ref()), "alignEvalTime": false,
    });
    with(told, "expr", tree(&subquery.expr))
}

fn of_selector(kind: &str, selector: &VectorSelector) -> Value {
    let mut matchers: Vec<_> = (selector.matchers.matchers.iter())
        .map(|one| json!({"name": one.name, "value": one.value, "type": one.op.to_string()}))
        .collect();
    // As in Prometheus, the name before the braces is the last of them.
    matchers.extend(selector.name.iter().map(|name| json!({"name": NAME, "value": name, "type": "="})));
    json!({
        "type": kind, "name": selector.name.as_deref().unwrap_or_default(), "matchers": matchers,
        "offset": offset(selector.offset.as_ref()), "timestamp": timestamp(selector.at.as_ref()),
        "startOrEnd": start_or_end(selector.at.as_ref()), "anchored": false, "smoothed": false,
    })
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn offset(offset: Option<&Offset>) -> i64 {
    match offset {
        None => 0,
        Some(Offset::Pos(by)) => millis(*by),
        Some(Offset::Neg(by)) => -millis(*by),
    }
}

/// The moment that `@` names, milliseconds since the Unix epoch.
fn timestamp(at: Option<&AtModifier>) -> Option<i64> {
    let Some(AtModifier::At(time)) = at else { return None };
    Some(match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    })
}

fn start_or_end(at: Option<&AtModifier>) -> Option<&'static str> {
    match at {
        Some(AtModifier::Start) => Some("start"),
        Some(AtModifier::End) => Some("end"),
        Some(AtModifier::At(_)) | None => None,
    }
}

/// A number as Go writes it without an exponent.
fn spelt(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    number.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Value {
        tree(&parse(query).expect(query))
    }

    fn vector(name: &str, mut matchers: Vec<Value>) -> Value {
        matchers.push(json!({"name": "__name__", "value": name, "type": "="}));
        json!({
            "type": "vectorSelector", "name": name, "matchers": matchers, "offset": 0, "timestamp": null,
            "startOrEnd": null, "anchored": false, "smoothed": false,
        })
    }

    fn number(text: &str) -> Value {
        json!({"type": "numberLiteral", "val": text})
    }

    #[test]
    fn a_tree_has_the_fields_of_prometheus() {
        let matcher = |name: &str, value: &str, op: &str| json!({"name": name, "value": value, "type": op});
        let two = vec![matcher("a", "x", "="), matcher("b", "y.*", "!~")];
        assert_eq!(of(r#"up{a="x", b!~"y.*"}"#), vector("up", two.clone()));
        let mut unnamed = vector("", two.clone());
        unnamed["matchers"] = json!(two);
        assert_eq!(of(r#"{a="x", b!~"y.*"}"#), unnamed);
        let mut moved = vector("up", vec![]);
        (moved["offset"], moved["timestamp"]) = (json!(-90_000), json!(1500));
        assert_eq!(of("up @ 1.5 offset -1m30s"), moved);
        let mut matrix = vector("up", vec![]);
        (matrix["type"], matrix["range"]) = (json!("matrixSelector"), json!(300_000));
        matrix["startOrEnd"] = json!("end");
        let rate = json!({
            "type": "call",
            "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
            "args": [matrix],
        });
        assert_eq!(of("rate(up[5m] @ end())"), rate);
        assert_eq!(
            of("quantile without (a, b) (0.5, up)"),
            json!({"type": "aggregation", "op": "quantile", "expr": vector("up", vec![]),
                "param": number("0.5"), "grouping": ["a", "b"], "without": true})
        );
        assert_eq!(
            of("sum(up)"),
            json!({"type": "aggregation", "op": "sum", "expr": vector("up", vec![]), "param": null,
                "grouping": [], "without": false})
        );
        let paren = json!({"type": "parenExpr", "expr": vector("up", vec![])});
        assert_eq!(
            of("(up)[1h:30s] offset 5m"),
            json!({"type": "subquery", "expr": paren, "range": 3_600_000, "offset": 300_000, "step": 30_000,
                "timestamp": null, "startOrEnd": null, "alignEvalTime": false})
        );
        assert_eq!(of("-up"), json!({"type": "unaryExpr", "op": "-", "expr": vector("up", vec![])}));
        assert_eq!(of("\"text\""), json!({"type": "stringLiteral", "val": "text"}));
        for (query, val) in
            [("1e3", "1000"), ("-0.25", "-0.25"), ("Inf", "+Inf"), ("-Inf", "-Inf"), ("NaN", "NaN")]
        {
            assert_eq!(of(query), number(val), "{query}");
        }
    }

    #[test]
    fn operators_say_how_series_match() {
        let matching = |query: &str| {
            let told = of(query);
            assert_eq!(told["type"], "binaryExpr", "{query}");
            told["matching"].clone()
        };
        let of_two = |card: &str, labels: Value, on: bool, include: Value| {
            json!({"card": card, "labels": labels, "on": on, "include": include,
                "fillValues": {"lhs": null, "rhs": null}})
        };
        for (query, expected) in [
            ("a + b", of_two("one-to-one", json!([]), false, json!([]))),
            ("a + on (x) b", of_two("one-to-one", json!(["x"]), true, json!([]))),
            ("a or b", of_two("many-to-many", json!([]), false, json!([]))),
            (
                "a * ignoring (x, y) group_left (z) b",
                of_two("many-to-one", json!(["x", "y"]), false, json!(["z"])),
            ),
            ("a * on (x) group_right () b", of_two("one-to-many", json!(["x"]), true, json!([]))),
            // Numbers don't match.
            ("a + 1", Value::Null),
            ("1 + 2", Value::Null),
            ("sum(a) > bool scalar(b)", Value::Null),
        ] {
            assert_eq!(matching(query), expected, "{query}");
        }
        let told = of("a > bool 1");
        assert_eq!(
            told,
            json!({"type": "binaryExpr", "op": ">", "bool": true, "matching": null,
                "lhs": vector("a", vec![]), "rhs": number("1")})
        );
    }
}
