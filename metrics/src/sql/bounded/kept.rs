//! What a function has made, counted against its statement's memory until nobody has it any more.
//!
//! Columns are handed on, cut and thrown away by the engine, which tells nobody. But it can't let go of
//! their bytes without freeing them: so the largest piece of them holds what was taken, and gives it
//! back with itself.

use bytes::Bytes;
use datafusion::{
    arrow::{
        array::{Array, ArrayData, ArrayRef, make_array},
        buffer::Buffer,
    },
    common::Result,
    execution::memory_pool::MemoryReservation,
};

/// A piece of memory and what was taken for it.
struct Piece {
    bytes: Buffer,
    _taken: MemoryReservation,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The same column, which gives back what was taken when it goes.
///
/// # Errors
/// The column is no sound one.
pub fn with(column: &ArrayRef, taken: MemoryReservation) -> Result<ArrayRef> {
    let data = column.to_data();
    let (bytes, address) = largest(&data);
    if bytes == 0 {
        return Ok(column.clone());
    }
    Ok(make_array(holding(&data, address, &mut Some(taken))?))
}

/// The bytes of the largest piece, and where it begins.
fn largest(data: &ArrayData) -> (usize, usize) {
    let own = data.buffers().iter().map(|buffer| (buffer.capacity(), begin(buffer)));
    own.chain(data.child_data().iter().map(largest)).max().unwrap_or_default()
}

fn begin(buffer: &Buffer) -> usize {
    buffer.data_ptr().as_ptr() as usize
}

fn has(data: &ArrayData, address: usize) -> bool {
    data.buffers().iter().any(|buffer| begin(buffer) == address)
        || data.child_data().iter().any(|child| has(child, address))
}

/// The same data; the piece at this address holds what was taken.
fn holding(data: &ArrayData, address: usize, taken: &mut Option<MemoryReservation>) -> Result<ArrayData> {
    let mut buffers = data.buffers().to_vec();
    if let Some(buffer) = buffers.iter_mut().find(|buffer| begin(buffer) == address)
        && let Some(taken) = taken.take()
    {
        *buffer = Buffer::from(Bytes::from_owner(Piece { bytes: buffer.clone(), _taken: taken }));
    }
    let mut children = Vec::new();
    for child in data.child_data() {
        children.push(match taken.is_some() && has(child, address) {
            true => holding(child, address, taken)?,
            false => child.clone(),
        });
    }
    Ok(data.clone().into_builder().buffers(buffers).child_data(children).build()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::{
        arrow::{
            array::{Int64Array, ListArray, StringArray, StringViewArray, StructArray},
            datatypes::Int64Type,
        },
        execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryPool},
    };

    use super::*;

    fn columns() -> Vec<ArrayRef> {
        let texts = (0..1000).map(|row| format!("the text of row {row}, which is no short one"));
        let texts: Vec<String> = texts.collect();
        let lists: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1); 9]); 1000]));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let both = StructArray::try_from(vec![("lists", lists.clone()), ("numbers", numbers.clone())]);
        vec![
            Arc::new(StringArray::from_iter_values(&texts)),
            Arc::new(StringViewArray::from_iter_values(&texts)),
            lists,
            numbers,
            Arc::new(both.expect("a struct")),
        ]
    }

    #[test]
    fn what_was_taken_is_given_back_with_the_last_part() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        for column in columns() {
            let taken = MemoryConsumer::new("a column").register(&pool);
            taken.try_grow(5000).expect("room");
            let kept = with(&column, taken).expect("sound");
            assert_eq!(&kept, &column);
            let part = kept.slice(500, 3);
            assert_eq!(&part, &column.slice(500, 3));
            drop(kept);
            assert_eq!(pool.reserved(), 5000, "{}", column.data_type());
            drop(part);
            assert_eq!(pool.reserved(), 0, "{}", column.data_type());
        }
    }

    #[test]
    fn a_column_of_nothing_keeps_nothing() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(1 << 20));
        let taken = MemoryConsumer::new("a column").register(&pool);
        taken.try_grow(5000).expect("room");
        let column: ArrayRef = Arc::new(datafusion::arrow::array::NullArray::new(3));
        let kept = with(&column, taken).expect("sound");
        assert_eq!((kept.len(), pool.reserved()), (3, 0));
    }
}
