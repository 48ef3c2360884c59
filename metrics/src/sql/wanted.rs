//! What a scan is asked for, read from conditions: a span of time, and what texts may be.
//!
//! The one reader of them, for all tables. Understood is, of a column and literals:
//!
//! | shape | of |
//! |---|---|
//! | `a and b` | both |
//! | `=`, `<`, `<=`, `>`, `>=`, either way round; `between` | the column `time` |
//! | `=`, either way round; `in (...)`, and `or` between `=` of one text, which short lists become | texts |
//! | `like` without an escape, `~` | texts |
//!
//! A text is a column, or what a column's JSON has under one key: `labels->>'code'`.
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

use super::functions::json::GET_TEXT;
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
    /// Of columns.
    texts: Texts,
    /// Column to what is under the keys of its JSON.
    members: BTreeMap<String, Texts>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self { time: i64::MIN..i64::MAX, texts: Texts::default(), members: BTreeMap::new() }
    }
}

/// What texts may be, by their names.
#[derive(Debug, Clone, Default, PartialEq)]
struct Texts {
    /// Name to the values that it may have.
    values: BTreeMap<String, BTreeSet<String>>,
    /// Names, and regular expressions that their values match; they stand in [`Matcher`]s.
    patterns: Vec<Matcher>,
}

/// Where a text stands: in a column, or in its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place<'a> {
    column: &'a str,
    key: Option<&'a str>,
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
        let values = BTreeMap::from([(column.to_owned(), values)]);
        Self { texts: Texts { values, ..Texts::default() }, ..Self::default() }
    }

    /// Of these rows those of some times, microseconds since the Unix epoch.
    #[must_use]
    pub fn within(self, time: &Range<i64>) -> Self {
        let time = self.time.start.max(time.start)..self.time.end.min(time.end);
        Self { time, ..self }
    }

    /// Whether a row with this text in a column may be wanted.
    pub fn takes(&self, column: &str, value: &str) -> bool {
        self.texts.values.get(column).is_none_or(|values| values.contains(value))
            && self.texts.patterns.iter().all(|pattern| pattern.name != column || pattern.matches(value))
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
        self.texts.values.get(column)
    }

    /// Whether anything is said of a column.
    pub fn names(&self, column: &str) -> bool {
        self.texts.values.contains_key(column)
            || self.texts.patterns.iter().any(|pattern| pattern.name == column)
    }

    /// What the columns that show labels say of series. `label` tells the label of a column, which
    /// is null where a series has none: so no condition holds there.
    pub fn matchers<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> Vec<Matcher> {
        self.texts.matchers(label)
    }

    /// What is said of series by keys of a column that shows their labels as JSON. Keys that are no
    /// labels say nothing.
    pub fn matchers_in(&self, column: &str, is_label: impl Fn(&str) -> bool) -> Vec<Matcher> {
        let texts = self.members.get(column);
        texts.map_or_else(Vec::new, |texts| texts.matchers(|key| is_label(key).then_some(key)))
    }

    fn narrow(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.narrow(left);
                self.narrow(right);
            }
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
                if let Some((place, values)) = either(filter) {
                    self.texts_at(place).only(place.name(), values);
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
                (text, Expr::Literal(value, _)) => self.compare(text, *op, value),
                (Expr::Literal(value, _), text) => {
                    if let Some(op) = op.swap() {
                        self.compare(text, op, value);
                    }
                }
                _ => {}
            },
            Expr::Between(between) if !between.negated => {
                if let (Expr::Literal(low, _), Expr::Literal(high, _)) = (&*between.low, &*between.high) {
                    self.compare(&between.expr, Operator::GtEq, low);
                    self.compare(&between.expr, Operator::LtEq, high);
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let values = list.iter().map(|item| match item {
                    Expr::Literal(value, _) => text(value),
                    _ => None,
                });
                if let (Some(place), Some(values)) = (place(expr), values.collect::<Option<BTreeSet<_>>>()) {
                    self.texts_at(place).only(place.name(), values);
                }
            }
            Expr::Like(Like {
                negated: false,
                expr,
                pattern,
                escape_char: None,
                case_insensitive: false,
            }) => {
                if let Expr::Literal(value, _) = &**pattern {
                    self.compare(expr, Operator::LikeMatch, value);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, what: &Expr, op: Operator, value: &ScalarValue) {
        let Some(place) = place(what) else { return };
        if place.key.is_none() && place.column == TIME {
            return self.compare_time(op, value);
        }
        let Some(value) = text(value) else { return };
        let texts = self.texts_at(place);
        match op {
            Operator::Eq => texts.only(place.name(), BTreeSet::from([value])),
            Operator::RegexMatch => texts.matches(place.name(), &format!(".*(?:{value}).*")),
            Operator::LikeMatch => texts.matches(place.name(), &like(&value)),
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

    fn texts_at(&mut self, place: Place<'_>) -> &mut Texts {
        match place.key {
            Some(_) => self.members.entry(place.column.to_owned()).or_default(),
            None => &mut self.texts,
        }
    }
}

impl Texts {
    fn only(&mut self, name: &str, values: BTreeSet<String>) {
        match self.values.get_mut(name) {
            Some(before) => before.retain(|value| values.contains(value)),
            None => drop(self.values.insert(name.to_owned(), values)),
        }
    }

    fn matches(&mut self, name: &str, pattern: &str) {
        // What is no regular expression here is told by the engine, or is one to it.
        self.patterns.extend(Matcher::new(name, MatchOp::Matches, pattern));
    }

    /// The same of labels. `label` tells the label of a name.
    fn matchers<'a, L: AsRef<str>>(&'a self, label: impl Fn(&'a str) -> Option<L>) -> Vec<Matcher> {
        let mut matchers = Vec::new();
        for (name, values) in &self.values {
            let Some(label) = label(name) else { continue };
            let label = label.as_ref();
            // An empty label does not exist, and its text is null.
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
            Matcher::new(label.as_ref(), MatchOp::Matches, &pattern.value).ok()
        });
        matchers.extend(patterns);
        matchers
    }
}

impl<'a> Place<'a> {
    /// Among what stands beside it.
    fn name(self) -> &'a str {
        self.key.unwrap_or(self.column)
    }
}

/// Absent: it is neither a column nor a member of its JSON.
fn place(expr: &Expr) -> Option<Place<'_>> {
    match expr {
        Expr::Column(column) => Some(Place { column: &column.name, key: None }),
        Expr::ScalarFunction(function) if function.func.name() == GET_TEXT => {
            let [Expr::Column(column), Expr::Literal(key, _)] = function.args.as_slice() else { return None };
            Some(Place { column: &column.name, key: Some(key.try_as_str().flatten()?) })
        }
        _ => None,
    }
}

/// The texts of which one must stand in one place. Absent: something else is said. However many there
/// are, they take no stack.
fn either(filter: &Expr) -> Option<(Place<'_>, BTreeSet<String>)> {
    let mut found: Option<(Place<'_>, BTreeSet<String>)> = None;
    let mut pending = vec![filter];
    while let Some(next) = pending.pop() {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = next else { return None };
        let (at, value) = match (op, &**left, &**right) {
            (Operator::Or, left, right) => {
                pending.extend([left, right]);
                continue;
            }
            (Operator::Eq, at, Expr::Literal(value, _)) | (Operator::Eq, Expr::Literal(value, _), at) => {
                (place(at)?, text(value)?)
            }
            _ => return None,
        };
        let (place, values) = found.get_or_insert_with(|| (at, BTreeSet::new()));
        if *place != at {
            return None;
        }
        values.insert(value);
    }
    found
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
