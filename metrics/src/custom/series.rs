//! A metric's figures out of the store of series: the newest value of a gauge, the rate
//! of a counter.
//!
//! A value counts for five minutes, as in PromQL, unless its series has ended. A rate is over
//! the newest half minute, or over the last two samples where they stand farther apart: soon
//! enough for an autoscaler, calm enough not to follow a single scrape.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::StreamExt;
use tiphys_api::{labels::LabelMap, selector::LabelSelector, ways::Ways};

use super::names;
use crate::{
    memory::Reading,
    series::{Labels, Matcher, Missing, NAME, Select, SelectError, SeriesData, Wanted},
};

/// How old a value may be, milliseconds.
const COUNTS: i64 = 300_000;
/// What a rate is computed over, milliseconds.
const RATE: i64 = 30_000;
/// Samples that one question may read.
const MOST: usize = 2_000_000;

impl LabelMap for Labels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

/// A series' figure and its labels; by which ways it came is not looked up yet.
pub struct Found {
    pub labels: Labels,
    pub reading: Reading,
}

/// The figures of the series that a metric's name means, at `now` (milliseconds): those that have
/// the name, else the rates of the counter it names.
///
/// # Errors
/// The store can't be read.
pub async fn find(
    store: &Arc<dyn Select>,
    name: &str,
    with: &[(&str, &str)],
    selector: &LabelSelector,
    now: i64,
) -> Result<Vec<Found>, SelectError> {
    let as_named = select(store, name, with, selector, now).await?;
    let counted = name.ends_with("_per_second");
    if !as_named.is_empty() && !counted {
        return Ok(as_named.iter().filter_map(newest).collect());
    }
    for counter in names::counters(name) {
        let series = select(store, &counter, with, selector, now).await?;
        if !series.is_empty() {
            return Ok(series.iter().filter_map(rate).collect());
        }
    }
    Ok(as_named.iter().filter_map(newest).collect())
}

/// The names that the series have which there are now, by those of their labels that `chosen` takes.
///
/// # Errors
/// The store can't be read.
pub async fn names_by_label(
    store: &Arc<dyn Select>,
    chosen: impl Fn(&str) -> bool,
    now: i64,
) -> Result<BTreeMap<String, BTreeSet<String>>, SelectError> {
    let all = store.series(&[], now - COUNTS..now + 1, &Missing::default()).await?;
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for labels in &all {
        for (label, _) in labels.iter().filter(|(label, _)| chosen(label)) {
            found.entry(label).or_default().insert(labels.name());
        }
    }
    let mut owned = BTreeMap::new();
    for (label, names) in found {
        owned.insert(label.to_owned(), names.into_iter().map(str::to_owned).collect());
    }
    Ok(owned)
}

async fn select(
    store: &Arc<dyn Select>,
    name: &str,
    with: &[(&str, &str)],
    selector: &LabelSelector,
    now: i64,
) -> Result<Vec<SeriesData>, SelectError> {
    let mut matchers = vec![Matcher::equal(NAME, name)];
    matchers.extend(with.iter().map(|(label, value)| Matcher::equal(label, value)));
    // So recent that nothing of it can be missing.
    let mut found = store.stream(&matchers, now - COUNTS..now + 1, Wanted::All, &Missing::default()).await?;
    let (mut series, mut samples) = (Vec::new(), 0);
    while let Some(batch) = found.next().await {
        for one in batch? {
            let one = one?;
            samples += one.len();
            if samples > MOST {
                return Err(SelectError::TooMany(MOST));
            }
            if selector.selects_all() || selector.matches(&one.labels) {
                series.push(SeriesData::from(one));
            }
        }
    }
    Ok(series)
}

fn newest(series: &SeriesData) -> Option<Found> {
    let (time, value) = series.samples.last()?;
    let value = value.number().filter(|value| value.is_finite())?;
    let reading = Reading { value, time: time * 1000, window: 0, ways: Ways::default() };
    Some(Found { labels: series.labels.clone(), reading })
}

/// Growth a second; what fell began anew.
fn rate(series: &SeriesData) -> Option<Found> {
    let numbers: Vec<(i64, f64)> =
        series.samples.iter().map(|(time, value)| (*time, value.number().unwrap_or(f64::NAN))).collect();
    let (last, value) = *numbers.last()?;
    if !value.is_finite() {
        return None;
    }
    let numbers: Vec<_> = numbers.into_iter().filter(|(_, value)| value.is_finite()).collect();
    let within = numbers.iter().filter(|(time, _)| *time >= last - RATE).count().max(2);
    let window = &numbers[numbers.len().checked_sub(within)?..];
    let mut grown = 0.0;
    for pair in window.windows(2) {
        let (before, after) = (pair[0].1, pair[1].1);
        grown += if after >= before { after - before } else { after };
    }
    let millis = last - window.first()?.0;
    (millis > 0).then(|| Found {
        labels: series.labels.clone(),
        reading: Reading {
            value: grown * 1000.0 / millis as f64,
            time: last * 1000,
            window: millis * 1000,
            ways: Ways::default(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Limits, STALE, Sample, Store, Value};

    type Given<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

    fn store(series: &[Given<'_>]) -> Arc<dyn Select> {
        let store = Store::in_memory(Limits::default());
        for (labels, samples) in series {
            let series = store.resolve(&Labels::new(labels.iter().copied())).expect("made");
            let samples: Vec<_> = samples
                .iter()
                .map(|(time, value)| Sample { series, time: *time, value: Value::Number(*value) })
                .collect();
            store.append(&samples);
        }
        Arc::new(store)
    }

    async fn values(store: &Arc<dyn Select>, name: &str, selector: &str, now: i64) -> Vec<f64> {
        let selector = LabelSelector::parse(selector).expect("a selector");
        let found = find(store, name, &[("namespace", "shop")], &selector, now).await.expect("found");
        found.iter().map(|one| one.reading.value).collect()
    }

    #[tokio::test]
    async fn gauges_give_their_newest_value_and_counters_their_rate() {
        let a = [(NAME, "queue"), ("namespace", "shop"), ("lane", "a")];
        let b = [(NAME, "queue"), ("namespace", "shop"), ("lane", "b")];
        let other = [(NAME, "queue"), ("namespace", "other")];
        let total = [(NAME, "http_requests_total"), ("namespace", "shop")];
        let store = store(&[
            (&a, &[(0, 1.0), (15_000, 7.0)]),
            (&b, &[(15_000, 5.0)]),
            (&other, &[(15_000, 9.0)]),
            (&total, &[(0, 100.0), (15_000, 400.0), (30_000, 30.0), (45_000, 60.0)]),
        ]);
        assert_eq!(values(&store, "queue", "", 45_000).await, [7.0, 5.0]);
        assert_eq!(values(&store, "queue", "lane in (b)", 45_000).await, [5.0]);
        assert_eq!(values(&store, "queue", "", 400_000).await, Vec::<f64>::new());
        // Over the last 30 s; it began anew in between: 30 + 30.
        assert_eq!(values(&store, "http_requests_per_second", "", 46_000).await, [2.0]);
        assert_eq!(values(&store, "http_requests", "", 46_000).await, [2.0]);
        assert_eq!(values(&store, "http_requests_total", "", 46_000).await, [60.0]);
    }

    #[tokio::test]
    async fn a_series_that_ended_has_no_value() {
        let gauge = [(NAME, "queue"), ("namespace", "shop")];
        let counter = [(NAME, "jobs_total"), ("namespace", "shop")];
        let slow = [(NAME, "slow_total"), ("namespace", "shop")];
        let store = store(&[
            (&gauge, &[(0, 1.0), (1_000, STALE)]),
            (&counter, &[(0, 1.0), (15_000, 2.0), (16_000, STALE)]),
            (&slow, &[(0, 0.0), (60_000, 30.0)]),
        ]);
        assert!(values(&store, "queue", "", 2_000).await.is_empty());
        assert!(values(&store, "jobs_per_second", "", 17_000).await.is_empty());
        // Two samples a minute apart are a rate.
        assert_eq!(values(&store, "slow_per_second", "", 61_000).await, [0.5]);
    }
}
