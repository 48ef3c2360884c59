//! How long a question may take: the member `within` of the requests that read. Pure.
//!
//! A node gives what it has when its time is up, and says so. What it looks at is not
//! what its reader pays for, so nobody may ask for any time: servers and collectors
//! have a longest one each (`--log-query-timeout`).

use std::time::Duration;

use crate::time;

/// What a question takes on a node, unless it says otherwise.
pub const QUERY_TIME: Duration = Duration::from_secs(8);
/// The longest it may ask for, unless a server or a collector was told otherwise.
pub const LONGEST_QUERY_TIME: Duration = Duration::from_secs(60);

/// Reads `within`: a span such as `30s`; no more than `longest` is given.
///
/// # Errors
/// It is no span, or nothing could be looked at in it; a sentence.
pub fn within(text: Option<&str>, longest: Duration) -> Result<Option<Duration>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let span = time::span(text).and_then(|span| u64::try_from(span).ok()).map(Duration::from_nanos);
    match span {
        Some(span) if span >= Duration::from_millis(1) => Ok(Some(span.min(longest))),
        _ => {
            let shown: String = text.chars().take(100).collect();
            Err(format!(
                "`{shown}` is no time that a query may take: write `within` as a span such as 30s or 2m"
            ))
        }
    }
}

/// What a node takes for a question that asks for so many milliseconds.
pub fn query_time(within_ms: Option<u64>, longest: Duration) -> Duration {
    within_ms.map_or(QUERY_TIME, Duration::from_millis).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_and_is_never_longer_than_the_longest() {
        let longest = Duration::from_secs(60);
        let check = |text: Option<&str>, expected: Option<u64>| {
            let found = within(text, longest).expect("a span");
            assert_eq!(found, expected.map(Duration::from_millis), "{text:?}");
        };
        check(None, None);
        check(Some(""), None);
        check(Some("1ms"), Some(1));
        check(Some("30s"), Some(30_000));
        check(Some("1m1s"), Some(60_000));
        check(Some("52w"), Some(60_000));
        for wrong in ["soon", "30", "-1s", "0s", "999us", "99999999999999999999s"] {
            let error = within(Some(wrong), longest).expect_err(wrong);
            let expected = format!(
                "`{wrong}` is no time that a query may take: write `within` as a span such as 30s or 2m"
            );
            assert_eq!(error, expected);
        }
        assert!(within(Some(&"x".repeat(5_000)), longest).expect_err("wrong").len() < 300);
    }

    #[test]
    fn a_node_takes_what_is_asked_for_up_to_its_own_longest() {
        let time = |within: Option<u64>, longest: u64| {
            query_time(within, Duration::from_millis(longest)).as_millis() as u64
        };
        assert_eq!((time(None, 60_000), time(None, 5_000)), (8_000, 5_000));
        assert_eq!((time(Some(30_000), 60_000), time(Some(90_000), 60_000)), (30_000, 60_000));
        assert_eq!((time(Some(0), 60_000), time(Some(u64::MAX), 60_000)), (0, 60_000));
    }
}
