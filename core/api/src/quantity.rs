//! Quantities (`100m`, `1Gi`, `1.5`, `2e3`) as whole thousandths or whole units.
//!
//! Rounds up, as Kubernetes does, and saturates: a request that is not a whole
//! number of units never becomes smaller than what was asked for.
//! The grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

/// In thousandths of a unit: `100m` of CPU is 100. `None` when it is no quantity.
pub fn milli(text: &str) -> Option<i64> {
    scaled(text, 1_000)
}

/// In whole units, bytes for memory: `1Ki` is 1024. `None` when it is no quantity.
pub fn units(text: &str) -> Option<i64> {
    scaled(text, 1)
}

/// A power of two or of ten, as numerator and denominator.
fn suffix(text: &str) -> Option<(u128, u128)> {
    Some(match text {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => return exponent(text),
    })
}

fn exponent(text: &str) -> Option<(u128, u128)> {
    let power: i32 = text.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10u128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 18)?;
    Some(if power < 0 { (1, factor) } else { (factor, 1) })
}

fn scaled(text: &str, scale: u128) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, tail) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let digits: u128 = format!("0{whole}{fraction}").parse().ok().filter(|_| whole.len() <= 19)?;
    let (numerator, denominator) = suffix(tail)?;
    let denominator = denominator * 10u128.pow(fraction.len() as u32);
    let value = digits.checked_mul(numerator)?.checked_mul(scale);
    let value = value.map_or(i64::MAX, |value| i64::try_from(value.div_ceil(denominator)).unwrap_or(i64::MAX));
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_become_whole_numbers_rounded_up() {
        for (text, expected_milli, expected_units) in [
            ("0", 0, 0),
            ("1", 1_000, 1),
            ("100m", 100, 1),
            ("1.5", 1_500, 2),
            (".5", 500, 1),
            ("1Ki", 1_024_000, 1_024),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("2e3", 2_000_000, 2_000),
            ("5E", i64::MAX, 5_000_000_000_000_000_000),
            ("1n", 1, 1),
            ("-2k", -2_000_000, -2_000),
        ] {
            assert_eq!(milli(text), Some(expected_milli), "{text}");
            assert_eq!(units(text), Some(expected_units), "{text}");
        }
        for text in ["", "x", "1.2.3", "1kk", "1e99", "--1", "12345678901234567890123"] {
            assert_eq!(milli(text), None, "{text}");
        }
    }
}
