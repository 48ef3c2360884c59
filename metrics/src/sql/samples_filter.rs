//! What conditions of a statement say of series and of time.
//!
//! Only what surely holds is taken out of them; the engine looks at each row again, so that a
//! condition which is not understood here costs time and no truth.

use std::ops::Range;

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
};

use super::samples::LABELS;
use crate::series::{MatchOp, Matcher, NAME};

/// Series and milliseconds since the Unix epoch that are enough to answer.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    pub matchers: Vec<Matcher>,
    pub range: Range<i64>,
}

/// The times that conditions on a column `time` leave, milliseconds since the Unix epoch.
pub fn time_range(filters: &[Expr]) -> Range<i64> {
    wanted(filters).range
}

/// What all of the conditions together want.
pub fn wanted(filters: &[Expr]) -> Wanted {
    let mut wanted = Wanted { matchers: Vec::new(), range: i64::MIN..i64::MAX };
    filters.iter().for_each(|filter| narrow(&mut wanted, filter));
    wanted
}

fn narrow(wanted: &mut Wanted, filter: &Expr) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(wanted, left);
            narrow(wanted, right);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(value, _)) => compare(wanted, &column.name, *op, value),
            (Expr::Literal(value, _), Expr::Column(column)) => {
                if let Some(op) = op.swap() {
                    compare(wanted, &column.name, op, value);
                }
            }
            _ => {}
        },
        Expr::Between(between) if !between.negated => {
            if let (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) =
                (&*between.expr, &*between.low, &*between.high)
            {
                compare(wanted, &column.name, Operator::GtEq, low);
                compare(wanted, &column.name, Operator::LtEq, high);
            }
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let Expr::Column(column) = &**expr else { return };
            let texts: Option<Vec<_>> = list
                .iter()
                .map(|one| match one {
                    Expr::Literal(value, _) => value.try_as_str().flatten().map(regex::escape),
                    _ => None,
                })
                .collect();
            if let (Some(label), Some(texts)) = (label_of(&column.name), texts)
                && texts.iter().all(|text| !text.is_empty())
            {
                wanted.matchers.extend(Matcher::new(label, MatchOp::Matches, &texts.join("|")));
            }
        }
        _ => {}
    }
}

fn compare(wanted: &mut Wanted, column: &str, op: Operator, value: &ScalarValue) {
    if column == "time" {
        let Some(time) = milliseconds(value) else { return };
        let range = &mut wanted.range;
        match op {
            Operator::Gt | Operator::GtEq => range.start = range.start.max(time),
            // A fraction of a millisecond is cut off, so the millisecond itself may hold.
            Operator::Lt | Operator::LtEq => range.end = range.end.min(time.saturating_add(1)),
            Operator::Eq => {
                *range = range.start.max(time)..range.end.min(time.saturating_add(1));
            }
            _ => {}
        }
        return;
    }
    let (Some(label), Some(Some(text))) = (label_of(column), value.try_as_str()) else { return };
    // An absent label is null, which no comparison holds of; an empty one does not exist.
    let matcher = match op {
        Operator::Eq if !text.is_empty() => Ok(Matcher::equal(label, text)),
        Operator::RegexMatch => Matcher::new(label, MatchOp::Matches, &format!(".*(?:{text}).*")),
        Operator::LikeMatch => Matcher::new(label, MatchOp::Matches, &like(text)),
        _ => return,
    };
    wanted.matchers.extend(matcher);
}

/// The label that a column shows.
fn label_of(column: &str) -> Option<&str> {
    if column == "name" {
        return Some(NAME);
    }
    LABELS.iter().map(|(label, _)| *label).find(|label| *label == column)
}

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

fn milliseconds(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampSecond(Some(time), _) => time.checked_mul(1000),
        ScalarValue::TimestampMillisecond(Some(time), _) => Some(*time),
        ScalarValue::TimestampMicrosecond(Some(time), _) => Some(time.div_euclid(1000)),
        ScalarValue::TimestampNanosecond(Some(time), _) => Some(time.div_euclid(1_000_000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn time(milliseconds: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(milliseconds), Some("UTC".into())))
    }

    #[test]
    fn names_labels_and_times_are_taken_out() {
        let filter =
            col("name").eq(lit("up")).and(lit("shop").eq(col("namespace"))).and(col("value").gt(lit(1)));
        let found = wanted(&[filter, col("time").gt(time(5)), time(9).gt_eq(col("time"))]);
        assert_eq!(found.range, 5..10);
        assert_eq!(found.matchers, [Matcher::equal(NAME, "up"), Matcher::equal("namespace", "shop")]);
        let listed = wanted(&[col("pod").in_list(vec![lit("a.b"), lit("c")], false)]);
        let matcher = Matcher::new("pod", MatchOp::Matches, "a\\.b|c").expect("valid");
        assert_eq!(listed.matchers, [matcher]);
        let between = wanted(&[col("time").between(time(3), time(4))]);
        assert_eq!(between.range, 3..5);
    }

    #[test]
    fn what_is_not_sure_is_left_to_the_engine() {
        let either = col("name").eq(lit("up")).or(col("name").eq(lit("down")));
        let filters =
            [either, col("pod").not_eq(lit("x")), col("pod").eq(lit("")), col("labels").eq(lit("{}"))];
        assert_eq!(wanted(&filters), Wanted { matchers: vec![], range: i64::MIN..i64::MAX });
    }

    #[test]
    fn a_pattern_of_sql_is_a_regular_expression() {
        assert_eq!(like("a%b_.\\%"), "a.*b.\\.%");
    }
}
