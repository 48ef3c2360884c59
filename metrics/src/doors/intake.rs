//! What was sent, brought into the store, and what became of it.

use tiphys_api::ways::Way;

use super::{Doors, gate::Into};
use crate::{
    scrape::round::AHEAD,
    series::{Exemplar, Labels, Meta, NAME, Sample, SeriesId, Untaken, Value},
};

/// Labels that one series may come with; a store takes fewer.
pub const MOST_LABELS: usize = 500;

/// A series as it was sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    pub labels: Labels,
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

/// The samples of a request and whose they are.
#[derive(Default)]
struct Batch {
    samples: Vec<Sample>,
    /// Where the samples of each series begin.
    series: Vec<(usize, Labels)>,
}

/// The labels of a sample.
fn labels_of(series: &[(usize, Labels)], sample: usize) -> &Labels {
    let at = series.partition_point(|(begin, _)| *begin <= sample);
    &series[at - 1].1
}

impl Doors {
    /// Takes series in that came by a way. `now` in milliseconds.
    pub fn bring(&self, sent: Vec<Sent>, way: Way, into: &Into, now: i64, outcome: &mut Outcome) {
        let latest = now.saturating_add(AHEAD);
        let mut batch = Batch::default();
        for series in sent {
            let samples = series.samples.len();
            let Some((id, labels)) = self.resolved(series.labels, samples, way, into, outcome) else {
                continue;
            };
            batch.series.push((batch.samples.len(), labels));
            for (time, value) in series.samples {
                if time > latest {
                    self.counts.ahead.inc();
                    let labels = &batch.series[batch.series.len() - 1].1;
                    outcome.reject(1, || {
                        format!("a sample of {labels} is more than ten minutes ahead of the clock")
                    });
                    continue;
                }
                batch.samples.push(Sample { series: id, time, value });
            }
            for exemplar in series.exemplars {
                if self.store.add_exemplar(id, exemplar) {
                    outcome.exemplars += 1;
                } else {
                    self.counts.exemplars_refused.inc();
                }
            }
        }
        self.append(&mut batch, way, outcome);
    }

    /// Keeps what was said of metrics, when their series are there: of others nothing is kept.
    pub fn describe(&self, said: Vec<(String, Meta)>, into: &Into) {
        let namespace = match into {
            Into::Namespace(namespace) => namespace.as_str(),
            Into::Any => "",
        };
        for (metric, meta) in said {
            self.store.describe(namespace, &metric, meta);
        }
    }

    fn resolved(
        &self,
        labels: Labels,
        samples: usize,
        way: Way,
        into: &Into,
        outcome: &mut Outcome,
    ) -> Option<(SeriesId, Labels)> {
        let labels = match named(labels, into) {
            Ok(labels) => labels,
            Err(why) => {
                outcome.reject(samples as u64, || why);
                return None;
            }
        };
        match self.store.resolve_by(&labels, way) {
            Ok(id) => Some((id, labels)),
            Err(refused) => {
                self.counts.refused(labels.get("namespace").unwrap_or_default(), &refused);
                outcome.reject(samples as u64, || refused.to_string());
                None
            }
        }
    }

    fn append(&self, batch: &mut Batch, way: Way, outcome: &mut Outcome) {
        let mut untaken = Vec::new();
        let (samples, series) = (&mut batch.samples, &batch.series);
        let labels = |at| labels_of(series, at);
        let appended = self.store.append_of(samples, labels, way, |at, why| untaken.push((at, why)));
        self.counts.appended(&appended);
        for (at, why) in &untaken {
            let labels = labels_of(&batch.series, *at);
            outcome.reject(1, || match why {
                Untaken::Duplicate => format!("duplicate sample for timestamp: {labels}"),
                Untaken::Future => {
                    format!("a sample of {labels} is more than ten minutes ahead of the clock")
                }
                Untaken::TooLarge => {
                    let most = self.store.limits().histogram;
                    format!("a histogram of {labels} has over {most} buckets, spans and bounds: send fewer")
                }
                Untaken::OutOfOrder | Untaken::Unknown => format!("out of order sample: {labels}"),
            });
        }
        let is_number = |sample: &Sample| matches!(sample.value, Value::Number(_));
        let numbers = batch.samples.iter().filter(|sample| is_number(sample)).count();
        let of_untaken = untaken.iter().filter(|(at, _)| is_number(&batch.samples[*at])).count();
        outcome.numbers += (numbers - of_untaken) as u64;
        outcome.histograms += (batch.samples.len() - numbers - (untaken.len() - of_untaken)) as u64;
    }
}

/// The labels under which a series is kept.
fn named(labels: Labels, into: &Into) -> Result<Labels, String> {
    if labels.get(NAME).is_none() {
        return Err("a series has no __name__".to_owned());
    }
    if let Into::Namespace(namespace) = into {
        let said = labels.get("namespace").unwrap_or_default();
        if said != namespace {
            let mut bound = labels.edit();
            bound.set("namespace", namespace);
            if !said.is_empty() {
                bound.set("exported_namespace", said);
            }
            return Ok(bound.finish());
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_29_what_is_sent_bears_the_senders_namespace() {
        let labels = || Labels::new([(NAME, "up"), ("namespace", "kube-system")]);
        let bound = named(labels(), &Into::Namespace("shop".into())).map(|labels| labels.to_string());
        assert_eq!(bound.as_deref(), Ok(r#"up{exported_namespace="kube-system", namespace="shop"}"#));
        let free = named(labels(), &Into::Any).map(|labels| labels.to_string());
        assert_eq!(free.as_deref(), Ok(r#"up{namespace="kube-system"}"#));
        assert!(named(Labels::default(), &Into::Any).is_err());
    }
}
