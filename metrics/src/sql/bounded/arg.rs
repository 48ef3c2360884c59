//! What a function is called with, as far as it tells how much the function makes: bytes and elements
//! of rows, whatever their type, without anything being copied.

use std::ops::Range;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, OffsetSizeTrait},
        datatypes::{
            DataType, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
            UInt64Type,
        },
    },
    common::Result,
    logical_expr::ColumnarValue,
};

/// Bytes of what stands for a text among others: an offset, or a view of it.
const OFFSET: u64 = 8;
const VIEW: u64 = 16;

/// An argument: a column, or one value for all rows.
#[derive(Debug)]
pub struct Arg {
    array: ArrayRef,
    is_constant: bool,
}

impl Arg {
    /// # Errors
    /// None in practice: every value has an array.
    pub fn of(value: &ColumnarValue) -> Result<Self> {
        Ok(match value {
            ColumnarValue::Array(array) => Self { array: array.clone(), is_constant: false },
            ColumnarValue::Scalar(value) => Self { array: value.to_array()?, is_constant: true },
        })
    }

    pub fn is_constant(&self) -> bool {
        self.is_constant
    }

    pub fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// Where the value of a row stands.
    pub fn place(&self, row: usize) -> usize {
        if self.is_constant { 0 } else { row }
    }

    /// Bytes of some rows.
    pub fn bytes(&self, rows: &Range<usize>) -> u64 {
        match self.is_constant {
            true => span(&self.array, 0..1).saturating_mul(rows.len() as u64),
            false => span(&self.array, rows.clone()),
        }
    }

    /// Bytes of a row.
    pub fn row(&self, row: usize) -> u64 {
        let place = self.place(row);
        span(&self.array, place..place + 1)
    }

    /// The text of a row; none where it is null, or no text.
    pub fn text(&self, row: usize) -> Option<&str> {
        let place = self.place(row);
        if self.array.is_null(place) {
            return None;
        }
        match self.array.data_type() {
            DataType::Utf8 => Some(self.array.as_string::<i32>().value(place)),
            DataType::LargeUtf8 => Some(self.array.as_string::<i64>().value(place)),
            DataType::Utf8View => Some(self.array.as_string_view().value(place)),
            _ => None,
        }
    }

    /// Bytes of the text of a row.
    pub fn length(&self, row: usize) -> u64 {
        self.text(row).map_or(0, |text| text.len() as u64)
    }

    /// The whole number of a row, 0 where it is null or negative; of what is none, as large as any.
    pub fn count(&self, row: usize) -> u64 {
        let place = self.place(row);
        if self.array.is_null(place) {
            return 0;
        }
        match self.array.data_type() {
            DataType::Null => 0,
            _ => integer(&self.array, place).map_or(u64::MAX, |number| u64::try_from(number).unwrap_or(0)),
        }
    }

    /// Elements of the list of a row; of what is no list, one.
    pub fn elements(&self, row: usize) -> u64 {
        let place = self.place(row);
        elements(&self.array, place..place + 1).map_or(1, |(_, elements)| elements.len() as u64)
    }

    /// Values of the list of a row, and of the lists in it.
    pub fn leaves(&self, row: usize) -> u64 {
        let place = self.place(row);
        leaves(&self.array, place..place + 1)
    }
}

/// The whole number at a place.
pub fn integer(array: &dyn Array, place: usize) -> Option<i128> {
    Some(match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().value(place).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(place).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(place).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(place).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(place).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(place).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(place).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(place).into(),
        _ => return None,
    })
}

/// The values of lists, and which of them are those of some rows; absent: they are no lists.
fn elements(array: &dyn Array, rows: Range<usize>) -> Option<(&dyn Array, Range<usize>)> {
    Some(match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            (&**list.values(), within(list.value_offsets(), &rows))
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            (&**list.values(), within(list.value_offsets(), &rows))
        }
        DataType::FixedSizeList(_, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            let list = array.as_fixed_size_list();
            (&**list.values(), rows.start * size..rows.end * size)
        }
        DataType::Map(..) => {
            let map = array.as_map();
            (map.entries() as &dyn Array, within(map.value_offsets(), &rows))
        }
        _ => return None,
    })
}

fn leaves(array: &dyn Array, rows: Range<usize>) -> u64 {
    match elements(array, rows.clone()) {
        Some((values, within)) => leaves(values, within),
        None => rows.len() as u64,
    }
}

/// The part of the values that belongs to some rows.
fn within<O: OffsetSizeTrait>(offsets: &[O], rows: &Range<usize>) -> Range<usize> {
    let at = |row: usize| offsets.get(row).map_or(0, |offset| offset.as_usize());
    let start = at(rows.start);
    start..at(rows.end).max(start)
}

/// Bytes of some rows. What rows share is counted for each of them.
pub fn span(array: &dyn Array, rows: Range<usize>) -> u64 {
    let count = rows.len() as u64;
    let offsets = OFFSET * count;
    if let Some((values, within)) = elements(array, rows.clone()) {
        return offsets.saturating_add(span(values, within));
    }
    match array.data_type() {
        DataType::Utf8 => offsets + within(array.as_string::<i32>().value_offsets(), &rows).len() as u64,
        DataType::LargeUtf8 => offsets + within(array.as_string::<i64>().value_offsets(), &rows).len() as u64,
        DataType::Binary => offsets + within(array.as_binary::<i32>().value_offsets(), &rows).len() as u64,
        DataType::LargeBinary => {
            offsets + within(array.as_binary::<i64>().value_offsets(), &rows).len() as u64
        }
        DataType::Utf8View => VIEW * count + viewed(array.as_string_view().lengths(), &rows),
        DataType::BinaryView => VIEW * count + viewed(array.as_binary_view().lengths(), &rows),
        DataType::Struct(_) => {
            let columns = array.as_struct().columns().iter();
            columns.map(|column| span(column, rows.clone())).fold(count, u64::saturating_add)
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let value = |row| {
                let key = integer(dictionary.keys(), row).and_then(|key| usize::try_from(key).ok());
                let key = key.filter(|key| *key < dictionary.values().len());
                key.map_or(OFFSET, |key| OFFSET + span(dictionary.values(), key..key + 1))
            };
            rows.map(value).fold(0, u64::saturating_add)
        }
        DataType::FixedSizeBinary(size) => count.saturating_mul(u64::try_from(*size).unwrap_or(0)),
        DataType::Boolean | DataType::Null => count,
        other => match other.primitive_width() {
            Some(width) => count * width as u64,
            // Of what nothing here makes, all counts.
            None => array.get_buffer_memory_size() as u64,
        },
    }
}

fn viewed(lengths: impl Iterator<Item = u32>, rows: &Range<usize>) -> u64 {
    lengths.skip(rows.start).take(rows.len()).map(u64::from).sum()
}

/// Bytes of a null among values of a type.
pub fn width(kind: &DataType) -> u64 {
    match kind {
        DataType::FixedSizeBinary(size) => u64::try_from(*size).unwrap_or(0).max(1),
        DataType::FixedSizeList(field, size) => {
            width(field.data_type()).saturating_mul(u64::try_from(*size).unwrap_or(0)).max(1)
        }
        DataType::Struct(fields) => {
            fields.iter().map(|field| width(field.data_type())).fold(1, u64::saturating_add)
        }
        other => other.primitive_width().map_or(VIEW, |width| width as u64),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::{
            array::{
                BooleanArray, DictionaryArray, Int64Array, ListArray, StringArray, StringViewArray,
                StructArray,
            },
            datatypes::{Field, Fields},
        },
        common::ScalarValue,
    };

    use super::*;

    fn arrays() -> Vec<(ArrayRef, [u64; 4])> {
        let texts = ["", "a", "four", "a text of some length, longer than a view has"];
        let of_texts = [8, 9, 12, 8 + texts[3].len() as u64];
        let lists = vec![Some(vec![]), Some(vec![Some(1), None]), None, Some(vec![Some(3)])];
        let keys: DictionaryArray<Int32Type> = ["four", "a", "four", ""].into_iter().collect();
        let fields = Fields::from(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::Boolean, false),
        ]);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4])), Arc::new(BooleanArray::from(vec![true; 4]))];
        vec![
            (Arc::new(StringArray::from_iter_values(texts)), of_texts),
            (Arc::new(StringViewArray::from_iter_values(texts)), of_texts.map(|bytes| bytes + 8)),
            (Arc::new(Int64Array::from(vec![1, 2, 3, 4])), [8; 4]),
            (Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)), [8, 24, 8, 16]),
            (Arc::new(keys), [20, 17, 20, 16]),
            (Arc::new(StructArray::new(fields, columns, None)), [10; 4]),
        ]
    }

    #[test]
    fn bytes_of_rows_add_up_whatever_their_type() {
        for (array, expected) in arrays() {
            let kind = array.data_type().clone();
            let column = Arg::of(&ColumnarValue::Array(array)).expect("an array");
            let rows: Vec<u64> = (0..4).map(|row| column.row(row)).collect();
            assert_eq!(rows, expected, "{kind}");
            assert_eq!(column.bytes(&(1..4)), expected[1..].iter().sum::<u64>(), "{kind}");
            assert_eq!(column.bytes(&(2..2)), 0, "{kind}");
        }
    }

    #[test]
    fn a_slice_counts_as_what_is_left_of_it() {
        for (array, expected) in arrays() {
            let column = Arg::of(&ColumnarValue::Array(array.slice(1, 2))).expect("an array");
            assert_eq!(column.bytes(&(0..2)), expected[1] + expected[2], "{}", array.data_type());
        }
    }

    #[test]
    fn a_constant_counts_for_each_row() {
        let text = Arg::of(&ColumnarValue::Scalar(ScalarValue::Utf8(Some("four".into())))).expect("an array");
        assert_eq!((text.row(7), text.bytes(&(3..10)), text.text(99)), (12, 7 * 12, Some("four")));
        let number = |value| Arg::of(&ColumnarValue::Scalar(ScalarValue::Int64(value))).expect("an array");
        assert_eq!([Some(5), Some(-5), None].map(|value| number(value).count(3)), [5, 0, 0]);
        let fraction = ColumnarValue::Scalar(ScalarValue::Float64(Some(1.0)));
        assert_eq!(Arg::of(&fraction).expect("an array").count(0), u64::MAX);
    }

    #[test]
    fn elements_and_leaves_of_lists() {
        let inner = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1); 3]); 4]);
        let nested = ScalarValue::new_list_nullable(
            &[ScalarValue::List(Arc::new(inner.slice(0, 1))), ScalarValue::List(Arc::new(inner.slice(1, 1)))],
            inner.data_type(),
        );
        let nested = Arg::of(&ColumnarValue::Scalar(ScalarValue::List(nested))).expect("an array");
        assert_eq!((nested.elements(0), nested.leaves(0)), (2, 6));
        let list = Arg::of(&ColumnarValue::Array(Arc::new(inner))).expect("an array");
        assert_eq!((list.elements(1), list.leaves(1)), (3, 3));
    }
}
