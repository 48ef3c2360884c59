//! What a query costs in memory, so that one of many parts is refused as one big part is.
//!
//! How big a pattern becomes is found by compiling it within rising bounds; the bound
//! that holds is its weight. Words are patterns of a known size. Counted while a query is
//! read, so that the error names the place where it became too much.

use regex::bytes::RegexBuilder;

/// Bytes that all parts of a query may take together.
pub const MAX_WEIGHT: usize = 8 << 20;
/// Bounds that patterns are tried within; none is greater than one alone may be.
const STEPS: [usize; 3] = [16 << 10, 128 << 10, 1 << 20];
/// Of a character that is taken literally.
const LETTER: usize = 64;

/// Of a word or phrase.
pub fn of_text(text: &str) -> usize {
    STEPS[0] + text.len() * LETTER
}

/// Of a pattern that can be compiled.
pub fn of_pattern(pattern: &str) -> usize {
    let fits = |bytes: &usize| RegexBuilder::new(pattern).size_limit(*bytes).build().is_ok();
    STEPS.into_iter().find(fits).unwrap_or(STEPS[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greater_patterns_weigh_more() {
        assert_eq!(of_pattern("timeout"), 16 << 10);
        assert_eq!(of_pattern(r"[a-z]{200}\d{20}"), 128 << 10);
        assert_eq!(of_pattern(r"\w{12}"), 1 << 20);
        assert!(of_text("a") < of_text(&"a".repeat(1000)));
    }
}
