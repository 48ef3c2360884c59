//! The memory that batches of an answer hold together. The engine cuts large results into batches, each
//! of which holds all of its result: what several share counts once.

use std::collections::HashSet;

use datafusion::arrow::{
    array::{Array, ArrayData, RecordBatch},
    buffer::Buffer,
};

/// Batches that are kept: whoever lets one of them go has to begin anew.
#[derive(Debug, Default)]
pub struct Held {
    /// Where the pieces of memory begin.
    known: HashSet<usize>,
    bytes: usize,
}

impl Held {
    /// Adds a batch; the bytes of all.
    pub fn add(&mut self, batch: &RecordBatch) -> usize {
        batch.columns().iter().for_each(|column| self.data(&column.to_data()));
        self.bytes
    }

    fn data(&mut self, data: &ArrayData) {
        data.buffers().iter().for_each(|buffer| self.buffer(buffer));
        if let Some(nulls) = data.nulls() {
            self.buffer(nulls.buffer());
        }
        data.child_data().iter().for_each(|child| self.data(child));
    }

    fn buffer(&mut self, buffer: &Buffer) {
        if self.known.insert(buffer.data_ptr().as_ptr() as usize) {
            self.bytes += buffer.capacity().max(buffer.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{ArrayRef, Int64Array, ListArray, StringArray},
        datatypes::Int64Type,
    };

    use super::*;

    fn of(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter([("column", column)]).expect("a batch")
    }

    #[test]
    fn what_batches_share_counts_once() {
        let texts = (0..1000).map(|row| (row % 3 > 0).then(|| format!("the text of row {row}")));
        let lists = (0..1000).map(|row| Some(vec![Some(row); 3]));
        let all: [ArrayRef; 2] = [
            Arc::new(texts.collect::<StringArray>()),
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)),
        ];
        for column in all {
            let whole = of(column);
            let bytes = Held::default().add(&whole);
            assert!((10_000..100_000).contains(&bytes), "{bytes}");
            let mut held = Held::default();
            let mut parts = (0..10).map(|part| held.add(&whole.slice(part * 100, 100)));
            assert!(parts.all(|so_far| so_far == bytes));
        }
    }

    #[test]
    fn what_batches_have_of_their_own_adds_up() {
        let numbers = |from: i64| of(Arc::new(Int64Array::from_iter_values(from..from + 1000)));
        let (one, other) = (numbers(0), numbers(0));
        let mut held = Held::default();
        let first = held.add(&one);
        assert!(first >= 8000 && held.add(&other) >= first + 8000);
    }
}
