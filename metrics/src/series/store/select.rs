//! Answers selectors: the head for what is recent, blocks for what is older.

use std::ops::Range;

use super::{Store, scan::unreadable};
use crate::series::{Exemplar, Labels, Matcher, Meta, Select, SelectError, SeriesData};

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
