//! What of a statement's conditions the index answers: conditions of SQL as a query
//! of logs and a span of time. Pure.
//!
//! SQL has three values, the query language two: what is translated is *where the
//! condition is true*, and, under a NOT, *where it is false*. So a missing `app`
//! makes neither `app = 'x'` nor `app <> 'x'` true. A condition that can't be said
//! exactly is narrowed to one that holds for at least the same rows; the engine
//! then looks at each row again.

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Like, Operator, TableProviderFilterPushDown as Support},
};
use tiphys_logging::{
    query::{self, Expr as Query, Op, Text, Value},
    record::{Level, Source},
};

use super::{
    bodies,
    bounds::{self, Bounds},
    matching,
};

/// Bytes of a query that a collector takes, with room for the ANDs between them.
const MAX_QUERY: usize = 15 << 10;

/// What is asked of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub query: Query,
    pub bounds: Bounds,
}

impl Pushed {
    /// No row can match.
    pub fn is_nothing(&self) -> bool {
        self.bounds.are_empty() || self.query == nothing()
    }
}

/// How far each condition is answered by the index.
pub fn support(filters: &[&Expr]) -> Vec<Support> {
    judge(filters).map(|judged| judged.support).collect()
}

/// The question that stands for conditions which all must hold.
pub fn push(filters: &[Expr]) -> Pushed {
    let filters: Vec<_> = filters.iter().collect();
    let (mut bounds, mut parts) = (Bounds::default(), Vec::new());
    for judged in judge(&filters) {
        bounds = bounds.and(judged.bounds);
        parts.extend(judged.query);
    }
    Pushed { query: and(parts), bounds }
}

struct Judged {
    support: Support,
    query: Option<Query>,
    bounds: Bounds,
}

fn judge<'a>(filters: &'a [&'a Expr]) -> impl Iterator<Item = Judged> + 'a {
    let mut room = MAX_QUERY;
    filters.iter().map(move |filter| {
        if let Some(bounds) = bounds::exactly(filter) {
            return Judged { support: Support::Exact, query: None, bounds };
        }
        let bounds = bounds::of(filter);
        let (query, exact) = match translate(filter, false, true) {
            Some(query) => (Some(query), true),
            None => (translate(filter, false, false), false),
        };
        // Too long a list of names, or a pattern that the language has not: the engine's work.
        let query = query.filter(|query| {
            let text = query.to_string();
            let left = room.checked_sub(text.len() + 8);
            let sound = left.is_some() && query::parse(&text).as_ref() == Ok(query);
            room = left.filter(|_| sound).unwrap_or(room);
            sound
        });
        let support = match &query {
            Some(_) if exact => Support::Exact,
            None if bounds == Bounds::default() => Support::Unsupported,
            _ => Support::Inexact,
        };
        Judged { support, query, bounds }
    })
}

/// The query that holds where `expr` is true (false, if `negated`); with `exact` only
/// there, else at least there. `None`: it can't be said.
fn translate(expr: &Expr, negated: bool, exact: bool) -> Option<Query> {
    let said = |expr: &Expr, negated: bool| translate(expr, negated, exact);
    match expr {
        Expr::Alias(alias) => said(&alias.expr, negated),
        Expr::Not(inner) => said(inner, !negated),
        Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
            let of_false = matches!(expr, Expr::IsFalse(_) | Expr::IsNotFalse(_));
            let complement = matches!(expr, Expr::IsNotTrue(_) | Expr::IsNotFalse(_)) != negated;
            if complement { translate(inner, of_false, true).map(not) } else { said(inner, of_false) }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (said(left, negated), said(right, negated));
            let both = (*op == Operator::And) != negated;
            match (left, right) {
                (Some(left), Some(right)) if both => Some(and(vec![left, right])),
                (Some(left), Some(right)) => Some(or(vec![left, right])),
                (Some(one), None) | (None, Some(one)) if both && !exact => Some(one),
                _ => None,
            }
        }
        Expr::Literal(ScalarValue::Boolean(value), _) => {
            Some(if *value == Some(!negated) { Query::All } else { nothing() })
        }
        Expr::ScalarFunction(function) if function.func.name() == matching::NAME => {
            let query = matching::of_column_body(&function.args)?;
            Some(if negated { not(query) } else { query })
        }
        _ => compared(expr, negated).or_else(|| bodies::narrowed(expr).filter(|_| !exact && !negated)),
    }
}

/// A condition on one column.
fn compared(expr: &Expr, negated: bool) -> Option<Query> {
    if let Expr::IsNull(inner) | Expr::IsNotNull(inner) = expr {
        let wants_null = matches!(expr, Expr::IsNull(_)) != negated;
        let there = match Subject::of(inner)? {
            Subject::Name("app") => has("app"),
            _ => Query::All,
        };
        return Some(if wants_null { not(there) } else { there });
    }
    let (subject, test, turned) = Test::of(expr)?;
    let negated = negated != turned;
    match subject {
        Subject::Level | Subject::Severity => {
            let held = |level: &Level| match subject {
                Subject::Level => test.holds(level.name()),
                _ => test.holds_number(*level as i64),
            };
            let levels = Level::ALL
                .iter()
                .map(|level| Some((level.name(), held(level)?)))
                .collect::<Option<Vec<_>>>()?;
            Some(one_of("level", &levels, negated))
        }
        Subject::Stream => {
            let sources = [Source::Stdout, Source::Stderr]
                .iter()
                .map(|source| Some((source.name(), test.holds(source.name())?)));
            Some(one_of("stream", &sources.collect::<Option<Vec<_>>>()?, negated))
        }
        Subject::Restart => {
            let query = Query::Field { name: "restart".to_owned(), value: test.number()? };
            Some(if negated { not(query) } else { query })
        }
        Subject::Name(name) => {
            let query = Query::Field { name: name.to_owned(), value: Value::Regex(test.pattern()?) };
            Some(match (negated, name) {
                (false, _) => query,
                (true, "app") => and(vec![has("app"), not(query)]),
                (true, _) => not(query),
            })
        }
    }
}

/// The column that a condition is about.
enum Subject {
    /// A name that the query language has too.
    Name(&'static str),
    /// The only one that is a number.
    Restart,
    Stream,
    Level,
    Severity,
}

impl Subject {
    fn of(expr: &Expr) -> Option<Self> {
        let Expr::Column(column) = expr else { return None };
        Some(match column.name.as_str() {
            "namespace" => Self::Name("namespace"),
            "pod" => Self::Name("pod"),
            "container" => Self::Name("container"),
            "node" => Self::Name("node"),
            "app" => Self::Name("app"),
            "restart" => Self::Restart,
            "stream" => Self::Stream,
            "level" => Self::Level,
            "severity" => Self::Severity,
            _ => return None,
        })
    }
}

/// What the column is tested for.
enum Test {
    OneOf(Vec<ScalarValue>),
    Like(String),
    Regex(String),
    Order(Operator, ScalarValue),
}

impl Test {
    /// The column, the test, and whether it must fail.
    fn of(expr: &Expr) -> Option<(Subject, Self, bool)> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let (subject, op, value) = match (Subject::of(left), Subject::of(right)) {
                    (Some(subject), None) => (subject, *op, literal(right)?),
                    (None, Some(subject)) => (subject, op.swap()?, literal(left)?),
                    _ => return None,
                };
                let test = match op {
                    Operator::Eq | Operator::NotEq => Self::OneOf(vec![value]),
                    Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => Self::Order(op, value),
                    Operator::RegexMatch | Operator::RegexNotMatch if Subject::of(left).is_some() => {
                        Self::Regex(string(&value)?.to_owned())
                    }
                    _ => return None,
                };
                Some((subject, test, matches!(op, Operator::NotEq | Operator::RegexNotMatch)))
            }
            Expr::InList(list) => {
                let values = list.list.iter().map(literal).collect::<Option<Vec<_>>>()?;
                Some((Subject::of(&list.expr)?, Self::OneOf(values), list.negated))
            }
            Expr::Like(Like { negated, expr, pattern, escape_char: None, case_insensitive: false }) => {
                let pattern = like(string(&literal(pattern)?)?)?;
                Some((Subject::of(expr)?, Self::Like(pattern), *negated))
            }
            Expr::ScalarFunction(function) if function.func.name() == "starts_with" => {
                let [subject, prefix] = function.args.as_slice() else { return None };
                let pattern = format!("^{}", escaped(string(&literal(prefix)?)?));
                Some((Subject::of(subject)?, Self::Like(pattern), false))
            }
            _ => None,
        }
    }

    /// As a regular expression on the column's value.
    fn pattern(&self) -> Option<String> {
        match self {
            Self::OneOf(values) => {
                let values =
                    values.iter().map(|value| string(value).map(escaped)).collect::<Option<Vec<_>>>()?;
                Some(match values.as_slice() {
                    [one] => format!("^{one}$"),
                    several => format!("^(?:{})$", several.join("|")),
                })
            }
            Self::Like(pattern) | Self::Regex(pattern) => Some(pattern.clone()),
            Self::Order(..) => None,
        }
    }

    /// As a value of the query language that is true of the same numbers.
    fn number(&self) -> Option<Value> {
        match self {
            Self::OneOf(values) => {
                let values = values.iter().map(|value| integer(value).map(|number| number.to_string()));
                Some(Value::Regex(format!("^(?:{})$", values.collect::<Option<Vec<_>>>()?.join("|"))))
            }
            Self::Order(op, value) => {
                let op = match op {
                    Operator::Lt => Op::Less,
                    Operator::LtEq => Op::AtMost,
                    Operator::Gt => Op::Greater,
                    _ => Op::AtLeast,
                };
                Some(Value::Compare(op, integer(value)?.to_string()))
            }
            Self::Like(_) | Self::Regex(_) => None,
        }
    }

    /// Whether it holds for a text; `None` when that can't be told here.
    fn holds(&self, text: &str) -> Option<bool> {
        match self {
            Self::Order(op, value) => {
                let order = text.cmp(string(value)?);
                Some(ordered(*op, order))
            }
            Self::OneOf(values) => {
                let values = values.iter().map(string).collect::<Option<Vec<_>>>()?;
                Some(values.contains(&text))
            }
            Self::Like(pattern) | Self::Regex(pattern) => query::compile::finds(pattern, text),
        }
    }

    fn holds_number(&self, number: i64) -> Option<bool> {
        match self {
            Self::Order(op, value) => Some(ordered(*op, number.cmp(&integer(value)?))),
            Self::OneOf(values) => {
                let values = values.iter().map(integer).collect::<Option<Vec<_>>>()?;
                Some(values.contains(&number))
            }
            Self::Like(_) | Self::Regex(_) => None,
        }
    }
}

fn ordered(op: Operator, order: std::cmp::Ordering) -> bool {
    match op {
        Operator::Lt => order.is_lt(),
        Operator::LtEq => order.is_le(),
        Operator::Gt => order.is_gt(),
        _ => order.is_ge(),
    }
}

pub(super) fn literal(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        // A comparison with NULL is never true nor false; the engine knows.
        Expr::Literal(value, _) if !value.is_null() => Some(value.clone()),
        _ => None,
    }
}

pub(super) fn string(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

fn integer(value: &ScalarValue) -> Option<i64> {
    Some(match value {
        ScalarValue::Int64(Some(value)) => *value,
        ScalarValue::Int32(Some(value)) => i64::from(*value),
        _ => return None,
    })
}

/// A pattern of LIKE as a regular expression; `None` when a `\` in it may escape.
fn like(pattern: &str) -> Option<String> {
    if pattern.contains('\\') {
        return None;
    }
    let mut regex = String::from("(?s)^");
    for character in pattern.chars() {
        match character {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            other => regex.push_str(&escaped(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Some(regex)
}

/// The text as a regular expression that finds it.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '-' | '_' | '/') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

fn one_of(name: &str, values: &[(&str, bool)], negated: bool) -> Query {
    let held: Vec<_> = values.iter().filter(|(_, held)| *held != negated).collect();
    if held.len() == values.len() {
        return Query::All;
    }
    or(held
        .iter()
        .map(|(value, _)| {
            let value = Value::Text(Text::Exact((*value).to_owned()));
            Query::Field { name: name.to_owned(), value }
        })
        .collect())
}

fn has(name: &str) -> Query {
    Query::Field { name: name.to_owned(), value: Value::Exists }
}

fn nothing() -> Query {
    Query::Not(Box::new(Query::All))
}

fn not(query: Query) -> Query {
    match query {
        Query::Not(inner) => *inner,
        other => Query::Not(Box::new(other)),
    }
}

pub(super) fn and(parts: Vec<Query>) -> Query {
    if parts.contains(&nothing()) {
        return nothing();
    }
    let parts: Vec<_> = parts.into_iter().filter(|part| *part != Query::All).collect();
    if parts.is_empty() { Query::All } else { Query::and(parts) }
}

fn or(parts: Vec<Query>) -> Query {
    if parts.contains(&Query::All) {
        return Query::All;
    }
    let parts: Vec<_> = parts.into_iter().filter(|part| *part != nothing()).collect();
    if parts.is_empty() { nothing() } else { Query::or(parts) }
}
