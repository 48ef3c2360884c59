//! TiphysMetrics: numbers by SQL, each asked again and again.
//!
//! ```text
//! TiphysMetric (cache) ──> keeper: a task each ──> SQL as the namespace's viewer ──> values
//!                                                                              └──> status
//! ```
//!
//! The server that leads asks; the others, and one that led before, read what it wrote into the status:
//! that is a total, of which a selector chooses nothing; one that led before lets it choose of its own rows
//! until they are old. A bad statement has the engine's limits, and only a few are asked at once, one of a
//! namespace. A value that is older than a few refreshes is none.

mod keep;
mod rows;
mod seats;
pub mod viewer;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, CustomResource, runtime::watcher};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tiphys_api::{quantity, selector::LabelSelector, ways::Way};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;

use super::{ExternalValue, NoFigures};
use crate::{memory::Reading, sql::Engine};

/// A value counts for so many refreshes, and as long as a statement and a status may take beside,
/// seconds.
const REFRESHES: u64 = 3;
const BESIDE: u64 = 120;

#[derive(CustomResource, Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "metrics.tiphys.io",
    version = "v1",
    kind = "TiphysMetric",
    plural = "tiphysmetrics",
    namespaced,
    status = "TiphysMetricStatus",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase", default)]
pub struct TiphysMetricSpec {
    pub query: String,
    pub refresh: String,
    pub unit: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TiphysMetricStatus {
    pub value: Option<String>,
    pub rows: Option<i32>,
    pub time: Option<Time>,
    pub error: Option<String>,
}

/// What the last answer of one was.
#[derive(Debug, Clone)]
struct Latest {
    answer: Result<Vec<ExternalValue>, String>,
    uid: String,
    /// When it came, microseconds since the Unix epoch. A status that says the same has no later time.
    time: i64,
}

impl Latest {
    /// As of when it is true.
    fn asked(&self) -> i64 {
        let rows = self.answer.as_deref().unwrap_or_default();
        rows.iter().map(|row| row.reading.time).min().unwrap_or(self.time)
    }
}

/// The values of all TiphysMetrics.
pub struct Queries {
    client: Client,
    metrics: Cache<TiphysMetric>,
    latest: RwLock<HashMap<(String, String), Latest>>,
}

impl Queries {
    /// Follows the TiphysMetrics there are; [`Queries::keep`] asks them.
    pub fn start(client: Client, tasks: &Tasks) -> Arc<Self> {
        let metrics = Cache::start(tasks, Api::all(client.clone()), watcher::Config::default());
        Arc::new(Self { client, metrics, latest: RwLock::default() })
    }

    /// Who reads the API's objects for metrics.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks each as often as it says, until `tasks` stops.
    pub fn keep(self: &Arc<Self>, engine: Engine, client: Client, tasks: &Tasks) {
        keep::start(self.clone(), engine, client, tasks);
    }

    /// The names of TiphysMetrics in any namespace.
    pub fn all_names(&self) -> Vec<String> {
        self.metrics.list().iter().filter_map(|metric| metric.metadata.name.clone()).collect()
    }

    /// The rows of one that a selector matches; nothing where there is no such TiphysMetric.
    pub fn read(
        &self,
        namespace: &str,
        name: &str,
        selector: &LabelSelector,
    ) -> Option<Result<Vec<ExternalValue>, NoFigures>> {
        let metric = self.metrics.get(namespace, name)?;
        let key = (namespace.to_owned(), name.to_owned());
        let uid = metric.metadata.uid.as_deref().unwrap_or_default();
        let own = self.latest.read().get(&key).filter(|latest| latest.uid == uid).cloned();
        Some(chosen(own, &metric, selector, Timestamp::now().as_microsecond()))
    }

    fn put(&self, namespace: &str, name: &str, latest: Latest) {
        self.latest.write().insert((namespace.to_owned(), name.to_owned()), latest);
    }

    fn forget(&self, namespace: &str, name: &str, uid: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut latest = self.latest.write();
        if latest.get(&key).is_some_and(|latest| latest.uid == uid) {
            latest.remove(&key);
        }
    }
}

/// The rows that a selector matches at `now`, microseconds since the Unix epoch: of what this server found,
/// or where another has found something since, of that. Of a total a selector chooses nothing: for one that
/// chooses, this server's rows count until they are old.
fn chosen(
    own: Option<Latest>,
    metric: &TiphysMetric,
    selector: &LabelSelector,
    now: i64,
) -> Result<Vec<ExternalValue>, NoFigures> {
    let (spec, status) = (&metric.spec, metric.status.as_ref());
    let told = status.and_then(|status| status.time.as_ref());
    let told = told.map_or(i64::MIN, |time| time.0.as_microsecond());
    let is_young = |own: &Latest| own.answer.is_ok() && age(own.asked(), now) <= longest(spec);
    let counts = |own: &Latest| own.time >= told || (is_young(own) && !selector.selects_all());
    let rows = match own.filter(counts) {
        Some(own) => own.answer?,
        None => of_status(status, selector)?,
    };
    let matches = |row: &ExternalValue| {
        let labels: BTreeMap<_, _> = row.labels.iter().cloned().collect();
        selector.matches(&labels)
    };
    Ok(young(rows, spec, now)?.into_iter().filter(matches).collect())
}

/// What another server found: all rows together, without labels. A selector can't choose among them: one that
/// excludes some would take the total for the rest.
fn of_status(
    status: Option<&TiphysMetricStatus>,
    selector: &LabelSelector,
) -> Result<Vec<ExternalValue>, NoFigures> {
    let status = status.ok_or("it has not been asked yet")?;
    if let Some(error) = &status.error {
        return Err(error.as_str().into());
    }
    let time = status.time.as_ref().map_or(0, |time| time.0.as_microsecond());
    let milli = status.value.as_deref().and_then(quantity::milli).ok_or("it has no value yet")?;
    if !selector.selects_all() {
        let why = "it is not asked on this server yet, and what another server found is told as a total \
            without labels: the selector can't choose of it. Ask the server that leads, or wait";
        return Err(NoFigures::Elsewhere(why.to_owned()));
    }
    let reading = Reading { value: milli as f64 / 1000.0, time, window: 0, ways: Way::Queried.into() };
    Ok(vec![ExternalValue { labels: Vec::new(), reading }])
}

/// For how many seconds a value counts.
fn longest(spec: &TiphysMetricSpec) -> i64 {
    let refresh = keep::pace(&spec.refresh).as_secs();
    i64::try_from(REFRESHES * refresh + BESIDE).unwrap_or(i64::MAX)
}

/// Seconds between two times in microseconds.
fn age(time: i64, now: i64) -> i64 {
    now.saturating_sub(time) / 1_000_000
}

/// Values that still count at `now`, microseconds since the Unix epoch.
fn young(rows: Vec<ExternalValue>, spec: &TiphysMetricSpec, now: i64) -> Result<Vec<ExternalValue>, String> {
    let oldest = rows.iter().map(|row| row.reading.time).min().unwrap_or(now);
    let age = age(oldest, now);
    if age > longest(spec) {
        let refresh = keep::pace(&spec.refresh).as_secs();
        return Err(format!(
            "its last value is {age} s old, though it is to be asked each {refresh} s: its statement, or \
             another one of the namespace, is slow"
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_counts_while_it_is_new_and_has_no_error() {
        let second = |second: i64| Time(Timestamp::from_second(second).expect("a time"));
        let status = TiphysMetricStatus {
            value: Some("1500m".into()),
            time: Some(second(1000)),
            ..TiphysMetricStatus::default()
        };
        let spec = |refresh: &str| TiphysMetricSpec { refresh: refresh.into(), ..Default::default() };
        let value = |at: i64, refresh: &str| {
            let rows = of_status(Some(&status), &LabelSelector::default());
            let rows = rows.map_err(|why| why.to_string());
            let rows = rows.and_then(|rows| young(rows, &spec(refresh), at * 1_000_000));
            rows.map(|rows| rows[0].reading.value)
        };
        assert_eq!(value(1010, "15s"), Ok(1.5));
        assert_eq!(value(1165, "15s"), Ok(1.5));
        let old = value(1166, "15s").expect_err("too old");
        assert!(old.contains("166 s old") && old.contains("each 15 s"), "{old}");
        // One that is asked once an hour is not old for that.
        assert_eq!(value(1000 + 3 * 3600, "1h"), Ok(1.5));
        assert!(value(1000 + 4 * 3600, "1h").is_err());
        let wrong = TiphysMetricStatus { error: Some("no such table".into()), ..status.clone() };
        assert_eq!(of_status(Some(&wrong), &LabelSelector::default()), Err("no such table".into()));
        assert!(of_status(None, &LabelSelector::default()).is_err());
        // Nobody knows which labels the only row has.
        let one = TiphysMetricStatus { rows: Some(1), ..status.clone() };
        let of_one = of_status(Some(&one), &selector("lane=b"));
        assert!(matches!(of_one, Err(NoFigures::Elsewhere(_))), "{of_one:?}");
    }

    const SECOND: i64 = 1_000_000;

    fn selector(text: &str) -> LabelSelector {
        LabelSelector::parse(text).expect("a selector")
    }

    /// One whose status says 1.5 at a second; it counts for 165 s.
    fn metric(told: i64) -> TiphysMetric {
        let spec = TiphysMetricSpec { refresh: "15s".into(), ..Default::default() };
        let status = TiphysMetricStatus {
            value: Some("1500m".into()),
            time: Some(Time(Timestamp::from_second(told).expect("a time"))),
            ..TiphysMetricStatus::default()
        };
        TiphysMetric { status: Some(status), ..TiphysMetric::new("depth", spec) }
    }

    /// Lanes a and b with 2 and 4, asked for at a second.
    fn lanes(asked: i64) -> Latest {
        let row = |(lane, value): (&str, f64)| ExternalValue {
            labels: vec![("lane".to_owned(), lane.to_owned())],
            reading: Reading { value, time: asked * SECOND, window: 0, ways: Way::Queried.into() },
        };
        let rows = [("a", 2.0), ("b", 4.0)].map(row);
        Latest { answer: Ok(rows.into()), uid: String::new(), time: asked * SECOND }
    }

    #[test]
    fn a_selector_chooses_of_own_rows_and_of_no_total() {
        let read = |own: Option<Latest>, text: &str| {
            let rows = chosen(own, &metric(1000), &selector(text), 1010 * SECOND);
            rows.map(|rows| rows.iter().map(|row| row.reading.value).collect::<Vec<_>>())
        };
        for (text, own) in [
            ("", vec![2.0, 4.0]),
            ("lane=b", vec![4.0]),
            ("lane notin (a)", vec![4.0]),
            ("!old", vec![2.0, 4.0]),
            ("lane=c", vec![]),
        ] {
            assert_eq!(read(Some(lanes(1000)), text), Ok(own), "{text}");
            match read(None, text) {
                Ok(total) => assert_eq!((total, text), (vec![1.5], "")),
                Err(why) => assert!(!text.is_empty() && matches!(why, NoFigures::Elsewhere(_)), "{text}"),
            }
        }
    }

    #[test]
    fn what_a_server_found_when_it_led_gives_way_to_what_is_newer() {
        let failed = |time: i64| Latest { answer: Err("no such table".into()), ..lanes(time) };
        let choose = |own: Latest, told: i64, text: &str, now: i64| {
            let rows = chosen(Some(own), &metric(told), &selector(text), now * SECOND);
            rows.map(|rows| rows.iter().map(|row| row.reading.value).sum::<f64>())
        };
        let read = |own: Latest, told: i64, now: i64| choose(own, told, "", now);
        assert_eq!(read(lanes(1000), 1000, 1010), Ok(6.0));
        assert_eq!(read(lanes(1000), 1001, 1010), Ok(1.5));
        assert_eq!(read(failed(1000), 1000, 1010), Err("no such table".into()));
        assert_eq!(read(failed(1000), 1001, 1010), Ok(1.5));
        // Of a total a selector chooses nothing: its own rows count until they are old.
        assert_eq!(choose(lanes(1000), 1100, "lane=b", 1165), Ok(4.0));
        for (own, now) in [(lanes(1000), 1166), (failed(1000), 1110)] {
            let why = choose(own, 1100, "lane=b", now);
            assert!(matches!(why, Err(NoFigures::Elsewhere(_))), "{why:?}");
        }
        // Nobody has asked since.
        let old = read(lanes(1000), 1000, 1166).expect_err("too old").to_string();
        assert!(old.contains("166 s old"), "{old}");
        assert_eq!(read(failed(1000), 1000, 1166), Err("no such table".into()));
        // Both are old.
        let old = read(lanes(1000), 1100, 1300).expect_err("too old").to_string();
        assert!(old.contains("200 s old"), "{old}");
        // A slow statement: what it found was true when it was asked, and its status is its own.
        let slow = Latest { time: 1100 * SECOND, ..lanes(1000) };
        assert!(read(slow, 1100, 1166).expect_err("too old").to_string().contains("166 s old"));
    }
}
