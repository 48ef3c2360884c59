//! Answers selectors: the head for what is recent, blocks for what is older.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use super::Store;
use crate::series::{
    Exemplar, Labels, Matcher, Meta, Select, SelectError, SeriesData, Value,
    block::{Block, BlockError},
    head::Kept,
};

type Chosen = BTreeMap<Labels, SeriesData>;

impl Store {
    /// The head's part of an answer, and how many samples it has. `Err`: more than `most`.
    fn recent(
        &self,
        matchers: &[Matcher],
        range: &Range<i64>,
        most: usize,
    ) -> Result<(Chosen, usize), SelectError> {
        let (mut chosen, mut count) = (Chosen::new(), 0);
        self.head.visit(matchers, |kept| {
            if count > most {
                return;
            }
            let samples = samples_of(kept, range);
            if !samples.is_empty() {
                count += samples.len();
                let labels = kept.labels().clone();
                chosen.insert(labels.clone(), SeriesData { labels, samples });
            }
        });
        if count > most { Err(SelectError::TooMany(most)) } else { Ok((chosen, count)) }
    }

    /// Names a damaged block, and asks it no more.
    fn unreadable(&self, error: BlockError) -> SelectError {
        if let (BlockError::Damaged { path, why }, Some(blocks)) = (&error, &self.blocks) {
            blocks.give_up(path, why);
        }
        SelectError::Unreadable(error.to_string())
    }
}

fn samples_of(kept: &Kept, range: &Range<i64>) -> Vec<(i64, Value)> {
    let mut samples = Vec::new();
    kept.numbers(range, |time, value| samples.push((time, Value::Number(value))));
    let histograms = kept.histograms(range).map(|(time, one)| (*time, Value::Histogram(one.clone())));
    let numbers = samples.len();
    samples.extend(histograms);
    if numbers > 0 && samples.len() > numbers {
        samples.sort_by_key(|(time, _)| *time);
    }
    samples
}

/// Blocks' part of an answer, in order of labels and of time.
fn older(
    blocks: &[Arc<Block>],
    matchers: &[Matcher],
    range: &Range<i64>,
    most: usize,
) -> Result<(Chosen, usize), BlockError> {
    let (mut chosen, mut count) = (Chosen::new(), 0);
    for block in blocks {
        block.select(matchers, range, |row| {
            count += row.count as usize;
            if count > most.saturating_mul(2) {
                return Ok(());
            }
            let data = chosen
                .entry(row.labels.clone())
                .or_insert_with(|| SeriesData { labels: row.labels.clone(), samples: Vec::new() });
            let before = data.samples.len();
            row.add_to(data, range)?;
            // Numbers and histograms of one series stand in two rows.
            if before > 0
                && data.samples[before..].first().is_some_and(|next| next.0 < data.samples[before - 1].0)
            {
                data.samples.sort_by_key(|(time, _)| *time);
            }
            Ok(())
        })?;
    }
    chosen.retain(|_, data| !data.samples.is_empty());
    let count = chosen.values().map(|data| data.samples.len()).sum();
    Ok((chosen, count))
}

#[async_trait::async_trait]
impl Select for Store {
    async fn select(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        most: usize,
    ) -> Result<Vec<SeriesData>, SelectError> {
        let (blocks, until) =
            self.blocks.as_ref().map_or((Vec::new(), i64::MIN), |blocks| blocks.meeting(&range));
        // The head first: what becomes a block from now on is in it still.
        let (recent, count) = self.recent(matchers, &(range.start.max(until)..range.end), most)?;
        if blocks.is_empty() {
            return Ok(recent.into_values().collect());
        }
        let (wanted, of_blocks) = (matchers.to_vec(), range.start..range.end.min(until));
        let reading = tokio::task::spawn_blocking(move || older(&blocks, &wanted, &of_blocks, most));
        let read = reading.await.map_err(|error| SelectError::Unreadable(error.to_string()))?;
        let (mut chosen, older) = read.map_err(|error| self.unreadable(error))?;
        if older + count > most {
            return Err(SelectError::TooMany(most));
        }
        for (labels, data) in recent {
            match chosen.get_mut(&labels) {
                Some(older) => older.samples.extend(data.samples),
                None => drop(chosen.insert(labels, data)),
            }
        }
        Ok(chosen.into_values().collect())
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
        let older = read.map_err(|error| self.unreadable(error))?;
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
