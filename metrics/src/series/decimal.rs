//! Numbers as whole ones times a power of ten, where that loses nothing.
//!
//! What is measured is mostly whole or has few decimals; as whole numbers, neighbours differ
//! by little and their differences fit one byte or two. A number that does not come back to
//! the bit is none of these, and is kept as it is.

/// Decimals at most.
pub const MOST_DECIMALS: u8 = 15;
/// Whole numbers up to here have floats of their own.
const EXACT: i64 = 1 << 53;

const POWERS: [f64; MOST_DECIMALS as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// What stands for numbers that are not finite: the stale marker, other NaNs, infinities.
const SPECIAL: [(i64, f64); 4] = [
    (i64::MIN, super::STALE),
    (i64::MIN + 1, f64::from_bits(0x7ff8_0000_0000_0001)),
    (i64::MIN + 2, f64::INFINITY),
    (i64::MIN + 3, f64::NEG_INFINITY),
];

/// `value * 10^decimals`, if the number comes back from it to the bit.
#[inline]
pub fn whole(value: f64, decimals: u8) -> Option<i64> {
    let power = POWERS[usize::from(decimals)];
    let scaled = value * power;
    // No NaN is less than anything.
    let fits = scaled.abs() < EXACT as f64;
    if !fits {
        return special(value);
    }
    let whole = (scaled + 0.5f64.copysign(scaled)) as i64;
    let back = whole as f64 / power;
    (back.to_bits() == value.to_bits()).then_some(whole)
}

#[cold]
fn special(value: f64) -> Option<i64> {
    SPECIAL.iter().find(|(_, number)| number.to_bits() == value.to_bits()).map(|(whole, _)| *whole)
}

/// The number of which [`whole`] is made.
#[inline]
pub fn number(whole: i64, decimals: u8) -> f64 {
    if whole < i64::MIN + SPECIAL.len() as i64 {
        return SPECIAL[(whole.wrapping_sub(i64::MIN)) as usize].1;
    }
    if decimals == 0 {
        // Nothing to divide, which is the slowest part of it.
        return whole as f64;
    }
    whole as f64 / POWERS[usize::from(decimals)]
}

/// The fewest decimals, `least` or more, with which the number comes back.
pub fn decimals(value: f64, least: u8) -> Option<u8> {
    (least..=MOST_DECIMALS).find(|decimals| whole(value, *decimals).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn few_decimals_suffice_for_what_is_measured() {
        for (value, expected) in [(0.0, 0), (17.0, 0), (-3.0, 0), (0.5, 1), (0.001, 3), (99.95, 2), (1e15, 0)]
        {
            assert_eq!(decimals(value, 0), Some(expected), "{value}");
        }
        for value in [1.0 / 3.0, -0.0, 1e300, f64::from_bits(0x7ff8_0000_0000_0007)] {
            assert_eq!(decimals(value, 0), None, "{value}");
        }
        assert_eq!(decimals(f64::INFINITY, 4), Some(4));
    }

    proptest! {
        #[test]
        fn a_number_comes_back_to_the_bit(bits in any::<u64>(), cents in -1_000_000_000i64..1_000_000_000, least in 0u8..8) {
            for value in [f64::from_bits(bits), cents as f64 / 100.0, cents as f64] {
                if let Some(decimals) = decimals(value, least) {
                    let whole = whole(value, decimals).expect("it was asked");
                    prop_assert_eq!(number(whole, decimals).to_bits(), value.to_bits());
                }
            }
        }
    }
}
