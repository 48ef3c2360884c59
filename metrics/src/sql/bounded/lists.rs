//! How many bytes functions of lists make of theirs, at most; they ask for their memory in one piece.

use std::ops::Range;

use datafusion::{arrow::datatypes::DataType, common::Result};

use super::{
    arg::{Arg, width},
    text::each,
};

/// Bytes of an index or an offset, of which some functions make one for each element.
const INDEX: u64 = 16;
/// Bytes of a value that is no text, written as one.
const WRITTEN: u64 = 64;

/// Bytes of a null element of lists of this type.
fn null(list: &DataType) -> u64 {
    match list {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            width(field.data_type())
        }
        other => width(other),
    }
}

/// `array_repeat(element, times)`.
pub fn repeated(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [element, times] = args else { return Ok(0) };
    each(rows, |row| {
        let one = element.row(row).saturating_add(INDEX.saturating_mul(element.elements(row) + 1));
        times.count(row).saturating_mul(one)
    })
}

/// `array_resize(list, elements, fill)`: what is filled in is made once more to be copied.
pub fn resized(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [list, size, fill @ ..] = args else { return Ok(0) };
    let null = null(list.array().data_type());
    each(rows, |row| {
        let new = size.count(row).saturating_sub(list.elements(row));
        let fill = fill.first().map_or(null, |fill| fill.row(row).max(null)).max(INDEX);
        list.row(row).saturating_add(new.saturating_mul(2 * fill))
    })
}

/// `arrays_zip(list, ...)`: all lists become as long as the longest.
pub fn zipped(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let nulls = args.iter().map(|arg| null(arg.array().data_type())).fold(0, u64::saturating_add);
    each(rows, |row| {
        let longest = args.iter().map(|arg| arg.elements(row)).max().unwrap_or(0);
        let own = args.iter().map(|arg| arg.row(row)).fold(0, u64::saturating_add);
        own.saturating_add(longest.saturating_mul(nulls))
    })
}

/// `array_replace(list, from, to)`: each element may be the one that is replaced.
pub fn replaced(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [list, _, to, ..] = args else { return Ok(0) };
    each(rows, |row| list.row(row).saturating_add(list.elements(row).saturating_mul(to.row(row))))
}

/// `array_to_string(list, delimiter, null)`, of the values of lists in lists too.
pub fn written(args: &[Arg], rows: Range<usize>) -> Result<u64> {
    let [list, delimiter, null @ ..] = args else { return Ok(0) };
    each(rows, |row| {
        let null = null.first().map_or(0, |null| null.length(row));
        let one = WRITTEN.saturating_add(delimiter.length(row)).saturating_add(null);
        list.row(row).saturating_add(list.leaves(row).saturating_mul(one))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::{
            array::{ArrayRef, Int64Array, ListArray},
            datatypes::Int64Type,
        },
        common::ScalarValue,
        logical_expr::ColumnarValue,
    };

    use super::{super::text::Most, *};

    /// Two lists of numbers.
    fn lists(lengths: [usize; 2]) -> Arg {
        let lists = lengths.map(|length| Some(vec![Some(1_i64); length]));
        let array: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        Arg::of(&ColumnarValue::Array(array)).expect("an array")
    }

    fn numbers(values: [i64; 2]) -> Arg {
        let array: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        Arg::of(&ColumnarValue::Array(array)).expect("an array")
    }

    fn constant(value: &str) -> Arg {
        Arg::of(&ColumnarValue::Scalar(ScalarValue::from(value))).expect("an array")
    }

    fn check(most: Most, args: &[Arg], expected: u64) {
        assert_eq!(most(args, 0..2).expect("bytes"), expected);
    }

    #[test]
    fn no_list_is_longer_than_told() {
        check(repeated, &[numbers([7, 7]), numbers([1000, -1])], 1000 * (8 + 2 * INDEX));
        check(repeated, &[lists([3, 0]), numbers([10, 1])], 10 * (8 + 24 + 4 * INDEX) + 8 + INDEX);
        check(repeated, &[numbers([7, 7]), numbers([i64::MAX, 1])], u64::MAX);
        let of_a_list = |elements: u64| 8 + 8 * elements;
        check(resized, &[lists([3, 5]), numbers([1003, 2])], of_a_list(3) + 1000 * 2 * INDEX + of_a_list(5));
        let filled = [lists([3, 5]), numbers([4, 2]), constant("a text of some length")];
        check(resized, &filled, of_a_list(3) + 2 * (8 + 21) + of_a_list(5));
        check(zipped, &[lists([3, 5]), lists([100, 0])], 4 * 8 + 8 * 108 + (100 + 5) * 2 * 8);
        let replacing = [lists([3, 5]), constant("a"), constant("four")];
        check(replaced, &replacing, of_a_list(3) + 3 * 12 + of_a_list(5) + 5 * 12);
        let joined = [lists([3, 5]), constant(", "), constant("null")];
        check(written, &joined, of_a_list(3) + of_a_list(5) + 8 * (WRITTEN + 2 + 4));
    }
}
