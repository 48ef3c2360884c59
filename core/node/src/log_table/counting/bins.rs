//! Spans of time of one width: what `date_bin`, `time_bucket` and `date_trunc` group by,
//! and how a range is cut into questions that begin and end with a span. Pure.

use datafusion::{common::ScalarValue, logical_expr::Expr};

use super::literal;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The spans `origin + n * width`, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bins {
    pub width: i64,
    pub origin: i64,
}

impl Bins {
    /// The spans that an expression groups the column `time` by. Months have no one width.
    pub fn of(expr: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(function) = expr else { return None };
        let is_time = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == "time");
        match (function.func.name(), function.args.as_slice()) {
            ("date_bin", [stride, time, origin @ ..]) if is_time(time) => {
                let origin = match origin {
                    [] => 0,
                    [origin] => nanos(literal(origin)?)?,
                    _ => return None,
                };
                let width = interval(literal(stride)?)?;
                Some(Self { width, origin })
            }
            ("date_trunc", [unit, time]) if is_time(time) => {
                let unit = literal(unit)?.try_as_str().flatten()?;
                // Weeks begin on Mondays; 1970 began on a Thursday.
                let (width, origin) = match unit.to_ascii_lowercase().as_str() {
                    "microsecond" => (1_000, 0),
                    "millisecond" => (1_000_000, 0),
                    "second" => (SECOND, 0),
                    "minute" => (60 * SECOND, 0),
                    "hour" => (3600 * SECOND, 0),
                    "day" => (DAY, 0),
                    "week" => (7 * DAY, -3 * DAY),
                    _ => return None,
                };
                Some(Self { width, origin })
            }
            _ => None,
        }
    }

    /// The begin of the span that a time is in.
    pub fn begin(self, time: i64) -> i64 {
        let (time, width, origin) = (i128::from(time), i128::from(self.width), i128::from(self.origin));
        let begin = (time - origin).div_euclid(width) * width + origin;
        i64::try_from(begin).unwrap_or(i64::MIN)
    }

    /// The range in pieces of at most `steps` spans, each of which begins with a span or
    /// lies within one.
    pub fn pieces(self, since: i64, until: i64, steps: i64) -> Vec<(i64, i64)> {
        let mut pieces = Vec::new();
        let mut from = since;
        while from < until {
            let begin = self.begin(from);
            let spans = if begin == from { steps } else { 1 };
            let end = begin.saturating_add(self.width.saturating_mul(spans)).min(until);
            pieces.push((from, end));
            from = end;
        }
        pieces
    }
}

fn interval(value: &ScalarValue) -> Option<i64> {
    let (days, nanos) = match value {
        ScalarValue::IntervalMonthDayNano(Some(value)) if value.months == 0 => {
            (value.days, value.nanoseconds)
        }
        ScalarValue::IntervalDayTime(Some(value)) => (value.days, i64::from(value.milliseconds) * 1_000_000),
        _ => return None,
    };
    i64::from(days).checked_mul(DAY)?.checked_add(nanos).filter(|width| *width > 0)
}

fn nanos(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampNanosecond(Some(nanos), _) => Some(*nanos),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_spans() {
        let bins = Bins { width: 10, origin: 3 };
        assert_eq!([bins.begin(3), bins.begin(12), bins.begin(13), bins.begin(-8)], [3, 3, 13, -17]);
        assert_eq!(bins.pieces(5, 60, 2), [(5, 13), (13, 33), (33, 53), (53, 60)]);
        assert_eq!(bins.pieces(3, 13, 5), [(3, 13)]);
        assert_eq!(bins.pieces(5, 7, 5), [(5, 7)]);
        assert_eq!(bins.pieces(7, 7, 5), []);
        let wide = Bins { width: i64::MAX, origin: 0 };
        assert_eq!(wide.pieces(-5, i64::MAX, 3), [(-5, 0), (0, i64::MAX)]);
    }
}
