//! Prometheus' names for OpenTelemetry's metrics and attributes. Pure.
//!
//! The rules and units are those of the specification of their compatibility: what no name
//! may have becomes `_`, the unit and, of counters, `_total` stand at the end.

use crate::series::MetricKind;

const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// A metric's unit in words: `bytes`, `meters_per_second`.
pub fn unit(unit: &str) -> String {
    let plain = |text: &str| match text.contains(['{', '}']) {
        true => String::new(),
        false => text.trim().to_owned(),
    };
    let word = |text: &str, table: &[(&str, &str)]| {
        let text = plain(text);
        let found = table.iter().find(|(short, _)| *short == text);
        found.map_or_else(|| tokens(&text).join("_"), |(_, word)| (*word).to_owned())
    };
    match unit.split_once('/') {
        None => word(unit, UNITS),
        Some((main, per)) => {
            let (main, per) = (word(main, UNITS), word(per, PER));
            match (main.is_empty(), per.is_empty()) {
                (_, true) => main,
                (true, false) => format!("per_{per}"),
                (false, false) => format!("{main}_per_{per}"),
            }
        }
    }
}

/// The parts of a name that may stand in one.
fn tokens(name: &str) -> Vec<&str> {
    let parts = name.split(|character: char| !character.is_ascii_alphanumeric() && character != ':');
    parts.filter(|part| !part.is_empty()).collect()
}

/// A metric's name.
pub fn metric(name: &str, written: &str, kind: MetricKind) -> String {
    let mut parts = tokens(name);
    let in_words = unit(written);
    let words: Vec<_> = in_words.split('_').filter(|word| !word.is_empty()).collect();
    // A unit that the name has already isn't said again.
    match words.iter().position(|word| *word == "per") {
        Some(at) => {
            let (main, per) = words.split_at(at);
            let missing = |part: &&&str| !parts.contains(*part);
            let mut ends: Vec<&str> = main.iter().filter(missing).copied().collect();
            if !per[1..].iter().all(|word| parts.contains(word)) {
                ends.extend(per);
            }
            parts.extend(ends);
        }
        None => {
            if !words.iter().all(|word| parts.contains(word)) {
                parts.extend(&words);
            }
        }
    }
    match kind {
        MetricKind::Counter => {
            parts.retain(|part| *part != "total");
            parts.push("total");
        }
        MetricKind::Gauge if written == "1" => {
            parts.retain(|part| *part != "ratio");
            parts.push("ratio");
        }
        _ => {}
    }
    let joined = parts.join("_");
    match joined.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("_{joined}"),
        false => joined,
    }
}

/// A label's name.
pub fn label(name: &str) -> String {
    let allowed = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    let plain: String = name.chars().map(allowed).collect();
    match plain.chars().next() {
        Some(first) if first.is_ascii_digit() => format!("key_{plain}"),
        Some('_') if !plain.starts_with("__") => format!("key{plain}"),
        // Names that begin with two are the database's own.
        Some('_') => format!("key{}", &plain[1..]),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_prometheus_names() {
        use MetricKind::{Counter, Gauge, Histogram};
        let table = [
            ("http.server.request.duration", "s", Histogram, "http_server_request_duration_seconds"),
            ("system.io", "By", Counter, "system_io_bytes_total"),
            ("requests", "{request}", Counter, "requests_total"),
            ("requests.total", "1", Counter, "requests_total"),
            ("memory.bytes", "By", Gauge, "memory_bytes"),
            ("cpu.usage", "1", Gauge, "cpu_usage_ratio"),
            ("speed", "m/s", Gauge, "speed_meters_per_second"),
            ("fsync", "{call}/s", Gauge, "fsync_per_second"),
            ("2xx--count", "", Gauge, "_2xx_count"),
            ("load", "%", Gauge, "load_percent"),
            ("a:b", "foo_bar", Gauge, "a:b_foo_bar"),
        ];
        for (name, unit, kind, wanted) in table {
            assert_eq!(metric(name, unit, kind), wanted);
        }
    }

    #[test]
    fn attributes_have_labels_names() {
        let table = [
            ("http.method", "http_method"),
            ("0a", "key_0a"),
            ("_x", "key_x"),
            ("__x", "key_x"),
            ("ü", "key_"),
        ];
        for (name, wanted) in table {
            assert_eq!(label(name), wanted);
        }
    }
}
