//! What a scan is asked for, read from conditions: a span of time, and what texts may be.
//!
//! The one reader of them, for all tables. Understood is, of a column and literals:
//!
//! | shape | of |
//! |---|---|
//! | `a and b` | both |
//! | `=`, `<`, `<=`, `>`, `>=`, either way round; `between` | the column `time` |
//! | `=`, either way round; `in (...)` | texts |
//! | `like` without an escape, `~` | texts |
//!
//! Pure. Only what surely holds is taken out; the engine looks at each row again, so that what
//! is not understood asks for everything, and costs time and no truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use datafusion::{
    arrow::datatypes::TimeUnit,
    logical_expr::{
        BinaryExpr, Expr, Operator,
        expr::{InList, Like},
    },
    scalar::ScalarValue,
};

use crate::series::{MatchOp, Matcher};

/// The column that conditions on time are about.
const TIME: &str = "time";
/// A regular expression that nothing matches.
const NOTHING: &str = r"[^\s\S]";

/// Rows that a statement can use.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Microseconds since the Unix epoch, the end excluded.
    time: Range<i64>,
    /// Column to the values that it may have.
    values: BTreeMap<String, BTreeSet<String>>,
    /// Columns, and regular expressions that their values match; they stand in [`Matcher`]s.
    patterns: Vec<Matcher>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { time: i64::MIN..i64::MAX, values: BTreeMap::new(), patterns: Vec::new() }
    }
}

impl Wanted {
    /// What all of these predicates together leave.
    pub fn of(filters: &[Expr]) -> Self {
        let mut wanted = Self::default();
        filters.iter().for_each(|filter| wanted.narrow(filter));
        wanted
    }

    /// Rows that have one of these texts in a column, of all times.
    pub fn among(column: &str, values: BTreeSet<String>) -> Self {
        Self { values: BTreeMap::from([(column.to_owned(), values)]), ..Self::default() }
    }

    /// Of these rows those of some times, microseconds since the Unix epoch.
    #[must_use]
    pub fn within(self, time: &Range<i64>) -> Self {
        let time = self.time.start.max(time.start)..self.time.end.min(time.end);
        Self { time, ..self }
    }

    /// Whether a row with this text in a column may be wanted.
    pub fn takes(&self, column: &str, value: &str) -> bool {
        self.values.get(column).is_none_or(|values| values.contains(value))
            && self.patterns.iter().all(|pattern| pattern.name != column || pattern.matches(value))
    }

    pub fn takes_time(&self, time: i64) -> bool {
        self.time.contains(&time)
    }

    /// Whether rows of a span of time, both ends of it in it, may be wanted.
    pub fn overlaps(&self, since: i64, until: i64) -> bool {
        until >= self.time.start && since < self.time.end
    }

    /// The times that are left, microseconds since the Unix epoch.
    pub fn micros(&self) -> Range<i64> {
        self.time.clone()
    }

    /// The milliseconds that these times touch.
    pub fn millis(&self) -> Range<i64> {
        let end = match self.time.end {
            i64::MAX => i64::MAX,
            end => end.saturating_sub(1).div_euclid(1000).saturating_add(1),
        };
        match self.time.start {
            i64::MIN => i64::MIN..end,
            start => start.div_euclid(1000)..end,
        }
    }

    /// The values that a column may have; absent: any.
    pub fn values(&self, column: &str) -> Option<&BTreeSet<String>> {
        self.values.get(column)
    }

    /// Whether anything is said of a column.
    pub fn names(&self, column: &str) -> bool {
        self.values.contains_key(column) || self.patterns.iter().any(|pattern| pattern.name == column)
    }

    /// What the columns that show labels say of series. `label` tells the label of a column, which
    /// is null where a series has none: so no condition holds there.
    pub fn matchers<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (column, values) in &self.values {
            let Some(label) = label(column) else { continue };
            // An empty label does not exist, and its column is null.
            let texts: Vec<_> = values.iter().filter(|value| !value.is_empty()).collect();
            match texts.as_slice() {
                [one] => matchers.push(Matcher::equal(label, one)),
                [] => matchers.extend(Matcher::new(label, MatchOp::Matches, NOTHING)),
                many => {
                    let either = many.iter().map(|text| regex::escape(text)).collect::<Vec<_>>().join("|");
                    matchers.extend(Matcher::new(label, MatchOp::Matches, &either));
                }
            }
        }
        let patterns = self.patterns.iter().filter_map(|pattern| {
            let label = label(&pattern.name)?;
            Matcher::new(label, MatchOp::Matches, &pattern.value).ok()
        });
        matchers.extend(patterns);
        matchers
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (Expr::Column(column), Expr::Literal(value, _)) => self.compare(&column.name, *op, value),
                (Expr::Literal(value, _), Expr::Column(column)) => {
                    if let Some(op) = op.swap() {
                        self.compare(&column.name, op, value);
                    }
                }
                _ => {}
            },
            Expr::Between(between) if !between.negated => {
                if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                    (&*between.expr, &*between.low, &*between.high)
                {
                    self.compare(&column.name, Operator::GtEq, low);
                    self.compare(&column.name, Operator::LtEq, high);
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let values = list.iter().map(|item| match item {
                    Expr::Literal(value, _) => text(value),
                    _ => None,
                });
                if let (Expr::Column(column), Some(values)) =
                    (&**expr, values.collect::<Option<BTreeSet<_>>>())
                {
                    self.only(&column.name, values);
                }
            }
            Expr::Like(Like {
                negated: false,
                expr,
                pattern,
                escape_char: None,
                case_insensitive: false,
            }) => {
                if let (Expr::Column(column), Expr::Literal(value, _)) = (&**expr, &**pattern) {
                    self.compare(&column.name, Operator::LikeMatch, value);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        if column == TIME {
            return self.compare_time(op, value);
        }
        let Some(value) = text(value) else { return };
        match op {
            Operator::Eq => self.only(column, BTreeSet::from([value])),
            Operator::RegexMatch => self.matches(column, &format!(".*(?:{value}).*")),
            Operator::LikeMatch => self.matches(column, &like(&value)),
            _ => {}
        }
    }

    fn compare_time(&mut self, op: Operator, value: &ScalarValue) {
        let Some(micros) = micros(value) else { return };
        // A fraction of a microsecond was cut off, so the microsecond itself may hold.
        let after = micros.saturating_add(1);
        match op {
            Operator::Gt | Operator::GtEq => self.time.start = self.time.start.max(micros),
            Operator::Lt | Operator::LtEq => self.time.end = self.time.end.min(after),
            Operator::Eq => self.time = self.time.start.max(micros)..self.time.end.min(after),
            _ => {}
        }
    }

    fn only(&mut self, column: &str, values: BTreeSet<String>) {
        match self.values.get_mut(column) {
            Some(before) => before.retain(|value| values.contains(value)),
            None => drop(self.values.insert(column.to_owned(), values)),
        }
    }

    fn matches(&mut self, column: &str, pattern: &str) {
        // What is no regular expression here is told by the engine, or is one to it.
        self.patterns.extend(Matcher::new(column, MatchOp::Matches, pattern));
    }
}

/// A pattern of LIKE as a regular expression.
fn like(pattern: &str) -> String {
    let mut regex = String::new();
    let mut escaped = false;
    for letter in pattern.chars() {
        match letter {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '%' if !escaped => regex.push_str(".*"),
            '_' if !escaped => regex.push('.'),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        escaped = false;
    }
    regex
}

fn text(value: &ScalarValue) -> Option<String> {
    value.try_as_str().flatten().map(str::to_owned)
}

/// A time in microseconds, rounded down.
fn micros(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(time, _) => time.and_then(|time| time.checked_mul(1_000_000)),
        ScalarValue::TimestampMillisecond(time, _) => time.and_then(|time| time.checked_mul(1000)),
        ScalarValue::TimestampMicrosecond(time, _) => *time,
        ScalarValue::TimestampNanosecond(time, _) => time.map(|time| time.div_euclid(1000)),
        _ => None,
    }
}

/// A time in the unit and zone of a column.
pub fn time_value(micros: i64, unit: TimeUnit, zone: Option<std::sync::Arc<str>>) -> ScalarValue {
    match unit {
        TimeUnit::Second => ScalarValue::TimestampSecond(Some(micros.div_euclid(1_000_000)), zone),
        TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(Some(micros.div_euclid(1000)), zone),
        TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(Some(micros), zone),
        TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(micros.checked_mul(1000), zone),
    }
}

#[cfg(test)]
mod tests;
