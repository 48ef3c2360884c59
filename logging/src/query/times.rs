//! Times of records in a query: `time:>=2026-01-31T12:00:00Z`, `time:[now-1h TO now-5m]`.
//!
//! A comparison of times is a leaf like any other, so it means the same below NOT and
//! OR. Of a block the first and last time tell it, before anything is read. What stands
//! at the top, joined by AND, bounds the whole query ([`Expr::within`]): where to look,
//! and what a request without times of its own is about.
//!
//! `now` is one moment for all nodes: the server writes it out ([`Expr::at`]) before it asks.

use super::{
    ast::{Expr, Op, Value},
    compile::{Compiled, Leaf, Verdict},
};
use crate::time;

/// The name that takes times only.
const NAME: &str = "time";
/// What a time may look like, for errors.
pub(super) const FORMS: &str =
    "write 2026-01-31T12:00:00Z, 2026-01-31, now, or a span from now such as now-15m";

/// `time` takes times only.
pub fn is_time(name: &str) -> bool {
    name == NAME
}

/// A time as a query writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(i64),
    /// So far from now.
    Now(i64),
}

impl Moment {
    fn at(self, now: i64) -> i64 {
        match self {
            Moment::At(time) => time,
            Moment::Now(span) => now.saturating_add(span),
        }
    }
}

fn moment(text: &str) -> Option<Moment> {
    if let Some(span) = text.strip_prefix("now") {
        return match span.split_at_checked(1) {
            None => Some(Moment::Now(0)),
            Some(("-", span)) => time::span(span).map(|span| Moment::Now(-span)),
            Some(("+", span)) => time::span(span).map(Moment::Now),
            Some(_) => None,
        };
    }
    let day = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let at = if day { time::parse(&format!("{text}T00:00:00Z")) } else { time::parse(text) };
    at.map(Moment::At)
}

/// Whether a text is a time.
pub(super) fn is_moment(text: &str) -> bool {
    moment(text).is_some()
}

/// The times that a value of `time` names, both counted in; nothing lies between them where
/// the first is later.
pub(super) fn interval(value: &Value, now: i64) -> Result<(i64, i64), String> {
    let at = |text: &str| moment(text).map(|at| at.at(now)).ok_or_else(|| format!("`{text}` is no time"));
    // Beyond the last time there is none, which no value of the type says.
    let (first, last, none) = (i64::MIN, i64::MAX, (i64::MAX, i64::MIN));
    let above = |time: i64| time.checked_add(1).map_or(none, |from| (from, last));
    let below = |time: i64| time.checked_sub(1).map_or(none, |to| (first, to));
    Ok(match value {
        Value::Exists => (first, last),
        Value::Compare(Op::Less, bound) => below(at(bound)?),
        Value::Compare(Op::AtMost, bound) => (first, at(bound)?),
        Value::Compare(Op::Greater, bound) => above(at(bound)?),
        Value::Compare(Op::AtLeast, bound) => (at(bound)?, last),
        Value::Range { from, to, inclusive } => {
            let from = from.as_deref().map(at).transpose()?;
            let to = to.as_deref().map(at).transpose()?;
            let closed = |time: i64| if *inclusive { (time, time) } else { (above(time).0, below(time).1) };
            (from.map_or(first, |from| closed(from).0), to.map_or(last, |to| closed(to).1))
        }
        Value::Text(_) | Value::Is(_) | Value::Regex(_) => return Err("a time is compared".into()),
    })
}

/// What bounds all records of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Within {
    /// Nanoseconds, inclusive.
    pub since: Option<i64>,
    /// Nanoseconds, exclusive.
    pub until: Option<i64>,
}

impl Within {
    /// Whether records of these times, from the first to the last, can be within.
    pub fn touches(&self, min_time: i64, max_time: i64) -> bool {
        self.since.is_none_or(|since| max_time >= since) && self.until.is_none_or(|until| min_time < until)
    }

    fn and(self, (from, to): (i64, i64)) -> Self {
        // A bound at the edge of all times is none; an interval without a time keeps both ends.
        let since = Some(from).filter(|from| *from > i64::MIN);
        let until = to.checked_add(1);
        Self { since: self.since.max(since), until: [self.until, until].into_iter().flatten().min() }
    }
}

impl Expr {
    /// What the query says of the time of all its records.
    pub fn within(&self, now: i64) -> Within {
        let parts = match self {
            Expr::And(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        parts.iter().filter_map(|part| part.times(now)).fold(Within::default(), Within::and)
    }

    /// The query without what [`Expr::within`] says.
    pub fn beside_times(self) -> Expr {
        let mut rest = match self {
            Expr::And(parts) => parts,
            one => vec![one],
        };
        rest.retain(|part| part.times(0).is_none());
        if rest.is_empty() { Expr::All } else { Expr::and(rest) }
    }

    fn times(&self, now: i64) -> Option<(i64, i64)> {
        match self {
            Expr::Field { name, value } if is_time(name) => interval(value, now).ok(),
            _ => None,
        }
    }

    /// The query with every `now` written out.
    pub fn at(self, now: i64) -> Expr {
        match self {
            Expr::Field { name, value } if is_time(&name) => Expr::Field { name, value: value.at(now) },
            Expr::Not(inner) => Expr::Not(Box::new(inner.at(now))),
            Expr::And(parts) => Expr::And(parts.into_iter().map(|part| part.at(now)).collect()),
            Expr::Or(parts) => Expr::Or(parts.into_iter().map(|part| part.at(now)).collect()),
            other => other,
        }
    }
}

impl Value {
    fn at(self, now: i64) -> Value {
        let written = |text: String| match moment(&text) {
            Some(at @ Moment::Now(_)) => time::format(at.at(now)),
            _ => text,
        };
        match self {
            Value::Compare(op, bound) => Value::Compare(op, written(bound)),
            Value::Range { from, to, inclusive } => {
                Value::Range { from: from.map(written), to: to.map(written), inclusive }
            }
            other => other,
        }
    }
}

impl Compiled {
    /// What the times of a block's first and last record say.
    pub fn on_times(&self, verdicts: &mut [Verdict], min_time: i64, max_time: i64) {
        for (leaf, verdict) in self.leaves.iter().zip(verdicts) {
            if let Leaf::Time { from, to } = leaf {
                *verdict = if max_time < *from || min_time > *to {
                    Verdict::No
                } else if min_time >= *from && max_time <= *to {
                    Verdict::Yes
                } else {
                    Verdict::Maybe
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;

    fn now() -> i64 {
        time::parse("2026-01-31T12:00:00Z").expect("a time")
    }

    #[test]
    fn what_stands_at_the_top_bounds_the_query() {
        let check = |query: &str, since: Option<&str>, until: Option<&str>| {
            let within = parse(query).expect(query).within(now());
            let shown = |time: Option<i64>| time.map(time::format);
            let full = |time: Option<&str>| time.map(|time| format!("2026-01-{time}Z"));
            assert_eq!((shown(within.since), shown(within.until)), (full(since), full(until)), "{query}");
        };
        check("a", None, None);
        check("a time:>=now-1h", Some("31T11:00:00.000000000"), None);
        check("time:>now-1h", Some("31T11:00:00.000000001"), None);
        check("time:<2026-01-31 b", None, Some("31T00:00:00.000000000"));
        check("time:<=now", None, Some("31T12:00:00.000000001"));
        check("time:[now-1h TO now-5m]", Some("31T11:00:00.000000000"), Some("31T11:55:00.000000001"));
        check(
            "time:{2026-01-30T10:00:00+01:00 TO now+1s}",
            Some("30T09:00:00.000000001"),
            Some("31T12:00:01.000000000"),
        );
        check("time:>=now-2h time:[now-1h TO *]", Some("31T11:00:00.000000000"), None);
        check("time:* (time:>now OR a)", None, None);
        check("NOT time:>now", None, None);
    }

    #[test]
    fn now_is_written_out_and_the_rest_stays() {
        let check = |query: &str, at: &str, beside: &str| {
            let query = parse(query).expect(query);
            assert_eq!(query.clone().at(now()).to_string(), at);
            assert_eq!(query.beside_times().to_string(), beside);
        };
        check("a", "a", "a");
        check("time:>now-1h", "time:>2026-01-31T11:00:00.000000000Z", "*");
        check(
            "a (b OR NOT time:{now-1m TO *})",
            "a AND (b OR NOT time:{2026-01-31T11:59:00.000000000Z TO *})",
            "a AND (b OR NOT time:{now-1m TO *})",
        );
        check("a time:<2026-01-30 b", "a AND time:<2026-01-30 AND b", "a AND b");
    }

    #[test]
    fn the_edges_of_all_times_are_no_others() {
        let check = |query: &str, expected: (i64, i64)| {
            let Expr::Field { value, .. } = parse(query).expect(query) else { panic!("{query}") };
            assert_eq!(interval(&value, i64::MAX), Ok(expected), "{query}");
        };
        check("time:>9999-12-31T23:59:59Z", (i64::MAX, i64::MIN));
        check("time:<0001-01-01T00:00:00Z", (i64::MAX, i64::MIN));
        check("time:>=now+1w", (i64::MAX, i64::MAX));
        check("time:{* TO now-99999d}", (i64::MIN, i64::MAX - 99_999 * 86_400 * time::SECOND - 1));
    }
}
