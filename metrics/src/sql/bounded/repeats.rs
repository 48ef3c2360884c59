//! How many bytes parts of a plan make that repeat what they get: `unnest`, which has the rest of a row in
//! each row that it makes of a list, and joins. Pure.

use std::ops::Range;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch},
        datatypes::DataType,
    },
    common::Result,
    logical_expr::ColumnarValue,
    physical_plan::unnest::ListUnnest,
};

use super::arg::{Arg, span};

/// Bytes that stand for a text in a column of views.
const VIEW: u64 = 16;

/// Bytes of each row of some columns, in which what rows share counts for each.
pub fn widths<'a>(columns: impl Iterator<Item = &'a ArrayRef>, rows: usize) -> Vec<u64> {
    let mut widths = vec![0_u64; rows];
    for column in columns {
        let mut add = |row: usize, bytes: u64| widths[row] = widths[row].saturating_add(bytes);
        match column.data_type() {
            // Those of a view are told one after the other.
            DataType::Utf8View => {
                let lengths = column.as_string_view().lengths().enumerate();
                lengths.for_each(|(row, length)| add(row, VIEW + u64::from(length)));
            }
            DataType::BinaryView => {
                let lengths = column.as_binary_view().lengths().enumerate();
                lengths.for_each(|(row, length)| add(row, VIEW + u64::from(length)));
            }
            _ => (0..rows).for_each(|row| add(row, span(column, row..row + 1))),
        }
    }
    widths
}

/// Bytes of the widest row.
pub fn widest(batch: &RecordBatch) -> u64 {
    widths(batch.columns().iter(), batch.num_rows()).into_iter().max().unwrap_or(0)
}

/// Whether values of a type may be of any length.
pub fn is_wide(kind: &DataType) -> bool {
    kind.primitive_width().is_none() && !matches!(kind, DataType::Boolean | DataType::Null)
}

/// Bytes that `unnest` makes of each row.
///
/// # Errors
/// None in practice: columns are arrays.
pub fn unnested(batch: &RecordBatch, lists: &[ListUnnest]) -> Result<Vec<u64>> {
    let rows = batch.num_rows();
    let is_list = |at: usize| lists.iter().any(|list| list.index_in_input_schema == at);
    let columns = |of_lists: bool| {
        let all = batch.columns().iter().enumerate();
        all.filter(move |(at, _)| is_list(*at) == of_lists).map(|(_, column)| column)
    };
    let (beside, values) = (widths(columns(false), rows), widths(columns(true), rows));
    let is_flat = lists.iter().all(|list| list.depth == 1);
    let told = columns(true)
        .map(|column| Ok((Arg::of(&ColumnarValue::Array(column.clone()))?, viewed(column))))
        .collect::<Result<Vec<_>>>()?;
    let bytes = |row: usize| {
        // A list in a list is cut after the one that it is in, and all beside is repeated by both.
        let elements = told.iter().map(|(list, all)| {
            let own = all.unwrap_or_else(|| list.elements(row));
            if is_flat { own } else { own.saturating_add(list.leaves(row)) }
        });
        let made = match is_flat {
            true => elements.max().unwrap_or(1).max(1),
            false => elements.fold(1_u64, |made, own| made.saturating_mul(own.max(1))),
        };
        let repeated = if is_flat { beside[row] } else { beside[row].saturating_add(values[row]) };
        made.saturating_mul(repeated).saturating_add(values[row])
    };
    Ok((0..rows).map(bytes).collect())
}

/// Elements of a column whose rows name parts of its values: each may have all of them. Absent: it is none.
fn viewed(column: &ArrayRef) -> Option<u64> {
    match column.data_type() {
        DataType::ListView(_) => Some(column.as_list_view::<i32>().values().len() as u64),
        DataType::LargeListView(_) => Some(column.as_list_view::<i64>().values().len() as u64),
        _ => None,
    }
}

/// The first of some rows that make no more than `most` together, one at least, and what they make.
pub fn first(bytes: &[u64], rows: Range<usize>, most: u64) -> (usize, u64) {
    let (mut count, mut sum) = (0, 0_u64);
    for own in &bytes[rows] {
        let next = sum.saturating_add(*own);
        if count > 0 && next > most {
            break;
        }
        (count, sum) = (count + 1, next);
    }
    (count, sum)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{Int64Array, ListArray, StringArray, StringViewArray},
        buffer::OffsetBuffer,
        datatypes::{Field, Int64Type},
    };

    use super::*;

    fn lists(lengths: &[usize]) -> ListArray {
        let lists = lengths.iter().map(|length| Some(vec![Some(1_i64); *length]));
        ListArray::from_iter_primitive::<Int64Type, _, _>(lists)
    }

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        let names = ["a", "b", "c"].iter().zip(columns);
        RecordBatch::try_from_iter(names.map(|(name, column)| (*name, column))).expect("a batch")
    }

    fn list(index_in_input_schema: usize, depth: usize) -> ListUnnest {
        ListUnnest { index_in_input_schema, depth }
    }

    #[test]
    fn rows_are_as_wide_as_their_values() {
        let texts = ["", "four", "a text of some length, longer than a view has"];
        let length = texts[2].len() as u64;
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let plain = batch(vec![Arc::new(StringArray::from_iter_values(texts)), numbers.clone()]);
        assert_eq!(widths(plain.columns().iter(), 3), [16, 20, 16 + length]);
        let views = batch(vec![Arc::new(StringViewArray::from_iter_values(texts)), numbers]);
        assert_eq!(widths(views.columns().iter(), 3), [24, 28, 24 + length]);
        assert_eq!((widest(&views), widest(&views.slice(0, 0))), (24 + length, 0));
        assert!(is_wide(&DataType::Utf8) && !is_wide(&DataType::Int64) && !is_wide(&DataType::Boolean));
    }

    #[test]
    fn what_is_beside_a_list_is_repeated_for_each_of_its_elements() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["0123456789", ""]));
        let table = batch(vec![texts, Arc::new(lists(&[3, 0])), Arc::new(lists(&[5, 1]))]);
        let of_list = |elements: u64| 8 + 8 * elements;
        let one = unnested(&table, &[list(1, 1)]).expect("bytes");
        let beside = [18 + of_list(5), 8 + of_list(1)];
        assert_eq!(one, [3 * beside[0] + of_list(3), beside[1] + of_list(0)]);
        let both = unnested(&table, &[list(1, 1), list(2, 1)]).expect("bytes");
        assert_eq!(both, [5 * 18 + of_list(3) + of_list(5), 8 + of_list(0) + of_list(1)]);
    }

    #[test]
    fn lists_in_lists_make_as_many_rows_as_they_have_values() {
        let inner = lists(&[2, 3]);
        let field = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
        let outer = ListArray::new(field, OffsetBuffer::from_lengths([2]), Arc::new(inner), None);
        let table = batch(vec![Arc::new(StringArray::from(vec!["0123456789"])), Arc::new(outer)]);
        let values = 8 + 2 * 8 + 5 * 8;
        let deep = unnested(&table, &[list(1, 2)]).expect("bytes");
        assert_eq!(deep, [(2 + 5) * (18 + values) + values]);
    }

    #[test]
    fn some_rows_at_once_make_little() {
        let bytes = [5, 5, 5, 100, 1, u64::MAX, 1];
        let table = [((0, 10), (2, 10)), ((2, 10), (1, 5)), ((3, 10), (1, 100)), ((4, 10), (1, 1))];
        for ((from, most), expected) in table {
            assert_eq!(first(&bytes, from..bytes.len(), most), expected, "from {from}");
        }
        assert_eq!(first(&bytes, 0..bytes.len(), u64::MAX), (7, u64::MAX));
        assert_eq!(first(&bytes, 7..7, 10), (0, 0));
    }
}
