//! Conditions on `body` that are no `match`: `LIKE`, `ILIKE`, `=`, and `~` of a plain text.
//! Pure.
//!
//! They are true of the text as it was written, colours and all; the index looks at the
//! text without them. So what is asked of it here is less: pieces of the text that are in
//! both, if the condition is true. The engine looks at each row again.
//!
//! ```text
//! body like 'GET%timed out' -> pieces `GET`, `timed out` -> what can't be part of a colour:
//!                              `ET`, `imed out`          -> /ET/ AND /imed out/
//! ```
//!
//! A colour is `ESC [`, digits and signs, and a letter; in JSON `\u001b[` and the same. Within
//! a piece without an escape, one can only end: with the first letter, behind the last `[`.

use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};
use tiphys_logging::query::Expr as Query;

use super::predicate::{and, escaped, literal, string};

/// A query that holds at least where the condition is true; `None`: nothing can be said.
pub fn narrowed(expr: &Expr) -> Option<Query> {
    let (pieces, any_case) = match expr {
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive }) => {
            let pattern = literal(pattern).filter(|_| is_body(expr))?;
            let pattern = string(&pattern)?;
            // A `\` may escape, and the text has none that could be told.
            let pieces = if pattern.contains('\\') { Vec::new() } else { split(pattern) };
            (pieces, *case_insensitive)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let text = match (is_body(left), is_body(right)) {
                (true, false) => literal(right)?,
                (false, true) if *op == Operator::Eq => literal(left)?,
                _ => return None,
            };
            let text = string(&text)?;
            match op {
                Operator::Eq => (vec![text.to_owned()], false),
                Operator::RegexMatch if is_plain(text) => (vec![text.to_owned()], false),
                Operator::RegexIMatch if is_plain(text) => (vec![text.to_owned()], true),
                _ => return None,
            }
        }
        _ => return None,
    };
    let parts: Vec<Query> = pieces
        .iter()
        .filter_map(|piece| shown(piece))
        .map(|piece| Query::Regex(format!("{}{}", if any_case { "(?i)" } else { "" }, escaped(piece))))
        .collect();
    (!parts.is_empty()).then(|| and(parts))
}

fn is_body(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "body")
}

/// A regular expression that finds itself and nothing else.
fn is_plain(pattern: &str) -> bool {
    pattern.chars().all(|c| c.is_alphanumeric() || " _-/:;,=<>\"'@%&!~`".contains(c))
}

/// The texts between the wildcards of LIKE.
fn split(pattern: &str) -> Vec<String> {
    pattern.split(['%', '_']).map(str::to_owned).collect()
}

/// What of a piece of a body is in it without its colours too.
fn shown(piece: &str) -> Option<&str> {
    // With an escape of its own, or in place of bytes that are no text.
    if piece.contains(['\u{1b}', '\\', '\u{fffd}']) || "u001b".contains(&piece.to_ascii_lowercase()) {
        return None;
    }
    let behind = piece.rfind('[').map_or(piece, |at| &piece[at + 1..]);
    let end = behind.find(|c: char| matches!(c, '@'..='~') || !c.is_ascii())?;
    let rest = &behind[end + behind[end..].chars().next().map_or(0, char::len_utf8)..];
    // The begin of a colour in JSON, that a colour parts from its `\`.
    (!"u001b".starts_with(&rest.to_ascii_lowercase())).then_some(rest)
}

#[cfg(test)]
mod tests {
    use tiphys_logging::query::{OfBody, parse_of_body};

    use super::*;
    use datafusion::prelude::{col, lit};

    fn pushed(expr: Expr) -> String {
        narrowed(&expr).map_or_else(|| "-".to_owned(), |query| query.to_string())
    }

    #[test]
    fn conditions_ask_for_what_is_there_without_colours() {
        let check = |expr: Expr, expected: &str| {
            let shown = expr.to_string();
            assert_eq!(pushed(expr), expected, "{shown}");
        };
        check(col("body").like(lit("%connection reset%")), "/onnection reset/");
        check(col("body").like(lit("GET%timed out")), "/ET/ AND /imed out/");
        check(col("body").ilike(lit("%Reset_%")), "/(?i)eset/");
        check(col("body").eq(lit("a [b] 100%")), r"/\] 100\%/");
        check(lit("INFO started").eq(col("body")), "/NFO started/");
        for nothing in ["%31m%", "%001b%", "%%", "%a%", "%[0m%", "% 7 %", "%a\\%b%", "%\u{1b}[31mred%"] {
            check(col("body").like(lit(nothing)), "-");
        }
        check(col("body").not_like(lit("%reset%")), "-");
        check(col("pod").like(lit("%reset%")), "-");
        check(col("body").gt(lit("reset")), "-");
    }

    #[test]
    fn whatever_is_coloured_is_found() {
        let bodies = [
            "plain error text",
            "\u{1b}[31merror\u{1b}[0m text",
            "er\u{1b}[1;38;5;9mror te\u{1b}(Bxt",
            r#"{"level":"\u001b[32minfo\u001B[39m","msg":"error text"}"#,
            "\u{1b}Merror\u{1b}]8;;http://a.b\u{1b}\\link text",
            "\u{1b}[é error [31m text",
            "u001b[31m",
            "\\\u{1b}[0mu001b[31mfoo bar",
        ];
        for body in bodies {
            let places: Vec<usize> = body.char_indices().map(|(at, _)| at).chain([body.len()]).collect();
            for (at, from) in places.iter().enumerate() {
                for to in &places[at..] {
                    let Some(piece) = shown(&body[*from..*to]) else { continue };
                    let query = parse_of_body(&Query::Regex(escaped(piece)).to_string()).expect("a query");
                    let holds = OfBody::new(&query).expect("a query").holds(body.as_bytes());
                    assert!(holds, "{piece:?} of {:?} in {body:?}", &body[*from..*to]);
                }
            }
        }
    }
}
