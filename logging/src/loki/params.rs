//! Parameters of requests: times, spans, directions, as Loki's clients write them.

use crate::time::{self, SECOND};

/// Entries of an answer when the request names no limit.
const DEFAULT_LIMIT: usize = 100;
/// The most entries of an answer.
const MAX_LIMIT: usize = 5000;
/// Steps of a range, at most.
const MAX_STEPS: i64 = 11_000;

/// Parameters by name, in the order of the request; a name may occur more than once.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

/// From, to (exclusive) and step of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub start: i64,
    pub end: i64,
    pub step: i64,
}

impl Params {
    /// Of a query string or a form.
    pub fn parse(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Self(text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect())
    }

    /// What both say.
    pub fn with(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, value)| other == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = self.0.iter().filter(move |(other, value)| other == name && !value.is_empty());
        given.map(|(_, value)| value.as_str())
    }

    pub fn query(&self) -> Result<&str, String> {
        self.get("query").ok_or_else(|| "the parameter `query` is missing".to_owned())
    }

    pub fn limit(&self) -> Result<usize, String> {
        let Some(text) = self.get("limit") else { return Ok(DEFAULT_LIMIT) };
        let limit: usize = text.parse().map_err(|_| format!("`{text}` is no limit: write a number"))?;
        if limit > MAX_LIMIT {
            return Err(format!("the limit {limit} is more than {MAX_LIMIT}: ask for fewer lines"));
        }
        Ok(limit.max(1))
    }

    /// Whether the oldest entries come first.
    pub fn is_forward(&self) -> Result<bool, String> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(false),
            Some("forward") => Ok(true),
            Some(other) => Err(format!("`{other}` is no direction: write `forward` or `backward`")),
        }
    }

    /// The time of the parameter, in nanoseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(text) = self.get(name) else { return Ok(None) };
        moment(text).map(Some).ok_or_else(|| {
            format!("`{text}` is no time for `{name}`: write Unix seconds or nanoseconds, or RFC 3339")
        })
    }

    /// The range, `back` long and up to `now` where nothing is said.
    pub fn range(&self, now: i64, back: i64) -> Result<Range, String> {
        let end = self.time("end")?.unwrap_or(now);
        let since = match self.get("since") {
            Some(text) => span(text).ok_or_else(|| format!("`{text}` is no span: write one such as 15m"))?,
            None => back,
        };
        let start = self.time("start")?.unwrap_or_else(|| end.saturating_sub(since));
        if start > end {
            return Err("`start` is behind `end`: swap the two".into());
        }
        let length = end.saturating_sub(start);
        let step = match self.get("step") {
            Some(text) => {
                span(text).filter(|step| *step > 0).ok_or_else(|| format!("`{text}` is no step"))?
            }
            // Some 250 points, in whole seconds.
            None => (length / 250 / SECOND).max(1) * SECOND,
        };
        if length / step > MAX_STEPS {
            return Err(format!(
                "the range has more than {MAX_STEPS} points: make `step` longer, or the range shorter"
            ));
        }
        Ok(Range { start, end, step })
    }
}

/// Unix seconds (with a fraction, or few digits) or nanoseconds, or RFC 3339.
fn moment(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        // Ten digits are seconds until the year 2286.
        let digits = text.trim_start_matches('-').len();
        return if digits <= 10 { number.checked_mul(SECOND) } else { Some(number) };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some((seconds * 1e9) as i64);
    }
    time::parse(text)
}

/// Seconds, or a span with units.
pub fn span(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => (seconds.is_finite() && seconds.abs() < 9e9).then_some((seconds * 1e9) as i64),
        Err(_) => time::span(text),
    }
}

/// `%41+b` as `A b`.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_of_clients() {
        for (text, expected) in [
            ("1700000000", Some(1_700_000_000_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500_000_000)),
            ("1700000000000000001", Some(1_700_000_000_000_000_001)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000_000_000)),
            ("now-1h", None),
        ] {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert_eq!(
            (span("15"), span("0.5"), span("1m30s"), span("soon")),
            (Some(15 * SECOND), Some(SECOND / 2), Some(90 * SECOND), None)
        );
    }

    #[test]
    fn parameters_are_read_and_checked() {
        let params =
            Params::parse("query=%7Ba%3D%22b+c%22%7D&limit=&match%5B%5D=x&match%5B%5D=y&start=10&end=20");
        assert_eq!(params.query(), Ok("{a=\"b c\"}"));
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(params.limit(), Ok(100));
        assert_eq!(params.range(0, 0), Ok(Range { start: 10 * SECOND, end: 20 * SECOND, step: SECOND }));
        assert!(Params::parse("start=20&end=10").range(0, 0).is_err());
        assert!(Params::parse("start=0&end=1000000&step=1").range(0, 0).is_err());
        assert!(Params::parse("limit=1000000").limit().is_err() && Params::parse("limit=x").limit().is_err());
        assert_eq!(
            (Params::parse("direction=FORWARD").is_forward(), Params::default().is_forward()),
            (Ok(true), Ok(false))
        );
    }
}
