//! The span of time that a condition leaves open. Pure.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator},
};

/// From and to, nanoseconds; an end that is absent is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Inclusive.
    pub since: Option<i64>,
    /// Exclusive.
    pub until: Option<i64>,
}

impl Bounds {
    /// Nothing lies between.
    pub fn are_empty(self) -> bool {
        matches!((self.since, self.until), (Some(since), Some(until)) if since >= until)
    }

    /// What lies in both.
    pub fn and(self, other: Self) -> Self {
        let later = |a: Option<i64>, b: Option<i64>| a.max(b);
        let earlier = |a: Option<i64>, b: Option<i64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { since: later(self.since, other.since), until: earlier(self.until, other.until) }
    }

    /// What holds both, and what lies between them.
    fn or(self, other: Self) -> Self {
        if self.are_empty() {
            return other;
        }
        if other.are_empty() {
            return self;
        }
        Self {
            since: self.since.zip(other.since).map(|(a, b)| a.min(b)),
            until: self.until.zip(other.until).map(|(a, b)| a.max(b)),
        }
    }
}

/// The span that every row lies in for which the condition is true.
pub fn of(expr: &Expr) -> Bounds {
    match expr {
        Expr::Alias(alias) => of(&alias.expr),
        Expr::IsTrue(inner) => of(inner),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => of(left).and(of(right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => of(left).or(of(right)),
        other => exactly(other).unwrap_or_default(),
    }
}

/// The span that says all that the condition says.
pub fn exactly(expr: &Expr) -> Option<Bounds> {
    match expr {
        Expr::Alias(alias) => exactly(&alias.expr),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            Some(exactly(left)?.and(exactly(right)?))
        }
        Expr::Between(between) if !between.negated => {
            let unit = unit_of_time(&between.expr)?;
            let from = compared(unit, Operator::GtEq, &between.low)?;
            Some(from.and(compared(unit, Operator::LtEq, &between.high)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match unit_of_time(left) {
            Some(unit) => compared(unit, *op, right),
            None => compared(unit_of_time(right)?, op.swap()?, left),
        },
        _ => None,
    }
}

/// The unit that the column `time` is compared in: its own, or one that it was cast to.
fn unit_of_time(expr: &Expr) -> Option<TimeUnit> {
    match expr {
        Expr::Column(column) if column.name == "time" => Some(TimeUnit::Nanosecond),
        Expr::Cast(cast) => match cast.field.data_type() {
            DataType::Timestamp(unit, _) if unit_of_time(&cast.expr) == Some(TimeUnit::Nanosecond) => {
                Some(*unit)
            }
            _ => None,
        },
        _ => None,
    }
}

fn compared(unit: TimeUnit, op: Operator, value: &Expr) -> Option<Bounds> {
    let Expr::Literal(value, _) = value else { return None };
    let (count, of) = match value {
        ScalarValue::TimestampNanosecond(Some(count), _) => (*count, TimeUnit::Nanosecond),
        ScalarValue::TimestampMicrosecond(Some(count), _) => (*count, TimeUnit::Microsecond),
        ScalarValue::TimestampMillisecond(Some(count), _) => (*count, TimeUnit::Millisecond),
        ScalarValue::TimestampSecond(Some(count), _) => (*count, TimeUnit::Second),
        _ => return None,
    };
    // A cast to a coarser unit cuts towards 1970, so before that its meaning is another.
    if of != unit || (unit != TimeUnit::Nanosecond && count <= 0) {
        return None;
    }
    let width = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    let begin = count.checked_mul(width)?;
    let end = begin.checked_add(width)?;
    Some(match op {
        Operator::Eq => Bounds { since: Some(begin), until: Some(end) },
        Operator::Gt => Bounds { since: Some(end), until: None },
        Operator::GtEq => Bounds { since: Some(begin), until: None },
        Operator::Lt => Bounds { since: None, until: Some(begin) },
        Operator::LtEq => Bounds { since: None, until: Some(end) },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(nanos: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(nanos), Some("UTC".into())))
    }

    fn bounds(since: Option<i64>, until: Option<i64>) -> Bounds {
        Bounds { since, until }
    }

    #[test]
    fn conditions_on_time_are_spans() {
        let check = |expr: Expr, exact: Option<Bounds>, around: Bounds| {
            assert_eq!((exactly(&expr), of(&expr)), (exact, around), "{expr}");
        };
        let both = |bounds: Bounds| (Some(bounds), bounds);
        let time = || col("time");
        for (expr, (exact, around)) in [
            (time().gt(at(5)), both(bounds(Some(6), None))),
            (time().gt_eq(at(5)), both(bounds(Some(5), None))),
            (time().lt(at(5)), both(bounds(None, Some(5)))),
            (time().lt_eq(at(5)), both(bounds(None, Some(6)))),
            (time().eq(at(5)), both(bounds(Some(5), Some(6)))),
            (at(5).gt(time()), both(bounds(None, Some(5)))),
            (time().gt(at(5)).and(time().lt(at(9))), both(bounds(Some(6), Some(9)))),
            (time().between(at(5), at(9)), both(bounds(Some(5), Some(10)))),
            (time().gt(at(5)).or(time().gt(at(2))), (None, bounds(Some(3), None))),
            (time().gt(at(5)).or(col("pod").eq(lit("a"))), (None, bounds(None, None))),
            (time().gt(at(5)).and(col("pod").eq(lit("a"))), (None, bounds(Some(6), None))),
            (time().gt(at(i64::MAX)), (None, bounds(None, None))),
            (time().not_eq(at(5)), (None, bounds(None, None))),
        ] {
            check(expr, exact, around);
        }
        let coarse = Expr::Cast(datafusion::logical_expr::Cast::new(
            Box::new(time()),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ));
        let micros = |count| lit(ScalarValue::TimestampMicrosecond(Some(count), Some("UTC".into())));
        check(coarse.clone().gt(micros(5)), Some(bounds(Some(6000), None)), bounds(Some(6000), None));
        check(coarse.gt(micros(-5)), None, bounds(None, None));
    }
}
