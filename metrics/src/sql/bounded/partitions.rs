//! Where the partitions of windows begin in rows that are sorted by them, as the engine finds it: rows beside
//! each other in a batch, and of a batch the first with the last of the one before.

use std::{iter, ops::Range, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch},
        compute::partition,
    },
    common::{Result, ScalarValue, utils::get_row_at_idx},
    physical_plan::PhysicalExpr,
};

/// The partitions of rows that come in batches.
#[derive(Debug)]
pub struct Partitions {
    /// What rows of a partition have in common; none: all are of one.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    /// Of the last row.
    last: Option<Vec<ScalarValue>>,
}

impl Partitions {
    pub fn new(keys: &[Arc<dyn PhysicalExpr>]) -> Self {
        Self { keys: keys.to_vec(), last: None }
    }

    /// Rows of each partition in the next batch, and whether the first of them begins with it.
    ///
    /// # Errors
    /// Those of the keys, which the engine would meet too.
    pub fn of(&mut self, batch: &RecordBatch) -> Result<(Vec<Range<usize>>, bool)> {
        let rows = batch.num_rows();
        if self.keys.is_empty() || rows == 0 {
            return Ok((iter::once(0..rows).collect(), false));
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            columns.push(key.evaluate(batch)?.into_array(rows)?);
        }
        let parts = partition(&columns)?.ranges();
        let first = get_row_at_idx(&columns, 0)?;
        let begins = self.last.as_ref().is_some_and(|last| *last != first);
        self.last = Some(get_row_at_idx(&columns, rows - 1)?);
        Ok((parts, begins))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{
        arrow::array::{Int64Array, StringArray},
        physical_expr::expressions::Column,
    };

    use super::*;

    fn batch(rows: &[(Option<i64>, &str)]) -> RecordBatch {
        let columns: [(&str, ArrayRef); 2] = [
            ("a", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.0)))),
            ("b", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)))),
        ];
        let columns = columns.map(|(name, column)| (name, column, true));
        RecordBatch::try_from_iter_with_nullable(columns).expect("a batch")
    }

    fn key(name: &str, at: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(name, at))
    }

    #[test]
    fn partitions_begin_where_a_key_differs_also_between_batches() {
        let mut both = Partitions::new(&[key("a", 0), key("b", 1)]);
        let table = [
            (batch(&[(Some(1), "x"), (Some(1), "x"), (Some(1), "y")]), vec![0..2, 2..3], false),
            (batch(&[(Some(1), "y"), (Some(2), "y")]), vec![0..1, 1..2], false),
            (batch(&[]), iter::once(0..0).collect(), false),
            (batch(&[(Some(2), "z"), (None, "z")]), vec![0..1, 1..2], true),
            (batch(&[(None, "z"), (None, "zz")]), vec![0..1, 1..2], false),
            (batch(&[(None, "z")]), iter::once(0..1).collect(), true),
        ];
        for (at, (batch, parts, begins)) in table.into_iter().enumerate() {
            assert_eq!(both.of(&batch).expect("partitions"), (parts, begins), "batch {at}");
        }
    }

    #[test]
    fn without_keys_all_rows_are_of_one() {
        let mut none = Partitions::new(&[]);
        for _ in 0..2 {
            let (parts, begins) = none.of(&batch(&[(Some(1), "x"), (Some(2), "y")])).expect("partitions");
            assert_eq!((parts.len(), parts[0].clone(), begins), (1, 0..2, false));
        }
    }
}
