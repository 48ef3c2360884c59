//! Decisions of a range of time, a piece at a time and the newest first: what is in memory, then file
//! after file.
//!
//! Of each line only that is read by which it is chosen, until it is taken. So what is held is what is
//! taken of one file, however long the range.

use std::{
    borrow::Cow,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use serde::Deserialize;
use tiphys_api::decisions::{Decision, MetricReading};

use super::{Decisions, files::Sealed};

/// Rows of a piece out of memory: as many as a file has.
const PIECE: usize = 4096;

/// What a decision is chosen by.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head<'a> {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    #[serde(borrow)]
    pub autoscaler: Cow<'a, str>,
}

impl<'a> Head<'a> {
    fn of(row: &'a Decision) -> Self {
        let (namespace, autoscaler) = (row.namespace.as_str().into(), row.autoscaler.as_str().into());
        Self { time: row.time, namespace, autoscaler }
    }
}

/// What becomes of a decision that is come across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Take,
    Pass,
    /// Nothing more is wanted, of this piece or another.
    Stop,
}

/// Chooses among decisions; is told the bytes of each as text, or of what it takes in memory.
pub type Choose<'a> = dyn FnMut(&Head<'_>, usize) -> Choice + 'a;

/// Bytes that a decision takes in memory, with its texts and metrics.
fn bytes_of(row: &Decision) -> usize {
    let texts = [
        &row.namespace,
        &row.autoscaler,
        &row.target,
        &row.limited_by,
        &row.policy,
        &row.failure,
        &row.reason,
    ];
    let of_metric = |metric: &MetricReading| {
        let names = metric.missing.iter().chain(&metric.unready).chain(&metric.sources);
        let names: usize = names.map(|name| size_of::<String>() + name.len()).sum();
        let texts = metric.name.len() + metric.target_type.len() + metric.error.len();
        size_of::<MetricReading>() + texts + names
    };
    let texts: usize = texts.iter().map(|text| text.len()).sum();
    size_of::<Decision>() + texts + row.metrics.iter().map(of_metric).sum::<usize>()
}

/// Walks over the pieces. Blocks the thread while a file is read.
pub struct Pieces {
    decisions: Arc<Decisions>,
    /// The oldest first, as the files.
    newest: Vec<Arc<Decision>>,
    files: Vec<Sealed>,
    missing: Vec<String>,
}

impl Decisions {
    /// Pieces that may have decisions of a range of time, microseconds since the Unix epoch.
    pub fn pieces(self: &Arc<Self>, range: &Range<i64>) -> Pieces {
        let (newest, files) = {
            let inner = self.inner.read();
            let files: Vec<_> = inner.sealed.iter().filter(|file| file.touches(range)).cloned().collect();
            (inner.newest.rows().iter().cloned().collect(), files)
        };
        Pieces { decisions: self.clone(), newest, files, missing: Vec::new() }
    }
}

impl Pieces {
    /// What is taken of the next piece, the newest first. Absent: there is none any more.
    pub fn next(&mut self, choose: &mut Choose<'_>) -> Option<Vec<Arc<Decision>>> {
        if !self.newest.is_empty() {
            let piece = self.newest.split_off(self.newest.len().saturating_sub(PIECE));
            let mut taken: Vec<Arc<Decision>> = Vec::new();
            for row in piece.into_iter().rev() {
                match choose(&Head::of(&row), bytes_of(&row)) {
                    Choice::Take => taken.push(row),
                    Choice::Pass => {}
                    Choice::Stop => break,
                }
            }
            return Some(taken);
        }
        let file = self.files.pop()?;
        Some(self.of_file(&file, choose))
    }

    /// What can't be read, of the pieces so far; it is told once.
    pub fn missing(&mut self) -> Vec<String> {
        std::mem::take(&mut self.missing)
    }

    fn of_file(&mut self, file: &Sealed, choose: &mut Choose<'_>) -> Vec<Arc<Decision>> {
        let mut taken: Vec<Arc<Decision>> = Vec::new();
        let read = self.decisions.visit(file, &mut |line| {
            let Ok(head) = serde_json::from_slice::<Head<'_>>(line) else { return ControlFlow::Continue(()) };
            match choose(&head, line.len()) {
                Choice::Take => taken.extend(serde_json::from_slice::<Decision>(line).ok().map(Arc::new)),
                Choice::Pass => {}
                Choice::Stop => return ControlFlow::Break(()),
            }
            ControlFlow::Continue(())
        });
        if let Err(missing) = read {
            self.missing.extend(missing);
            return Vec::new();
        }
        taken.reverse();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_counts_with_its_texts_and_metrics() {
        let bare = bytes_of(&Decision::default());
        assert_eq!(bare, size_of::<Decision>());
        let told = Decision { reason: "x".repeat(1000), ..Decision::default() };
        assert_eq!(bytes_of(&told), bare + 1000);
        let missing = vec!["p".repeat(60); 10];
        let sources = vec!["sampled".to_owned()];
        let metric = MetricReading { name: "cpu".into(), missing, sources, ..MetricReading::default() };
        let measured = Decision { metrics: vec![metric], ..Decision::default() };
        let of_metric = size_of::<MetricReading>() + 3 + 11 * size_of::<String>() + 10 * 60 + 7;
        assert_eq!(bytes_of(&measured), bare + of_metric);
    }
}
