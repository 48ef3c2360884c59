//! What an answer lacks: a file that is damaged, an archive that can't be reached.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use parking_lot::Mutex;

/// Why something is missing, and between which times. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Missing(Arc<Mutex<BTreeMap<String, Range<i64>>>>);

impl Missing {
    /// Adds to what is missing for one reason; times are milliseconds, the end excluded.
    pub fn add(&self, why: &str, range: &Range<i64>) {
        let mut all = self.0.lock();
        let whole = all.entry(why.to_owned()).or_insert_with(|| range.clone());
        *whole = whole.start.min(range.start)..whole.end.max(range.end);
    }

    /// A sentence for each reason.
    pub fn sentences(&self) -> Vec<String> {
        let all = self.0.lock();
        all.iter()
            .map(|(why, range)| match (time(range.start), time(range.end)) {
                (Some(start), Some(end)) => format!("series from {start} to {end} are incomplete: {why}"),
                (None, Some(end)) => format!("series before {end} are incomplete: {why}"),
                _ => format!("series are incomplete: {why}"),
            })
            .collect()
    }
}

fn time(millis: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(millis).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_one_sentence() {
        let missing = Missing::default();
        missing.add("away", &(2_000..3_000));
        missing.clone().add("away", &(0..1_000));
        missing.add("lost", &(i64::MIN..5_000));
        let expected = [
            "series from 1970-01-01T00:00:00Z to 1970-01-01T00:00:03Z are incomplete: away",
            "series before 1970-01-01T00:00:05Z are incomplete: lost",
        ];
        assert_eq!(missing.sentences(), expected);
    }
}
