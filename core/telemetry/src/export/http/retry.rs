//! Whether a message is sent again, and when. Pure.
//!
//! Source: <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>: four statuses pass, and
//! so does a receiver that is away; every other refusal is for good.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

/// Before the first repetition at most; it doubles from then on.
const FIRST: Duration = Duration::from_millis(250);
/// Before any repetition at most, where the receiver asks for none.
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    Never,
    /// After as long as the receiver asks for, or as seems good.
    Later(Option<Duration>),
}

impl Again {
    /// What a refusal says of it.
    pub fn after(status: StatusCode, headers: &HeaderMap) -> Self {
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Self::Later(asked(headers)),
            _ => Self::Never,
        }
    }

    /// How long to wait after `times` repetitions; `chance`, from 0 to 1, keeps senders apart.
    pub fn pause(self, times: u32, chance: f64) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Later(Some(asked)) => Some(asked),
            Self::Later(None) => {
                let most = FIRST.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST);
                Some(most.mul_f64(0.5 + chance / 2.0))
            }
        }
    }
}

/// OTLP has it in seconds; a date is not understood.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn four_statuses_pass_and_may_say_when() {
        let seconds = |seconds| Again::Later(Some(Duration::from_secs(seconds)));
        for (status, after, expected) in [
            (429, Some("7"), seconds(7)),
            (502, None, Again::Later(None)),
            (503, Some(" 0 "), seconds(0)),
            (503, Some("Fri, 31 Dec 1999 23:59:59 GMT"), Again::Later(None)),
            (504, None, Again::Later(None)),
            (500, Some("7"), Again::Never),
            (408, None, Again::Never),
            (413, None, Again::Never),
            (400, Some("7"), Again::Never),
            (301, None, Again::Never),
        ] {
            let headers = after.map(|after| (header::RETRY_AFTER, HeaderValue::from_static(after)));
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Again::after(status, &headers.into_iter().collect()), expected, "{status} {after:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_chance_takes_half_at_most() {
        let pause = |times, chance| Again::Later(None).pause(times, chance).expect("it is sent again");
        for (times, most) in [(0, FIRST), (1, FIRST * 2), (2, FIRST * 4), (9, LONGEST), (u32::MAX, LONGEST)] {
            assert_eq!((pause(times, 0.0), pause(times, 1.0)), (most / 2, most), "{times}");
        }
        assert_eq!(Again::Later(Some(LONGEST * 9)).pause(3, 0.5), Some(LONGEST * 9));
        assert_eq!(Again::Never.pause(0, 0.5), None);
    }
}
