//! What was sent, brought into the store, and what became of it.

use super::{Doors, gate::Into};
use crate::{
    scrape::round::AHEAD,
    series::{Exemplar, Labels, LabelsBuilder, NAME, Sample, Value},
};

/// Labels that one series may come with; a store takes fewer.
pub const MOST_LABELS: usize = 500;

/// A series as it was sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    pub labels: LabelsBuilder,
    pub samples: Vec<(i64, Value)>,
    pub exemplars: Vec<Exemplar>,
}

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub numbers: u64,
    pub histograms: u64,
    pub exemplars: u64,
    /// Samples that were not taken.
    pub rejected: u64,
    /// Why the first of them was not.
    pub why: Option<String>,
}

impl Outcome {
    pub fn reject(&mut self, samples: u64, why: impl FnOnce() -> String) {
        self.rejected += samples;
        if samples > 0 && self.why.is_none() {
            self.why = Some(why());
        }
    }
}

impl Doors {
    /// Takes series in. `now` in milliseconds.
    pub fn bring(&self, sent: Vec<Sent>, into: &Into, now: i64, outcome: &mut Outcome) {
        for series in sent {
            let (labels, samples) = match named(series.labels, into) {
                Ok(labels) => (labels, series.samples),
                Err(why) => {
                    outcome.reject(series.samples.len() as u64, || why);
                    continue;
                }
            };
            let id = match self.store.resolve(&labels) {
                Ok(id) => id,
                Err(refused) => {
                    self.counts.refused(labels.get("namespace").unwrap_or_default(), &refused);
                    outcome.reject(samples.len() as u64, || refused.to_string());
                    continue;
                }
            };
            self.append(id, &labels, samples, now, outcome);
            for exemplar in series.exemplars {
                self.store.add_exemplar(id, exemplar);
                outcome.exemplars += 1;
            }
        }
    }

    fn append(
        &self,
        id: crate::series::SeriesId,
        labels: &Labels,
        samples: Vec<(i64, Value)>,
        now: i64,
        outcome: &mut Outcome,
    ) {
        let ahead = samples.iter().filter(|(time, _)| *time > now.saturating_add(AHEAD)).count() as u64;
        self.counts.ahead.inc_by(ahead);
        outcome.reject(ahead, || format!("a sample of {labels} is more than ten minutes ahead of the clock"));
        let kept = samples.into_iter().filter(|(time, _)| *time <= now.saturating_add(AHEAD));
        let (numbers, histograms): (Vec<_>, Vec<_>) = kept
            .map(|(time, value)| Sample { series: id, time, value })
            .partition(|sample| matches!(sample.value, Value::Number(_)));
        for (mut batch, taken) in [(numbers, &mut outcome.numbers), (histograms, &mut outcome.histograms)] {
            if batch.is_empty() {
                continue;
            }
            let mut appended = self.store.append(&batch);
            if appended.unknown > 0
                && let Ok(id) = self.store.resolve(labels)
            {
                batch.iter_mut().for_each(|sample| sample.series = id);
                appended = self.store.append(&batch);
            }
            self.counts.appended(&appended);
            *taken += appended.taken;
            let late = appended.out_of_order + appended.unknown;
            let (rejected, why) = (&mut outcome.rejected, &mut outcome.why);
            *rejected += late + appended.duplicate;
            if late > 0 {
                why.get_or_insert_with(|| format!("out of order sample: {labels}"));
            } else if appended.duplicate > 0 {
                why.get_or_insert_with(|| format!("duplicate sample for timestamp: {labels}"));
            }
        }
    }
}

/// The labels under which a series is kept.
fn named(mut labels: LabelsBuilder, into: &Into) -> Result<Labels, String> {
    if labels.get(NAME).is_none() {
        return Err("a series has no __name__".to_owned());
    }
    if let Into::Namespace(namespace) = into {
        let said = labels.get("namespace").unwrap_or_default().to_owned();
        if said != *namespace {
            labels.set("namespace", namespace);
            if !said.is_empty() {
                labels.set("exported_namespace", &said);
            }
        }
    }
    Ok(labels.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_29_what_is_sent_bears_the_senders_namespace() {
        let labels = || {
            let mut labels = LabelsBuilder::default();
            labels.set(NAME, "up");
            labels.set("namespace", "kube-system");
            labels
        };
        let bound = named(labels(), &Into::Namespace("shop".into())).map(|labels| labels.to_string());
        assert_eq!(bound.as_deref(), Ok(r#"up{exported_namespace="kube-system", namespace="shop"}"#));
        let free = named(labels(), &Into::Any).map(|labels| labels.to_string());
        assert_eq!(free.as_deref(), Ok(r#"up{namespace="kube-system"}"#));
        assert!(named(LabelsBuilder::default(), &Into::Any).is_err());
    }
}
