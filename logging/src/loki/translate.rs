//! What of a LogQL query the index can answer, in the query language of [`crate::query`].
//!
//! The translation finds every line that the query finds, and perhaps more; `exact`
//! says that there are no more. Labels are compared by regular expressions, because
//! case counts in LogQL. A filter on a field of a JSON or logfmt line is narrowed down
//! by the field when the label's name can come from one field only.

use super::{
    labels::{OF_STAGES, OWN},
    logql::{
        LogQuery,
        ast::{Compare, LabelFilter, MatchOp, Matcher, Pick, Quantity, Stage},
    },
    pipeline::Test,
};
use crate::query::{Expr, Op, Text, Value};

/// A query for the index.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    pub expr: Expr,
    /// The pipeline would leave out none of what it finds, and change no label.
    pub exact: bool,
}

/// Which fields labels can come from at a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Names and labels of the stream only.
    Stream,
    /// Fields of a JSON line as well.
    Json,
    Logfmt,
    /// Labels were made or renamed in ways that the index doesn't know.
    Nothing,
}

pub fn push(query: &LogQuery) -> Pushed {
    let mut parts: Vec<Expr> = query.selector.iter().map(matcher).collect();
    let mut exact = true;
    let mut known = Known::Stream;
    let mut lines_known = true;
    for stage in &query.stages {
        match stage {
            Stage::Line { op, texts } if lines_known => parts.push(line(*op, texts)),
            Stage::Filter(filter) => {
                let pushed = label_filter(filter, known);
                exact &= known == Known::Stream && pushed.as_ref().is_some_and(|(_, exact)| *exact);
                parts.extend(pushed.map(|(expr, _)| expr));
            }
            Stage::Json(picks) if picks.is_empty() && known == Known::Stream => {
                known = Known::Json;
                exact = false;
            }
            Stage::Logfmt { picks, .. } if picks.is_empty() && known == Known::Stream => {
                known = Known::Logfmt;
                exact = false;
            }
            Stage::LineFormat(_) => {
                lines_known = false;
                exact = false;
            }
            // The text is another one, and so are the labels.
            Stage::Unpack => {
                lines_known = false;
                known = Known::Nothing;
                exact = false;
            }
            // No stream has such a label, and no field that a filter asks for comes from one: Grafana
            // ends each query of a volume so.
            Stage::Drop(picks) if picks.iter().all(|pick| OF_STAGES.contains(&name(pick))) => {}
            // The text without colours is what filters look at anyway.
            Stage::Decolorize => exact = false,
            _ => {
                known = Known::Nothing;
                exact = false;
            }
        }
    }
    parts.retain(|part| *part != Expr::All);
    let expr = if parts.is_empty() { Expr::All } else { Expr::and(parts) };
    Pushed { expr, exact }
}

fn name(pick: &Pick) -> &str {
    match pick {
        Pick::Name(name) => name,
        Pick::Where(matcher) => &matcher.name,
    }
}

/// The name of a label in the query language.
pub fn field(label: &str) -> String {
    if OWN.contains(&label) { label.to_owned() } else { format!("@label.{label}") }
}

/// A label of the stream; one that is absent is empty.
fn matcher(matcher: &Matcher) -> Expr {
    let pattern = match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => regex::escape(&matcher.value),
        MatchOp::Regex | MatchOp::NotRegex => matcher.value.clone(),
    };
    let not = matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
    let name = field(&matcher.name);
    let found = Expr::Field { name: name.clone(), value: Value::Regex(format!("^(?s:{pattern})$")) };
    // All records have the names that are their own, but for `app`.
    let always = OWN.contains(&matcher.name.as_str()) && matcher.name != "app";
    let matches_empty = Test::new(matcher).is_ok_and(|test| test.holds("") != not);
    let found = if matches_empty && !always {
        Expr::or(vec![found, Expr::Not(Box::new(Expr::Field { name, value: Value::Exists }))])
    } else {
        found
    };
    if not { Expr::Not(Box::new(found)) } else { found }
}

fn line(op: MatchOp, texts: &[String]) -> Expr {
    let one = |text: &String| match op {
        _ if text.is_empty() => Expr::All,
        MatchOp::Equal | MatchOp::NotEqual => Expr::Regex(regex::escape(text)),
        MatchOp::Regex | MatchOp::NotRegex => Expr::Regex(text.clone()),
    };
    let any = Expr::or(texts.iter().map(one).collect());
    match op {
        MatchOp::Equal | MatchOp::Regex => any,
        MatchOp::NotEqual | MatchOp::NotRegex => Expr::Not(Box::new(any)),
    }
}

/// The filter and whether it is exact; `None` when nothing of it can be pushed down.
fn label_filter(filter: &LabelFilter, known: Known) -> Option<(Expr, bool)> {
    match filter {
        LabelFilter::Text(text) if known == Known::Stream && !text.name.starts_with("__") => {
            Some((matcher(text), true))
        }
        LabelFilter::Text(text) => {
            let value = match text.op {
                MatchOp::Equal if !text.value.is_empty() => Value::Text(Text::Exact(text.value.clone())),
                MatchOp::Regex if !Test::new(text).ok()?.holds("") => {
                    Value::Regex(format!("^(?s:{})$", text.value))
                }
                _ => return None,
            };
            Some((of_line(&text.name, value, known)?, false))
        }
        LabelFilter::Number { name, op, value } => {
            Some((of_line(name, comparison(*op, value)?, known)?, false))
        }
        LabelFilter::And(a, b) => match (label_filter(a, known), label_filter(b, known)) {
            (Some(a), Some(b)) => Some((Expr::and(vec![a.0, b.0]), a.1 && b.1)),
            (Some((expr, _)), None) | (None, Some((expr, _))) => Some((expr, false)),
            (None, None) => None,
        },
        LabelFilter::Or(a, b) => {
            let (a, b) = (label_filter(a, known)?, label_filter(b, known)?);
            Some((Expr::or(vec![a.0, b.0]), a.1 && b.1))
        }
    }
}

/// A field of the line that the label's name must come from.
fn of_line(name: &str, value: Value, known: Known) -> Option<Expr> {
    // `_` stands for other characters, and for the dots of nested names.
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain || OWN.contains(&name) || matches!(name, "ns" | "uid" | "restart" | "time") {
        return None;
    }
    let field = Expr::Field { name: name.to_owned(), value };
    // Where the stream has the label, that is the one.
    let stream = Expr::Field { name: self::field(name), value: Value::Exists };
    match known {
        Known::Json => Some(Expr::or(vec![field, stream])),
        // A JSON line has other fields than its text has pairs.
        Known::Logfmt => Some(Expr::or(vec![field, stream, Expr::Regex(r"^\s*\{".into())])),
        Known::Stream | Known::Nothing => None,
    }
}

fn comparison(op: Compare, value: &Quantity) -> Option<Value> {
    let bound = value.number.to_string();
    let op = match op {
        Compare::Equal => {
            return Some(Value::Range { from: Some(bound.clone()), to: Some(bound), inclusive: true });
        }
        Compare::NotEqual => return None,
        Compare::Greater => Op::Greater,
        Compare::AtLeast => Op::AtLeast,
        Compare::Less => Op::Less,
        Compare::AtMost => Op::AtMost,
    };
    Some(Value::Compare(op, bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{loki::logql::parse_selector, query};

    #[test]
    fn filters_become_queries() {
        let check = |text: &str, expected: &str, exact: bool| {
            let pushed = push(&parse_selector(text).expect(text));
            assert_eq!((pushed.expr.to_string().as_str(), pushed.exact), (expected, exact), "{text}");
            assert_eq!(query::parse(expected), Ok(pushed.expr), "{text}");
        };
        check("{}", "*", true);
        check(
            r#"{namespace="sh.op", pod!~"web-.*"}"#,
            r"namespace:/^(?s:sh\.op)$/ AND NOT pod:/^(?s:web-.*)$/",
            true,
        );
        check(
            r#"{tier="", a_b="x"}"#,
            r"(@label.tier:/^(?s:)$/ OR NOT @label.tier:*) AND @label.a_b:/^(?s:x)$/",
            true,
        );
        check(r#"{} |= "a/b" != "c" or "d" |~ "e+""#, r"/a\/b/ AND NOT (/c/ OR /d/) AND /e+/", true);
        check(r#"{} |= "" "#, "*", true);
        // A line that a parser can't read has another label.
        check("{} | json", "*", false);
        check("{} | logfmt", "*", false);
        check(r#"{} | level="error" or pod=~"a.*""#, r"level:/^(?s:error)$/ OR pod:/^(?s:a.*)$/", true);
        check(
            "{} | json | status >= 500 and took < 1.5s",
            "(status:>=500 OR @label.status:*) AND (took:<1.5 OR @label.took:*)",
            false,
        );
        check(r#"{} | json | method="GET" | a_b="c" or x="d""#, "method:GET OR @label.method:*", false);
        check("{} | logfmt | status = 7", r"status:[7 TO 7] OR @label.status:* OR /^\s*\{/", false);
        check(r#"{} | json | label_format a=b | c="d""#, "*", false);
        check(r#"{app="a"} |= "b" | drop __error__"#, "app:/^(?s:a)$/ AND /b/", true);
        check(r#"{} | drop __error__, __error_details__="x" | level="error""#, "level:/^(?s:error)$/", true);
        check(r#"{} | drop __error__, tier | level="error""#, "*", false);
        check(r#"{} | keep level | level="error""#, "*", false);
        check("{} | json | drop __error__ | status >= 500", "status:>=500 OR @label.status:*", false);
        check(r#"{} | line_format "{{.a}}" |= "x""#, "*", false);
        check(r#"{} |= "y" | unpack |= "x" != "z""#, "/y/", false);
        check(r#"{} |= "y" | regexp "(?P<a>b)" | a="b" |= "x""#, "/y/ AND /x/", false);
    }
}
