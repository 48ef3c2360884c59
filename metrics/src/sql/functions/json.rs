//! JSON in texts: `object->'spec'->>'replicas'`, `object#>>'{spec,replicas}'`.
//!
//! `->` gives JSON, `->>` and `#>>` give text; what isn't there is null, and so is what is
//! asked of a text that is no JSON. A chain of operators reads the text once; where rows that follow
//! each other have the same text, as those of a series have its labels, it is read once for all of them.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, StringArray, StringBuilder},
        compute::cast,
        datatypes::DataType,
    },
    common::{DFSchema, DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, DocSection, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility,
        expr::ScalarFunction,
        planner::{ExprPlanner, PlannerResult, RawBinaryExpr},
    },
    sql::sqlparser::ast::BinaryOperator,
};
use serde_json::Value;

/// The operators, for the planner.
#[derive(Debug)]
pub struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, raw: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (as_text, path) = match raw.op {
            BinaryOperator::Arrow => (false, vec![raw.right]),
            BinaryOperator::LongArrow => (true, vec![raw.right]),
            BinaryOperator::HashArrow => (false, path(&raw.right)?),
            BinaryOperator::HashLongArrow => (true, path(&raw.right)?),
            _ => return Ok(PlannerResult::Original(raw)),
        };
        // A chain is one function with all its steps.
        let mut arguments = match raw.left {
            Expr::ScalarFunction(inner) if inner.func.name() == GET => inner.args,
            left => vec![left],
        };
        arguments.extend(path);
        let function = Arc::new(ScalarUDF::from(JsonGet::new(as_text)));
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments))))
    }
}

/// The steps of `'{spec,containers,0}'`.
fn path(right: &Expr) -> Result<Vec<Expr>> {
    let text = match right {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    };
    let inner = text.and_then(|text| text.trim().strip_prefix('{')?.strip_suffix('}'));
    let wrong = || DataFusionError::Plan("a path is written as '{spec,containers,0}'".to_owned());
    let steps = inner.ok_or_else(wrong)?.split(',').map(|step| step.trim().trim_matches('"'));
    Ok(steps
        .filter(|step| !step.is_empty())
        .map(|step| Expr::Literal(ScalarValue::Utf8(Some(step.to_owned())), None))
        .collect())
}

const GET: &str = "json_get";
pub const GET_TEXT: &str = "json_get_text";

/// `json_get(json, step...)` and `json_get_text(json, step...)`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JsonGet {
    as_text: bool,
    signature: Signature,
    documentation: Documentation,
}

/// Both functions.
pub fn all() -> [JsonGet; 2] {
    [JsonGet::new(false), JsonGet::new(true)]
}

impl JsonGet {
    pub fn new(as_text: bool) -> Self {
        let (name, operator, gives) = if as_text { (GET_TEXT, "->>", "a text") } else { (GET, "->", "JSON") };
        Self {
            as_text,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: Documentation::builder(
                DocSection::default(),
                format!("What JSON has at a path, as {gives}; the same as {operator}"),
                format!("{name}(json, step, ...)"),
            )
            .with_argument("json", "a text with JSON in it")
            .with_argument("step", "a key, or the number of an element from 0; -1 is the last")
            .build(),
        }
    }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        if self.as_text { GET_TEXT } else { GET }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if arguments.is_empty() {
            return Err(DataFusionError::Plan(format!("{} takes JSON and steps", self.name())));
        }
        let step = |kind: &DataType| if kind.is_integer() { DataType::Int64 } else { DataType::Utf8 };
        Ok(std::iter::once(DataType::Utf8).chain(arguments[1..].iter().map(step)).collect())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = |argument: &ColumnarValue| matches!(argument, ColumnarValue::Scalar(_));
        let is_scalar = args.args.iter().all(is_one);
        // What is the same in each row stands there once.
        let columns = args.args.iter().map(|argument| Ok(cast(&argument.to_array(1)?, &DataType::Utf8)?));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let texts = columns.iter().zip(&args.args).filter_map(|(column, argument)| {
            column.as_string_opt().map(|texts| Texts { texts, is_one: is_one(argument) })
        });
        let texts: Vec<Texts<'_>> = texts.collect();
        let Some((json, steps)) = texts.split_first() else {
            return Err(DataFusionError::Internal("texts are coerced before".to_owned()));
        };
        let rows = if is_scalar { 1 } else { args.number_rows };
        let found = found(json, steps, rows, self.as_text, |text| serde_json::from_str(text).ok());
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// A column of texts, or one for all rows.
struct Texts<'a> {
    texts: &'a StringArray,
    is_one: bool,
}

impl<'a> Texts<'a> {
    fn at(&self, row: usize) -> Option<&'a str> {
        let (texts, row) = (self.texts, if self.is_one { 0 } else { row });
        texts.is_valid(row).then(|| texts.value(row))
    }
}

/// What is found of each row. A text that follows itself is not read again.
fn found(
    json: &Texts<'_>,
    steps: &[Texts<'_>],
    rows: usize,
    as_text: bool,
    mut read: impl FnMut(&str) -> Option<Value>,
) -> StringArray {
    let is_one_path = steps.iter().all(|step| step.is_one);
    let mut column = StringBuilder::new();
    let (mut known, mut whole, mut there): (Option<&str>, Option<Value>, Option<String>) = (None, None, None);
    for row in 0..rows {
        let Some(text) = json.at(row) else {
            column.append_null();
            continue;
        };
        let is_new = known != Some(text);
        if is_new {
            (known, whole) = (Some(text), read(text));
        }
        if is_new || !is_one_path {
            let path: Option<Vec<&str>> = steps.iter().map(|step| step.at(row)).collect();
            there = whole.as_ref().zip(path).and_then(|(whole, path)| get(whole, &path, as_text));
        }
        column.append_option(there.as_deref());
    }
    column.finish()
}

fn get(whole: &Value, path: &[&str], as_text: bool) -> Option<String> {
    let mut at = whole;
    for step in path {
        at = match at {
            Value::Object(fields) => fields.get(*step)?,
            Value::Array(elements) => {
                let number: i64 = step.parse().ok()?;
                let length = i64::try_from(elements.len()).ok()?;
                elements.get(usize::try_from(if number < 0 { number + length } else { number }).ok()?)?
            }
            _ => return None,
        };
    }
    match at {
        Value::Null if as_text => None,
        Value::String(text) if as_text => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        serde_json::from_str(text).ok()
    }

    #[test]
    fn paths_lead_to_values() {
        let json = r#"{"a": {"b": [1, "x", null]}, "a.b": true, "t": "say \"hi\""}"#;
        let json = read(json).expect("JSON");
        let table: [(&[&str], bool, Option<&str>); 9] = [
            (&["a", "b", "0"], true, Some("1")),
            (&["a", "b", "1"], true, Some("x")),
            (&["a", "b", "1"], false, Some("\"x\"")),
            (&["a", "b", "-1"], false, Some("null")),
            (&["a", "b", "-1"], true, None),
            (&["a.b"], true, Some("true")),
            (&["t"], true, Some("say \"hi\"")),
            (&["a", "none"], false, None),
            (&["t", "x"], true, None),
        ];
        for (path, as_text, expected) in table {
            assert_eq!(get(&json, path, as_text).as_deref(), expected, "{path:?}");
        }
    }

    /// What a batch of these texts has at a step, and how many texts were read.
    fn at_a_step(texts: &[Option<&str>], step: &str) -> (Vec<Option<String>>, usize) {
        let texts: StringArray = texts.iter().copied().collect();
        let step = StringArray::from(vec![step]);
        let (json, step) = (Texts { texts: &texts, is_one: false }, Texts { texts: &step, is_one: true });
        let mut count = 0;
        let found = found(&json, &[step], texts.len(), true, |text| {
            count += 1;
            read(text)
        });
        (found.iter().map(|text| text.map(str::to_owned)).collect(), count)
    }

    #[test]
    fn rows_of_one_series_are_read_once() {
        let (shop, bank) = (r#"{"namespace":"shop"}"#, r#"{"namespace":"bank"}"#);
        let (many, few) = (vec![Some(shop); 5000], vec![Some(bank); 3000]);
        let rows = [many, few, vec![None], vec![Some(bank); 191]].concat();
        let (found, count) = at_a_step(&rows, "namespace");
        assert_eq!(count, 2);
        let of = |name: &str| found.iter().filter(|found| found.as_deref() == Some(name)).count();
        assert_eq!((of("shop"), of("bank"), found.len()), (5000, 3191, 8192));
        assert_eq!(at_a_step(&[Some("no JSON"); 100], "namespace"), (vec![None; 100], 1));
    }

    proptest! {
        #[test]
        fn each_row_is_found_as_if_it_were_alone(
            rows in prop::collection::vec((0usize..4, prop::option::weighted(0.8, 0usize..3)), 0..40),
            is_one in any::<bool>(),
        ) {
            const TEXTS: [Option<&str>; 4] =
                [Some(r#"{"a":"1","b":{"a":[2]}}"#), Some(r#"{"a":null}"#), Some("no JSON"), None];
            const STEPS: [&str; 3] = ["a", "b", "none"];
            let step_of = |row: &(usize, Option<usize>)| row.1.map(|step| STEPS[step]);
            let texts: StringArray = rows.iter().map(|row| TEXTS[row.0]).collect();
            let mut steps: Vec<_> = rows.iter().map(step_of).collect();
            if is_one {
                steps = vec![Some("a")];
            }
            let column: StringArray = steps.iter().copied().collect();
            let (json, column) = (Texts { texts: &texts, is_one: false }, Texts { texts: &column, is_one });
            for as_text in [true, false] {
                let found = found(&json, std::slice::from_ref(&column), rows.len(), as_text, read);
                prop_assert_eq!(found.len(), rows.len());
                for (row, (text, _)) in rows.iter().enumerate() {
                    let step = if is_one { steps[0] } else { steps[row] };
                    let whole = TEXTS[*text].and_then(read);
                    let expected = whole.and_then(|whole| get(&whole, &[step?], as_text));
                    prop_assert_eq!(found.is_valid(row).then(|| found.value(row).to_owned()), expected);
                }
            }
        }
    }
}
