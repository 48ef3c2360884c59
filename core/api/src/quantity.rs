//! Resource quantities: `100m`, `1.5Gi`, `2e3`.
//!
//! Kept in billionths, so that the smallest unit (nano) is exact and arithmetic is on integers; what is
//! finer is rounded up, what is larger than 2^63-1 is capped, as the API's
//! documentation of Quantity says. Printing gives the canonical form: no
//! fraction, the largest unit that is exact, in the family of units it was written in.

use std::{cmp::Ordering, fmt, str::FromStr};

/// In thousandths of a unit, rounded up: `100m` of CPU is 100. `None` when it is no quantity.
pub fn milli(text: &str) -> Option<i64> {
    text.trim().parse().ok().map(Quantity::millis)
}

/// In whole units, rounded up, bytes for memory: `1Ki` is 1024. `None` when it is no quantity.
pub fn units(text: &str) -> Option<i64> {
    text.trim().parse().ok().map(Quantity::units)
}

const NANO: i128 = 1_000_000_000;
const LIMIT: i128 = i64::MAX as i128 * NANO;

const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

/// An amount of a resource. Compares by amount; the units don't matter.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    family: Family,
}

/// The units a quantity was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Decimal,
    Binary,
    Exponent,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct InvalidQuantity;

impl Quantity {
    pub const ZERO: Self = Self { nanos: 0, family: Family::Decimal };

    /// A whole amount: cores, bytes, pieces.
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANO, family: Family::Decimal }
    }

    /// A number of thousandths, as CPU is counted.
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (NANO / 1_000), family: Family::Decimal }
    }

    /// An amount in bytes, printed in Ki, Mi, Gi.
    pub fn from_bytes(bytes: i64) -> Self {
        Self { nanos: i128::from(bytes) * NANO, family: Family::Binary }
    }

    /// Whole units, rounded up.
    pub fn units(self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded up.
    pub fn millis(self) -> i64 {
        self.scaled(NANO / 1_000)
    }

    /// As a float, for ratios.
    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Whether this is more than `ratio` times the other amount. Exact.
    pub fn exceeds(self, other: Self, ratio: Self) -> bool {
        // In billionths of billionths, where a product may not fit: then both are halved.
        let (mut left, mut right, mut ratio) = (self.nanos, other.nanos, ratio.nanos);
        loop {
            match (left.checked_mul(NANO), right.checked_mul(ratio)) {
                (Some(left), Some(right)) => return left > right,
                _ if ratio > NANO => (ratio, left) = (ratio / 2, left / 2),
                _ => (right, left) = (right / 2, left / 2),
            }
        }
    }

    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// The next whole amount that is not smaller.
    pub fn rounded_up(self) -> Self {
        let up = if self.nanos % NANO > 0 { NANO } else { 0 };
        Self { nanos: self.nanos - self.nanos % NANO + up, family: self.family }
    }

    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    fn scaled(self, unit: i128) -> i64 {
        let up = i128::from(self.nanos % unit > 0);
        i64::try_from(self.nanos / unit + up).unwrap_or(if self.nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;

    /// In the units of the first that is not zero.
    fn add(self, other: Self) -> Self {
        let family = if self.is_zero() { other.family } else { self.family };
        Self { nanos: self.nanos.saturating_add(other.nanos), family }
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let family = if self.is_zero() { other.family } else { self.family };
        Self { nanos: self.nanos.saturating_sub(other.nanos), family }
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(InvalidQuantity);
        }
        let (family, multiplier) = unit(suffix)?;
        let amount = scale(whole, fraction, multiplier).min(LIMIT);
        Ok(Self { nanos: if negative { -amount } else { amount }, family })
    }
}

/// What one of a unit is: a power of ten, or of two.
#[derive(Clone, Copy)]
enum Multiplier {
    Ten(i32),
    Two(u32),
}

fn unit(suffix: &str) -> Result<(Family, Multiplier), InvalidQuantity> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Family::Decimal, Multiplier::Ten(*power)));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((Family::Binary, Multiplier::Two(*power)));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|digits| digits.parse().ok());
    exponent.map(|power| (Family::Exponent, Multiplier::Ten(power))).ok_or(InvalidQuantity)
}

/// The number in billionths, rounded up; saturates.
fn scale(whole: &str, fraction: &str, multiplier: Multiplier) -> i128 {
    // Digits beyond these can only matter by being there: they round up.
    let kept = &fraction[..fraction.len().min(18)];
    let rounds_up = fraction[kept.len()..].bytes().any(|b| b != b'0');
    let digits = format!("{whole}{kept}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return i128::from(rounds_up);
    }
    let Some(mantissa) = digits.parse::<i128>().ok().filter(|_| digits.len() <= 36) else { return LIMIT };
    let places = kept.len() as i32;
    let (mantissa, power) = match multiplier {
        Multiplier::Ten(power) => (Some(mantissa), power.clamp(-100, 100) + 9 - places),
        Multiplier::Two(bits) => (mantissa.checked_mul(1 << bits), 9 - places),
    };
    let Some(mantissa) = mantissa else { return LIMIT };
    if power >= 0 {
        let factor = 10_i128.checked_pow(power.unsigned_abs());
        return factor.and_then(|f| mantissa.checked_mul(f)).unwrap_or(LIMIT);
    }
    let Some(divisor) = 10_i128.checked_pow(power.unsigned_abs()) else { return 1 };
    mantissa / divisor + i128::from(mantissa % divisor > 0 || rounds_up)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let whole = self.nanos / NANO;
        if self.family == Family::Binary && self.is_whole() && whole.abs() >= 1024 {
            let fitting = BINARY.iter().rev().find(|(_, bits)| whole % (1_i128 << bits) == 0);
            return match fitting {
                Some((unit, bits)) => write!(f, "{}{unit}", whole >> bits),
                None => write!(f, "{whole}"),
            };
        }
        let exact = |power: i32| self.nanos % 10_i128.pow((power + 9).unsigned_abs()) == 0;
        let (unit, power) = DECIMAL.iter().rev().find(|(_, power)| exact(*power)).unwrap_or(&DECIMAL[0]);
        let number = self.nanos / 10_i128.pow((power + 9).unsigned_abs());
        match (self.family, power) {
            (Family::Exponent, 0) => write!(f, "{number}"),
            (Family::Exponent, power) => write!(f, "{number}e{power}"),
            _ => write!(f, "{number}{unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let table = [
            ("0", "0"),
            ("0Gi", "0"),
            ("1", "1"),
            ("1000", "1k"),
            ("1500m", "1500m"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1023", "1023"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("8E", "8E"),
            ("0.1n", "1n"),
            ("-1.5", "-1500m"),
            ("100M", "100M"),
            ("123456789", "123456789"),
            (".5", "500m"),
            ("5.", "5"),
            ("1000000Ki", "1000000Ki"),
            ("99999999999999999999", "9223372036854775807"),
            ("0.00000000000000000000001", "1n"),
        ];
        for (text, canonical) in table {
            let parsed = text.parse::<Quantity>().map(|q| q.to_string());
            assert_eq!(parsed.as_deref(), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity() {
        for text in ["", "-", ".", "1.2.3", "1x", "1 Gi", "Gi", "1KI", "ee3", "1e", "0x10", "1e3k"] {
            assert_eq!(text.parse::<Quantity>(), Err(InvalidQuantity), "{text}");
        }
    }

    #[test]
    fn amounts_round_up_and_compare_by_amount() {
        let q = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!((q("100m").millis(), q("1u").millis(), q("1500m").units()), (100, 1, 2));
        assert_eq!(q("-1500m").units(), -1);
        assert_eq!(q("1Gi").units(), 1 << 30);
        assert!(q("1000m") == q("1") && q("1Ki") > q("1k"));
        assert_eq!((q("1Gi") + q("1Gi")).to_string(), "2Gi");
        assert_eq!((Quantity::ZERO + q("1Gi")).to_string(), "1Gi");
        assert_eq!((q("1500m") - q("1")).to_string(), "500m");
        assert_eq!(
            (q("1100m").rounded_up().to_string(), q("-1100m").rounded_up().to_string()),
            ("2".into(), "-1".into())
        );
        assert_eq!(
            (milli("1.5"), units("1.5"), milli("-2k"), milli("x")),
            (Some(1500), Some(2), Some(-2_000_000), None)
        );
        assert_eq!((milli("5E"), units("5E")), (Some(i64::MAX), Some(5_000_000_000_000_000_000)));
        assert_eq!(Quantity::from_bytes(3 << 20).to_string(), "3Mi");
        assert!(q("1001m").exceeds(q("500m"), q("2")) && !q("1").exceeds(q("500m"), q("2")));
        assert!(q("5E").exceeds(q("2E"), q("2")) && !q("5E").exceeds(q("3E"), q("2")));
    }
}
