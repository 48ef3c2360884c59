//! What a query costs in memory, so that one of many parts is refused as one big part is.
//!
//! How big a pattern becomes is found by compiling it within rising bounds, which it is for its
//! check anyway; the bound that holds is its weight. Words are patterns of a known size. Counted
//! while a query is read, so that the error names the place where it became too much.

/// Bytes that all parts of a query may take together.
pub const MAX_WEIGHT: usize = 8 << 20;
/// Bytes that one pattern may take.
pub const MAX_PATTERN: usize = 1 << 20;
/// Bounds that patterns are tried within before.
const SMALLER: [usize; 2] = [16 << 10, 128 << 10];
/// Of a character that is taken literally.
const LETTER: usize = 64;

/// Of a word or phrase.
pub fn of_text(text: &str) -> usize {
    SMALLER[0] + text.len() * LETTER
}

/// A pattern that `build` compiles within so many bytes, and what it weighs.
///
/// # Errors
/// It is no pattern, or too big.
pub fn of_pattern<R>(build: impl Fn(usize) -> Result<R, regex::Error>) -> Result<(R, usize), regex::Error> {
    let within = |bytes: usize| build(bytes).map(|pattern| (pattern, bytes));
    let smaller = SMALLER.into_iter().find_map(|bytes| match within(bytes) {
        Err(regex::Error::CompiledTooBig(_)) => None,
        // It fits, or is no pattern whatever room it has.
        found => Some(found),
    });
    smaller.unwrap_or_else(|| within(MAX_PATTERN))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use regex::bytes::RegexBuilder;

    use super::*;

    /// What a pattern weighs, absent where it can't be used; and how often it was compiled.
    fn of(pattern: &str) -> (Option<usize>, usize) {
        let times = Cell::new(0);
        let build = |bytes| {
            times.set(times.get() + 1);
            RegexBuilder::new(pattern).size_limit(bytes).build()
        };
        (of_pattern(build).ok().map(|(_, weight)| weight), times.get())
    }

    #[test]
    fn greater_patterns_weigh_more() {
        assert_eq!(of("timeout"), (Some(16 << 10), 1));
        assert_eq!(of(r"[a-z]{200}\d{20}"), (Some(128 << 10), 2));
        assert_eq!(of(r"\w{12}"), (Some(1 << 20), 3));
        assert_eq!(of("(((a{200}){200}){200})"), (None, 3));
        assert_eq!(of("a("), (None, 1));
        assert!(of_text("a") < of_text(&"a".repeat(1000)));
    }
}
