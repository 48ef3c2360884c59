//! Numbers as logs write them: plain, with a unit of time or of size.
//!
//! One reading for comparisons (`duration:>100ms`) and statistics: times are in
//! seconds, sizes in bytes, so that `1.5s` and `1500ms` are equal. `m` is a minute.

/// Units of time, in seconds.
const TIMES: [(&str, f64); 10] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
    ("w", 604_800.0),
];

/// Units of size, in bytes; case counts for none but the first letter.
const SIZES: [(&str, f64); 17] = [
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("PB", 1e15),
    ("kB", 1e3),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("PiB", 1_125_899_906_842_624.0),
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("kb", 1e3),
];

/// The number a text says from end to end; `NaN` is none.
pub fn parse(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return Some(number).filter(|number| !number.is_nan());
    }
    duration(text).or_else(|| size(text))
}

/// `12ms`, `1h30m`, `-1.5s`, in seconds.
pub fn duration(text: &str) -> Option<f64> {
    let (sign, mut rest) = signed(text);
    let mut total = 0.0;
    let mut parts = 0;
    while !rest.is_empty() {
        let (number, after) = leading(rest)?;
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (_, seconds) = TIMES.iter().find(|(unit, _)| *unit == &after[..letters])?;
        total += scaled(number, *seconds);
        rest = &after[letters..];
        parts += 1;
    }
    (parts > 0).then_some(sign * total)
}

/// A number in a unit, as seconds. Divided, so that what is the same is equal: multiplied, `9ms` would
/// be a little more than `0.009s`.
fn scaled(number: f64, seconds: f64) -> f64 {
    if seconds < 1.0 { number / (1.0 / seconds).round() } else { number * seconds }
}

/// `4KiB`, `1.5 MB`, in bytes.
pub fn size(text: &str) -> Option<f64> {
    let (sign, rest) = signed(text);
    let (number, unit) = leading(rest)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit)?;
    Some(sign * number * bytes)
}

fn signed(text: &str) -> (f64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits with at most one point, and what follows them.
fn leading(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(parse(text), expected, "{text}");
        check("503", Some(503.0));
        check("-1.5e3", Some(-1500.0));
        check("12ms", Some(0.012));
        check("1h30m", Some(5400.0));
        check("1m0.5s", Some(60.5));
        check("-2s", Some(-2.0));
        check("3µs", Some(3e-6));
        check("9ms", Some(0.009));
        check("700000us", Some(0.7));
        check("4KiB", Some(4096.0));
        check("1.5 MB", Some(1.5e6));
        check("128Mi", Some(134_217_728.0));
        for none in ["", "ms", "12xy", "NaN", "1.2.3s", "12ms!", "KiB", "- 5", "5 ms"] {
            check(none, None);
        }
    }
}
