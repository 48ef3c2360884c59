//! What a scan is asked for, read from predicates: a span of time, and names.
//!
//! Pure. What isn't understood asks for everything; the engine filters again.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::TimeUnit,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
    scalar::ScalarValue,
};

/// Rows that a statement can use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Microseconds since the Unix epoch, both inclusive.
    since: Option<i64>,
    until: Option<i64>,
    /// Column to the values that it may have.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Wanted {
    /// What all of these predicates together leave.
    pub fn of(filters: &[Expr]) -> Self {
        let mut wanted = Self::default();
        filters.iter().for_each(|filter| wanted.narrow(filter));
        wanted
    }

    pub fn takes(&self, column: &str, value: &str) -> bool {
        self.names.get(column).is_none_or(|values| values.contains(value))
    }

    pub fn takes_time(&self, time: i64) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }

    /// Whether rows of a span of time, both ends of it in it, may be wanted.
    pub fn overlaps(&self, since: i64, until: i64) -> bool {
        self.since.is_none_or(|own| until >= own) && self.until.is_none_or(|own| since <= own)
    }

    /// The values that a column may have; absent: any.
    pub fn values(&self, column: &str) -> Option<&BTreeSet<String>> {
        self.names.get(column)
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
                if let Expr::Column(column) = &**expr {
                    let values = list.iter().map(|item| match item {
                        Expr::Literal(value, _) => text(value),
                        _ => None,
                    });
                    if let Some(values) = values.collect::<Option<BTreeSet<_>>>() {
                        self.only(&column.name, values);
                    }
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        if column == "time" {
            let Some(micros) = micros(value) else { return };
            // A bound in nanoseconds lies within its microsecond.
            match op {
                Operator::Gt | Operator::GtEq => self.since = self.since.max(Some(micros)),
                Operator::Lt | Operator::LtEq => self.earlier(micros.saturating_add(1)),
                Operator::Eq => {
                    self.since = self.since.max(Some(micros));
                    self.earlier(micros.saturating_add(1));
                }
                _ => {}
            }
        } else if op == Operator::Eq
            && let Some(value) = text(value)
        {
            self.only(column, BTreeSet::from([value]));
        }
    }

    fn earlier(&mut self, until: i64) {
        self.until = Some(self.until.map_or(until, |before| before.min(until)));
    }

    fn only(&mut self, column: &str, values: BTreeSet<String>) {
        match self.names.get_mut(column) {
            Some(before) => before.retain(|value| values.contains(value)),
            None => drop(self.names.insert(column.to_owned(), values)),
        }
    }
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
mod tests {
    use datafusion::prelude::{col, in_list, lit};

    use super::*;

    fn at(micros: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(micros), None))
    }

    #[test]
    fn predicates_narrow_time_and_names() {
        let table: [(Vec<Expr>, i64, i64, &[&str]); 6] = [
            (vec![], i64::MIN, i64::MAX, &["a", "b"]),
            (vec![col("time").gt(at(5)).and(at(9).gt_eq(col("time")))], 5, 10, &["a", "b"]),
            (vec![col("time").between(at(5), at(9))], 5, 10, &["a", "b"]),
            (vec![col("time").eq(at(5)), col("pod").eq(lit("a"))], 5, 6, &["a"]),
            (vec![in_list(col("pod"), vec![lit("b"), lit("c")], false)], i64::MIN, i64::MAX, &["b"]),
            // What isn't understood narrows nothing.
            (vec![col("pod").eq(lit("a")).or(col("time").gt(at(5)))], i64::MIN, i64::MAX, &["a", "b"]),
        ];
        for (filters, since, until, pods) in table {
            let wanted = Wanted::of(&filters);
            assert!(wanted.takes_time(since) && wanted.takes_time(until), "{filters:?}: {wanted:?}");
            assert!(since == i64::MIN || !wanted.takes_time(since - 1), "{filters:?}: {wanted:?}");
            assert!(until == i64::MAX || !wanted.takes_time(until + 1), "{filters:?}: {wanted:?}");
            let taken: Vec<_> = ["a", "b"].into_iter().filter(|pod| wanted.takes("pod", pod)).collect();
            assert_eq!(taken, pods, "{filters:?}");
        }
    }
}
