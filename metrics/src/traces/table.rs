//! The table `spans`: what a statement looks for, out of memory and then file after file, the newest
//! first. Conditions on the time choose files, those on texts too choose groups and rows in them, and
//! columns are read that the statement names.

use std::{error::Error, io, iter::Rev, sync::Arc, vec};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    common::Result,
    prelude::SessionContext,
};

use super::{
    Spans,
    file::{Failing, Search, SearchedRows, SpanFile},
    span::{Span, batch, complete, schema},
};
use crate::{
    scope::Scope,
    sql::{Asker, Batches, Extension, Notes, Wanted, projected, table_of_asked},
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
        let rows = move |wanted: Wanted, asked: SchemaRef| -> Result<Batches> {
            Ok(Box::new(Rows::new(&spans, &asker, wanted, asked)?))
        };
        session.register_table("spans", table_of_asked(schema(), rows)).map(drop)
    }
}

/// What a user sees of what is looked for: in memory, then in file after file.
struct Rows {
    search: Search,
    notes: Notes,
    asked: SchemaRef,
    recent: Vec<Arc<Span>>,
    files: Rev<vec::IntoIter<SpanFile>>,
    reading: Option<(SpanFile, SearchedRows)>,
    /// Groups of rows that had to be read, of files that are through.
    groups: usize,
}

impl Rows {
    fn new(spans: &Spans, asker: &Asker, wanted: Wanted, asked: SchemaRef) -> io::Result<Self> {
        let search = Search::new(wanted, Scope::of_asker(asker), asked.clone());
        let (mut recent, files) = spans.within(&search.micros())?;
        search.keep_found(&mut recent);
        let (notes, files) = (asker.notes.clone(), files.into_iter().rev());
        Ok(Self { search, notes, asked, recent, files, reading: None, groups: 0 })
    }

    fn of_memory(&mut self) -> Result<RecordBatch> {
        let rest = self.recent.split_off(self.recent.len().min(BATCH));
        let part = std::mem::replace(&mut self.recent, rest);
        as_asked(&batch(part.iter().map(|span| &**span))?, &self.asked)
    }

    fn failed(&self, file: &SpanFile, error: &(dyn Error + 'static)) {
        // Where it is concerns nobody who asks.
        let name = file.path.file_name().unwrap_or_default().display();
        self.notes.add(match file.failed(error) {
            Failing::Damaged => format!("spans of a damaged file are missing: {name}"),
            Failing::Unread => format!("spans of a file that can't be read now are missing: {name}"),
        });
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.recent.is_empty() {
            return Some(self.of_memory());
        }
        loop {
            if let Some((file, mut rows)) = self.reading.take() {
                match rows.next() {
                    Some(Ok(found)) => {
                        self.reading = Some((file, rows));
                        return Some(as_asked(&found, &self.asked));
                    }
                    Some(Err(error)) => self.failed(&file, &error),
                    None => {}
                }
                self.groups += rows.read();
            }
            let Some(file) = self.files.next() else {
                tracing::trace!(groups = self.groups, "groups of spans were read");
                return None;
            };
            match file.search(&self.search) {
                Ok(rows) => self.reading = Some((file, rows)),
                // It was too old in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.failed(&file, &error),
            }
        }
    }
}

/// The columns that are asked for; those that a file of a version before has not are empty.
fn as_asked(rows: &RecordBatch, asked: &SchemaRef) -> Result<RecordBatch> {
    match asked.fields().iter().all(|field| rows.column_by_name(field.name()).is_some()) {
        true => projected(rows, asked),
        false => projected(&complete(rows)?, asked),
    }
}

#[cfg(test)]
mod tests;
