//! Answers selectors: the head for what is recent, blocks for what is older.

use std::ops::Range;

use futures::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Store, scan::unreadable};
use crate::series::{Exemplar, Labels, Matcher, Meta, Select, SelectError, SeriesData, SeriesStream};

/// Series that are handed over at once, and how often ahead of who waits for them.
const BATCH: usize = 32;
const BATCHES: usize = 4;

#[async_trait::async_trait]
impl Select for Store {
    async fn select(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        most: usize,
    ) -> Result<Vec<SeriesData>, SelectError> {
        let scan = self.scan(matchers, range)?;
        let collect = move || {
            let (mut found, mut count) = (Vec::new(), 0);
            for columns in scan {
                let columns = columns?;
                count += columns.len();
                if count > most {
                    return Err(SelectError::TooMany(most));
                }
                found.push(SeriesData::from(columns));
            }
            Ok(found)
        };
        let collected = tokio::task::spawn_blocking(collect).await;
        collected.map_err(|error| SelectError::Unreadable(error.to_string()))?
    }

    async fn stream(&self, matchers: &[Matcher], range: Range<i64>) -> Result<SeriesStream, SelectError> {
        let mut scan = self.scan(matchers, range)?;
        let (sender, receiver) = mpsc::channel(BATCHES);
        let walk = tokio::task::spawn_blocking(move || {
            loop {
                let batch: Result<Vec<_>, _> = scan.by_ref().take(BATCH).collect();
                let is_last = batch.as_ref().map_or(true, Vec::is_empty);
                if sender.blocking_send(batch).is_err() || is_last {
                    return;
                }
            }
        });
        // A walk that ended badly is an error, not an end.
        let end = async {
            walk.await.map_or_else(|why| Err(SelectError::Unreadable(why.to_string())), |()| Ok(Vec::new()))
        };
        Ok(ReceiverStream::new(receiver).chain(stream::once(end)).boxed())
    }

    async fn series(&self, matchers: &[Matcher], range: Range<i64>) -> Result<Vec<Labels>, SelectError> {
        let (blocks, until) =
            self.blocks.as_ref().map_or((Vec::new(), i64::MIN), |blocks| blocks.meeting(&range));
        let mut found = Vec::new();
        let recent = range.start.max(until)..range.end;
        self.head.visit(matchers, |kept| {
            if kept.has(&recent) {
                found.push(kept.labels().clone());
            }
        });
        let (wanted, of_blocks) = (matchers.to_vec(), range.start..range.end.min(until));
        let reading = tokio::task::spawn_blocking(move || {
            blocks.iter().map(|block| block.series(&wanted, &of_blocks)).collect::<Result<Vec<_>, _>>()
        });
        let read = reading.await.map_err(|error| SelectError::Unreadable(error.to_string()))?;
        let older = read.map_err(|error| unreadable(self.blocks.as_deref(), &error))?;
        found.extend(older.into_iter().flatten());
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn metadata(&self) -> Vec<(String, Meta)> {
        self.metadata.read().iter().map(|(name, meta)| (name.clone(), meta.clone())).collect()
    }

    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found = Vec::new();
        self.head.visit(matchers, |kept| {
            let chosen: Vec<_> =
                kept.exemplars().filter(|exemplar| range.contains(&exemplar.time)).cloned().collect();
            if !chosen.is_empty() {
                found.push((kept.labels().clone(), chosen));
            }
        });
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }
}
