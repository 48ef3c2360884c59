//! From a query's text to its tree; errors say where, and what may have been meant.

use std::sync::{Arc, LazyLock, Once};

use parking_lot::Mutex;
use promql_parser::parser::{self, Expr, Function, value::ValueType};

use super::{aggregate, error::QueryError, functions, nearest::nearest, parsed::Parsed, place};

/// # Errors
/// The query is wrong: line, column, and a sentence.
pub fn parse(query: &str) -> Result<Arc<Expr>, QueryError> {
    static PARSED: LazyLock<Mutex<Parsed>> = LazyLock::new(Mutex::default);
    if let Some(expr) = PARSED.lock().get(query) {
        return Ok(expr);
    }
    let expr = Arc::new(parse_anew(query)?);
    PARSED.lock().keep(query, &expr);
    Ok(expr)
}

fn parse_anew(query: &str) -> Result<Expr, QueryError> {
    if query.trim().is_empty() {
        return Err(QueryError::Invalid("1:1: parse error: no expression found in input".into()));
    }
    let wrong = |(at, sentence): (usize, String)| {
        let (line, column) = place::line_and_column(query, at);
        QueryError::Invalid(format!("{line}:{column}: parse error: {sentence}"))
    };
    if let Some(found) = place::too_deep(query) {
        return Err(wrong(found));
    }
    parse_text(query).map_err(|sentence| wrong(explain(query, &sentence)))
}

/// What the parser says.
pub fn parse_text(query: &str) -> Result<Expr, String> {
    static OLD_NAMES: Once = Once::new();
    OLD_NAMES.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let old = Function::new("holt_winters", arguments, 0, ValueType::Vector, false);
        // It fails only where the name is known by itself, and then nothing is missing.
        let _ = parser::register_extra_functions(vec![old]);
    });
    parser::parse(query)
}

/// Where it is wrong, and why.
fn explain(query: &str, sentence: &str) -> (usize, String) {
    if let Some((at, name)) = place::unknown_function(query, is_function) {
        let known = functions::names().chain(aggregate::NAMES);
        let meant = nearest(name, known).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        return (at, format!("unknown function with name {name:?}{meant}"));
    }
    if !place::is_of_syntax(sentence) {
        return (place::of_sentence(query, sentence), sentence.to_owned());
    }
    place::of_syntax(query, parse_text)
}

fn is_function(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    functions::names().any(|known| known == name)
        || aggregate::NAMES.contains(&lower.as_str())
        || place::KEYWORDS.contains(&lower.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where_and_what_may_be_meant() {
        let check = |query: &str, start: &str, has: &str| {
            let error = parse(query).expect_err(query).to_string();
            assert!(error.starts_with(start) && error.contains(has), "{query}: {error}");
        };
        check("sum(rtae(up[5m]))", "1:5: parse error:", "did you mean rate?");
        check("summ(up)", "1:1: parse error:", "did you mean sum?");
        check("up\n  + frob(up)", "2:5: parse error:", "\"frob\"");
        check("sum(up", "1:7: parse error:", "unclosed left parenthesis");
        check("up)", "1:3: parse error:", "unexpected \")\"");
        check("up{job=\"a}", "1:8: parse error:", "unterminated quoted string");
        check("up{job=a}", "1:8: parse error:", "unexpected \"a\"");
        check("up + * 2", "1:6: parse error:", "unexpected \"*\"");
        check("rate(up)", "1:1: parse error:", "expected type");
        check("", "1:1: parse error:", "no expression");
        check("up[5m", "1:6: parse error:", "unclosed left bracket");
        check("1 > 2", "1:1: parse error:", "BOOL");
    }

    #[test]
    fn abuse_35_a_query_too_deep_for_a_stack_is_refused_before_it_is_a_tree() {
        let nested =
            |begin: &str, end: &str, count: usize| format!("{}up{}", begin.repeat(count), end.repeat(count));
        for query in [
            nested("(", ")", 100_000),
            nested("abs(", ")", 41),
            nested("-", "", 100_000),
            nested("1 ^ ", "", 201),
            nested("up OR ", "", 201),
            nested("", "[5m:]", 0) + &"[".repeat(41),
        ] {
            let error = parse(&query).expect_err("too deep").to_string();
            assert!(error.contains(": parse error: ") && error.contains("more than"), "{error}");
        }
        // What stands beside each other, in braces or in quotes makes nothing deeper.
        let many = (0..300).map(|n| format!("abs(up{{a!=\"+{n}-\"}})")).collect::<Vec<_>>();
        for query in [
            nested("(", ")", 40),
            nested("abs(", ")", 40),
            nested("1 ^ ", "", 200),
            many[..200].join(" or "),
            format!("up{{{}}}", (0..300).map(|n| format!("a{n}!=\"x\"")).collect::<Vec<_>>().join(",")),
        ] {
            assert!(parse(&query).is_ok(), "{:?}", parse(&query));
        }
    }

    #[test]
    fn old_names_are_known() {
        assert!(parse("holt_winters(up[5m], 0.5, 0.5)").is_ok());
    }
}
