//! How many bytes of text functions make of theirs, at most. It is told before they run; they ask for
//! their memory in one piece.

use std::{collections::HashSet, ops::Range};

use datafusion::common::{DataFusionError, Result};

use super::arg::Arg;

/// What a call takes for some rows, at most.
pub type Most = fn(&[Arg], Range<usize>) -> Result<u64>;

/// Patterns that are compiled at once: each may take some megabytes.
const MOST_PATTERNS: usize = 8;
/// Bytes of a character.
const WIDEST: u64 = 4;
/// Bytes of a part among others, beside its text.
const PART: u64 = 24;
/// Bytes that one letter of a format of times becomes, at most.
const WRITTEN: u64 = 32;

/// The sum over rows.
pub fn each(rows: Range<usize>, bytes: impl Fn(usize) -> u64) -> Result<u64> {
    Ok(rows.map(bytes).fold(0, u64::saturating_add))
}

/// What is no larger than all arguments together: concat, make_array, struct, map, array_append.
pub fn together(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    Ok(args.iter().map(|arg| arg.bytes(&rows)).fold(0, u64::saturating_add))
}

/// The same twice: encode, quote_ident, overlay with a negative length.
pub fn twice(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    Ok(together(args, rows)?.saturating_mul(2))
}

/// `concat_ws(separator, ...)`.
pub fn with_separator(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [separator, parts @ ..] = args else { return Ok(0) };
    let between = separator.bytes(&rows).saturating_mul(parts.len() as u64);
    Ok(between.saturating_add(together(parts, rows)?))
}

/// `repeat(text, times)`.
pub fn repeated(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, times] = args else { return Ok(0) };
    each(rows, |row| text.length(row).saturating_mul(times.count(row)))
}

/// `lpad(text, characters, fill)`.
pub fn padded(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, characters, ..] = args else { return Ok(0) };
    each(rows, |row| text.length(row).saturating_add(characters.count(row).saturating_mul(WIDEST)))
}

/// `replace(text, from, to)`: of one row to the byte, of more as if each text were made of `from`.
pub fn replaced(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, from, to] = args else { return Ok(0) };
    let is_exact = rows.len() == 1;
    each(rows, |row| {
        let (Some(text), Some(from)) = (text.text(row), from.text(row)) else { return 0 };
        let found = match from.len() {
            0 => 0,
            _ if is_exact => text.matches(from).count(),
            length => text.len() / length,
        };
        (text.len() as u64).saturating_add((found as u64).saturating_mul(to.length(row)))
    })
}

/// `regexp_replace(text, pattern, replacement, flags)`. A group's texts are parts of the text, one behind
/// the other, however often the pattern is found.
pub fn pattern_replaced(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, _, replacement, flags @ ..] = args else { return Ok(0) };
    few_patterns(args, 3, &rows)?;
    each(rows, |row| {
        let length = text.length(row);
        let is_all = flags.first().and_then(|flags| flags.text(row)).is_some_and(|flags| flags.contains('g'));
        let found = if is_all { length + 1 } else { 1 };
        let new = replacement.text(row).unwrap_or_default();
        let groups = new.bytes().filter(|byte| matches!(byte, b'$' | b'\\')).count() as u64;
        let written = found.saturating_mul(new.len() as u64);
        length.saturating_mul(groups + 1).saturating_add(written)
    })
}

/// `regexp_match(text, pattern, flags)`: each group of the pattern may be the whole text.
pub fn matched(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, pattern, ..] = args else { return Ok(0) };
    few_patterns(args, 2, &rows)?;
    each(rows, |row| {
        let pattern = pattern.text(row).unwrap_or_default();
        let groups = pattern.bytes().filter(|byte| *byte == b'(').count() as u64;
        (groups + 1).saturating_mul(text.length(row) + PART)
    })
}

/// Functions of patterns that give numbers: flags stand at this place.
pub fn found(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    few_patterns(args, 2, &rows)?;
    few_patterns(args, 3, &rows)?;
    few_patterns(args, 4, &rows)?;
    Ok(0)
}

/// Each pattern of a batch is compiled, and kept until the batch is done.
fn few_patterns(args: &[Arg], flags: usize, rows: &Range<usize>) -> Result<()> {
    let Some(pattern) = args.get(1) else { return Ok(()) };
    let flags = args.get(flags);
    if pattern.is_constant() && flags.is_none_or(Arg::is_constant) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    for row in rows.clone() {
        seen.insert((pattern.text(row), flags.and_then(|flags| flags.text(row))));
        if seen.len() > MOST_PATTERNS {
            let said = format!("regular expressions: at most {MOST_PATTERNS} different ones at once");
            return Err(DataFusionError::ResourcesExhausted(format!("{said}; write the pattern as a text")));
        }
    }
    Ok(())
}

/// `string_to_array(text, delimiter)`: without a delimiter each character is a part.
pub fn split(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [text, delimiter, ..] = args else { return Ok(0) };
    each(rows, |row| {
        let length = text.length(row);
        let parts = match delimiter.text(row).map(str::len) {
            Some(0) => 1,
            Some(delimiter) => length / delimiter as u64 + 1,
            None => length,
        };
        length.saturating_add(parts.saturating_mul(PART))
    })
}

/// `to_char(time, format)`.
pub fn written(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [_, format] = args else { return Ok(0) };
    each(rows, |row| (format.length(row) + 2).saturating_mul(WRITTEN))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::array::{ArrayRef, Int64Array, StringArray},
        common::ScalarValue,
        logical_expr::ColumnarValue,
    };

    use super::*;

    fn texts(values: &[&str]) -> Arg {
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        Arg::of(&ColumnarValue::Array(array)).expect("an array")
    }

    fn numbers(values: &[i64]) -> Arg {
        let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        Arg::of(&ColumnarValue::Array(array)).expect("an array")
    }

    fn constant(value: &str) -> Arg {
        Arg::of(&ColumnarValue::Scalar(ScalarValue::from(value))).expect("an array")
    }

    fn check(most: Most, args: &[Arg], expected: u64) {
        assert_eq!(most(args, 0..2).expect("few"), expected);
    }

    #[test]
    fn no_text_is_longer_than_told() {
        check(repeated, &[texts(&["ab", "c"]), numbers(&[3, -1])], 6);
        check(repeated, &[texts(&["ab", "c"]), numbers(&[i64::MAX, 1])], u64::MAX);
        check(padded, &[texts(&["ab", "c"]), numbers(&[10, 0])], 2 + 40 + 1);
        check(replaced, &[texts(&["aaaa", "bb"]), constant("a"), constant("xyz")], 4 + 4 * 3 + 2 + 2 * 3);
        check(replaced, &[texts(&["aaaa", "bb"]), constant(""), constant("xyz")], 6);
        let all = [texts(&["aaaa", "bb"]), constant("(a)"), constant("<$1>"), constant("g")];
        check(pattern_replaced, &all, 4 * 2 + 5 * 4 + 2 * 2 + 3 * 4);
        check(pattern_replaced, &all[..3], 4 * 2 + 4 + 2 * 2 + 4);
        check(matched, &[texts(&["aaaa", "bb"]), constant("((a))")], 3 * (4 + PART) + 3 * (2 + PART));
        check(split, &[texts(&["a,b,", "cd"]), constant(",")], 4 + 5 * PART + 2 + 3 * PART);
        check(split, &[texts(&["a,b,", "cd"]), constant("")], 4 + PART + 2 + PART);
        check(written, &[numbers(&[1, 2]), texts(&["%Y", "%c%c"])], 4 * WRITTEN + 6 * WRITTEN);
        check(together, &[texts(&["ab", "c"]), constant("xyz")], 8 * 4 + 3 + 6);
        check(with_separator, &[constant(","), texts(&["ab", "c"]), constant("xyz")], 2 * 2 * 9 + 8 * 4 + 9);
    }

    #[test]
    fn what_one_row_is_replaced_by_is_counted() {
        let args = [texts(&["abca"]), constant("a"), constant("xyz")];
        assert_eq!(replaced(&args, 0..1).expect("few"), 4 + 2 * 3);
    }

    #[test]
    fn abuse_35_patterns_of_rows_are_few() {
        let many: Vec<String> = (0..=MOST_PATTERNS).map(|row| format!("a{{{row}}}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = || texts(&vec!["a"; many.len()]);
        for most in [found as Most, matched, pattern_replaced] {
            let few = [text(), texts(&many), constant("x"), constant("g")];
            most(&few, 0..MOST_PATTERNS).expect("few");
            let refused = most(&few, 0..MOST_PATTERNS + 1).expect_err("too many").to_string();
            assert!(refused.contains("at most 8 different ones"), "{refused}");
        }
        let one = [text(), constant("a"), constant("x"), constant("g")];
        found(&one, 0..many.len()).expect("one");
    }
}
