//! The table `spans`. A condition on `time` chooses files; rows come as they are read.

use std::{io, sync::Arc, vec};

use datafusion::{
    arrow::{
        array::{Array, AsArray, BooleanArray, RecordBatch},
        compute::filter_record_batch,
    },
    common::{DataFusionError, Result},
    parquet::arrow::arrow_reader::ParquetRecordBatchReader,
    prelude::SessionContext,
};

use super::{
    Spans,
    file::SpanFile,
    span::{Span, batch, schema},
};
use crate::{
    scope::Scope,
    sql::{Asker, Batches, Extension, Notes, Wanted, table},
};

const BATCH: usize = 8192;

/// Brings the table into each statement's session.
pub struct SpansTable {
    spans: Arc<Spans>,
}

impl SpansTable {
    pub fn new(spans: Arc<Spans>) -> Self {
        Self { spans }
    }
}

impl Extension for SpansTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        let (spans, asker) = (self.spans.clone(), asker.clone());
        let rows = move |wanted: Wanted| -> Result<Batches> {
            let (recent, files) = spans.within(&wanted.micros())?;
            let (scope, notes) = (Scope::of_asker(&asker), asker.notes.clone());
            Ok(Box::new(Rows { scope, notes, recent, files: files.into_iter(), reader: None }))
        };
        session.register_table("spans", table(schema(), rows)).map(drop)
    }
}

/// What a user sees of spans: those in memory, then file after file.
struct Rows {
    scope: Scope,
    notes: Notes,
    recent: Vec<Arc<Span>>,
    files: vec::IntoIter<SpanFile>,
    reader: Option<ParquetRecordBatchReader>,
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.recent.is_empty() {
            let rest = self.recent.split_off(self.recent.len().min(BATCH));
            let part = std::mem::replace(&mut self.recent, rest);
            let rows = batch(part.iter().map(|span| &**span)).map_err(DataFusionError::from);
            return Some(rows.and_then(|rows| self.visible(&rows)));
        }
        loop {
            if let Some(rows) = self.reader.as_mut().and_then(Iterator::next) {
                return Some(rows.map_err(DataFusionError::from).and_then(|rows| self.visible(&rows)));
            }
            let file = self.files.next()?;
            match file.read() {
                Ok(reader) => self.reader = Some(reader),
                // It was too old in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.notes.add(format!("spans of a damaged file are missing: {}", file.path.display()));
                    file.set_aside(&error);
                }
            }
        }
    }
}

impl Rows {
    /// The rows that the user may see.
    fn visible(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let namespaces = rows.column_by_name("namespace").and_then(|column| column.as_string_opt::<i32>());
        let missing = || DataFusionError::Execution("a file of spans has no column namespace".to_owned());
        let namespaces = namespaces.ok_or_else(missing)?;
        let mut last: Option<(&str, bool)> = None;
        let mut sees = |namespace| match last {
            Some((before, sees)) if before == namespace => sees,
            _ => {
                let sees = self.scope.sees_namespace(namespace);
                last = Some((namespace, sees));
                sees
            }
        };
        let kept: BooleanArray = (0..namespaces.len()).map(|at| Some(sees(namespaces.value(at)))).collect();
        Ok(filter_record_batch(rows, &kept)?)
    }
}
