//! Spans of time in the few characters of a table cell: `45s`, `5m12s`, `3h`, `2d4h`, `1y20d`.

use jiff::Timestamp;
use serde_json::Value;

/// Two units where the first alone would be coarse, one where it is enough; the
/// thresholds are kubectl's, so that columns read the same.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..=0 => "0s".into(),
        1..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn two(major: i64, major_unit: &str, minor: i64, minor_unit: &str) -> String {
    if minor == 0 {
        format!("{major}{major_unit}")
    } else {
        format!("{major}{major_unit}{minor}{minor_unit}")
    }
}

/// The age of an RFC 3339 time; `<unknown>` for an absent or broken one.
pub fn since(time: Option<&Value>, now: i64) -> String {
    seconds_of(time).map_or_else(|| "<unknown>".into(), |then| duration(now - then))
}

/// Seconds since the Unix epoch of an RFC 3339 time.
pub fn seconds_of(time: Option<&Value>) -> Option<i64> {
    time?.as_str()?.parse::<Timestamp>().ok().map(Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn two_units_only_while_the_first_is_small() {
        let table = [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (312, "5m12s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (12_660, "3h31m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (187_200, "2d4h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (64_800_000, "2y20d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
