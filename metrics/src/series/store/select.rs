//! Answers selectors: the head for what is recent, blocks for what is older.

use std::{iter, ops::Range};

use futures::{StreamExt, future, stream};
use tiphys_api::ways::Ways;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Store,
    scan::{Begun, Behind, Scan},
};
use crate::series::{
    Batch, Described, Exemplar, Labels, Matcher, Missing, Select, SelectError, SeriesStream, Wanted,
};

/// Samples and series that are handed over at once: each time two threads wait for each other.
const SAMPLES: usize = 96 << 10;
const SERIES: usize = 512;
/// How often ahead of who waits for them.
const BATCHES: usize = 4;

/// The next series; none at the end.
fn batch(scan: &mut Scan) -> Result<Batch, SelectError> {
    let (mut found, mut samples) = (Vec::new(), 0);
    while samples < SAMPLES
        && found.len() < SERIES
        && let Some(series) = scan.next_packed()?
    {
        samples += series.samples();
        found.push(series);
    }
    Ok(Batch::new(found, scan.unpacker()))
}

fn is_end(batch: &Result<Batch, SelectError>) -> bool {
    batch.as_ref().is_ok_and(Batch::is_empty)
}

#[async_trait::async_trait]
impl Select for Store {
    async fn stream(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        wanted: Wanted,
        missing: &Missing,
    ) -> Result<SeriesStream, SelectError> {
        let begun = Begun::new(self, matchers, &range, wanted, missing);
        if begun.is_short() {
            let mut scan = begun.open()?;
            let batches = iter::from_fn(move || Some(batch(&mut scan)).filter(|batch| !is_end(batch)));
            return Ok(stream::iter(batches).boxed());
        }
        let (sender, receiver) = mpsc::channel(BATCHES);
        let walk = tokio::task::spawn_blocking(move || {
            let mut scan = begun.open()?;
            loop {
                let batch = batch(&mut scan);
                let is_last = batch.is_err() || is_end(&batch);
                if sender.blocking_send(batch).is_err() || is_last {
                    return Ok(());
                }
            }
        });
        // A walk that ended badly is an error, not an end.
        let end = async {
            let ended = walk.await.unwrap_or_else(|why| Err(SelectError::Unreadable(why.to_string())));
            ended.err().map(Err)
        };
        let end = stream::once(end).filter_map(future::ready);
        Ok(ReceiverStream::new(receiver).chain(end).boxed())
    }

    async fn series(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        missing: &Missing,
    ) -> Result<Vec<Labels>, SelectError> {
        let (behind, mut found) = Behind::beside(self, matchers, &range, missing, |kept, recent| {
            kept.has(recent).then(|| kept.labels())
        });
        let matchers = matchers.to_vec();
        let looking = tokio::task::spawn_blocking(move || {
            let (faults, sources) = behind.open()?;
            for (from, block, asked) in sources {
                match block.series(&matchers, &asked) {
                    Ok(labels) => found.extend(labels),
                    Err(error) => faults.take(&from, error)?,
                }
            }
            found.sort_unstable();
            found.dedup();
            Ok(found)
        });
        looking.await.map_err(|error| SelectError::Unreadable(error.to_string()))?
    }

    fn metadata(&self) -> Vec<Described> {
        self.descriptions.read().all()
    }

    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found = Vec::new();
        self.head.visit(matchers, |kept| {
            let chosen: Vec<_> =
                kept.exemplars().filter(|exemplar| range.contains(&exemplar.time)).cloned().collect();
            if !chosen.is_empty() {
                found.push((kept.labels(), chosen));
            }
        });
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn ways(&self, labels: &Labels) -> Ways {
        self.head.ways(labels)
    }
}

#[cfg(test)]
impl Store {
    /// All that matches, whole, which tests ask for.
    pub async fn all(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<crate::series::SeriesData> {
        self.asked(matchers, range, Wanted::All).await
    }

    pub async fn asked(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        wanted: Wanted,
    ) -> Vec<crate::series::SeriesData> {
        let mut stream = self.stream(matchers, range, wanted, &Missing::default()).await.expect("an answer");
        let mut found = Vec::new();
        while let Some(batch) = stream.next().await {
            let series = batch.expect("an answer").map(|series| series.expect("sound rows"));
            found.extend(series.map(crate::series::SeriesData::from));
        }
        found
    }
}
