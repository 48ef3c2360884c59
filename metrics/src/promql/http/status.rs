//! `status/tsdb`, `status/flags` and `status/config`: what there is most of, and by which bounds
//! queries live.
//!
//! A user gets the figures of the series that they see. Of a configuration there is nothing to
//! tell: targets and rules are objects of the API.

use std::{collections::HashMap, ops::Range};

use axum::response::Response;
use serde_json::{Value, json};

use super::{
    Asked,
    parameters::Parameters,
    reply::{Refusal, Reply, answer},
};
use crate::series::Labels;

/// Series count that had a sample within so many milliseconds: what memory has of them.
const RECENT: i64 = 15 * 60 * 1000;
/// Entries of a list where nothing is said, and at most.
const ENTRIES: usize = 10;
const MOST_ENTRIES: usize = 10_000;

pub async fn tsdb(asked: Asked, parameters: Parameters) -> Response {
    let work = async {
        let most = match parameters.limit()? {
            usize::MAX => ENTRIES,
            some => some.min(MOST_ENTRIES),
        };
        let now = jiff::Timestamp::now().as_millisecond();
        let range = now - RECENT..now + 1;
        let (found, missing) = asked.series(vec![Vec::new()], range.clone()).await?;
        let counting = tokio::task::spawn_blocking(move || statistics(&found, &range, most));
        let mut reply = Reply::of(counting.await.map_err(|why| Refusal::internal(&why))?.to_string());
        reply.notes.warnings.extend(missing.sentences());
        Ok(reply)
    };
    answer(work.await)
}

pub async fn flags(asked: Asked) -> Response {
    let limits = &asked.limits;
    let seconds = |duration: std::time::Duration| format!("{}s", duration.as_secs());
    let flags = json!({
        "query.lookback-delta": seconds(limits.lookback),
        "query.max-concurrency": super::PLACES.to_string(),
        "query.max-samples": limits.samples.to_string(),
        "query.timeout": seconds(limits.deadline),
    });
    Reply::of(flags.to_string()).response()
}

pub async fn config() -> Response {
    Reply::of(json!({ "yaml": "" }).to_string()).response()
}

/// What Prometheus tells of its head, of these series. Pure.
fn statistics(series: &[Labels], range: &Range<i64>, most: usize) -> Value {
    let mut metrics: HashMap<&str, usize> = HashMap::new();
    let mut pairs: HashMap<(&str, &str), usize> = HashMap::new();
    for labels in series {
        *metrics.entry(labels.name()).or_default() += 1;
        for pair in labels.iter() {
            *pairs.entry(pair).or_default() += 1;
        }
    }
    let mut values: HashMap<&str, usize> = HashMap::new();
    let mut bytes: HashMap<&str, usize> = HashMap::new();
    for ((name, value), count) in &pairs {
        *values.entry(*name).or_default() += 1;
        *bytes.entry(*name).or_default() += value.len() * count;
    }
    let by_name = |counts: HashMap<&str, usize>| top(counts, most, str::to_owned);
    json!({
        "headStats": {
            "numSeries": series.len(), "numLabelPairs": pairs.len(),
            "minTime": range.start, "maxTime": range.end - 1,
        },
        "seriesCountByMetricName": by_name(metrics),
        "labelValueCountByLabelName": by_name(values),
        "memoryInBytesByLabelName": by_name(bytes),
        "seriesCountByLabelValuePair": top(pairs, most, |(name, value)| format!("{name}={value}")),
    })
}

/// The entries that count most.
fn top<K: Ord>(counts: HashMap<K, usize>, most: usize, name: impl Fn(K) -> String) -> Vec<Value> {
    let mut all: Vec<(usize, K)> = counts.into_iter().map(|(key, count)| (count, key)).collect();
    all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all.truncate(most);
    all.into_iter().map(|(count, key)| json!({"name": name(key), "value": count})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::NAME;

    #[test]
    fn what_there_is_most_of_stands_first() {
        let series = |metric, pod| Labels::new([(NAME, metric), ("pod", pod)]);
        let all = [series("up", "a"), series("up", "b"), series("up", "cc"), series("load", "a")];
        let entry = |name: &str, value: usize| json!({"name": name, "value": value});
        let told = statistics(&all, &(1000..2001), 2);
        let head = json!({"numSeries": 4, "numLabelPairs": 5, "minTime": 1000, "maxTime": 2000});
        assert_eq!(told["headStats"], head);
        assert_eq!(told["seriesCountByMetricName"], json!([entry("up", 3), entry("load", 1)]));
        assert_eq!(told["labelValueCountByLabelName"], json!([entry("pod", 3), entry(NAME, 2)]));
        assert_eq!(told["memoryInBytesByLabelName"], json!([entry(NAME, 10), entry("pod", 5)]));
        let pairs = json!([entry("__name__=up", 3), entry("pod=a", 2)]);
        assert_eq!(told["seriesCountByLabelValuePair"], pairs);
    }
}
