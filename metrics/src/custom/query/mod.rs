//! TiphysMetrics: numbers by SQL, each asked again and again.
//!
//! ```text
//! TiphysMetric (cache) ──> keeper: a task each ──> SQL as the namespace's viewer ──> values
//!                                                                              └──> status
//! ```
//!
//! The server that leads asks; the others read what it wrote into the status. A bad
//! statement has the engine's limits, and only a few are asked at once, one of a namespace. A
//! value that is older than a few refreshes is none.

mod keep;
mod rows;
mod seats;
pub mod viewer;

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, CustomResource, runtime::watcher};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tiphys_api::{quantity, selector::LabelSelector, ways::Way};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;

use super::ExternalValue;
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
    ) -> Option<Result<Vec<ExternalValue>, String>> {
        let metric = self.metrics.get(namespace, name)?;
        let key = (namespace.to_owned(), name.to_owned());
        let uid = metric.metadata.uid.as_deref().unwrap_or_default();
        let own = self.latest.read().get(&key).filter(|latest| latest.uid == uid).cloned();
        let answer = match own {
            Some(latest) => latest.answer,
            None => of_status(metric.status.as_ref()),
        };
        let answer = answer.and_then(|rows| young(rows, &metric.spec, Timestamp::now().as_microsecond()));
        Some(answer.map(|rows| {
            let matches = |row: &ExternalValue| {
                let labels: std::collections::BTreeMap<_, _> = row.labels.iter().cloned().collect();
                selector.matches(&labels)
            };
            rows.into_iter().filter(matches).collect()
        }))
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

/// What another server found: all rows together, without labels.
fn of_status(status: Option<&TiphysMetricStatus>) -> Result<Vec<ExternalValue>, String> {
    let status = status.ok_or("it has not been asked yet")?;
    if let Some(error) = &status.error {
        return Err(error.clone());
    }
    let time = status.time.as_ref().map_or(0, |time| time.0.as_microsecond());
    let milli = status.value.as_deref().and_then(quantity::milli).ok_or("it has no value yet")?;
    let reading = Reading { value: milli as f64 / 1000.0, time, window: 0, ways: Way::Queried.into() };
    Ok(vec![ExternalValue { labels: Vec::new(), reading }])
}

/// Values that still count at `now`, microseconds since the Unix epoch.
fn young(rows: Vec<ExternalValue>, spec: &TiphysMetricSpec, now: i64) -> Result<Vec<ExternalValue>, String> {
    let refresh = keep::pace(&spec.refresh).as_secs();
    let counts = i64::try_from(REFRESHES * refresh + BESIDE).unwrap_or(i64::MAX);
    let oldest = rows.iter().map(|row| row.reading.time).min().unwrap_or(now);
    let age = (now - oldest) / 1_000_000;
    if age > counts {
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
            let rows = of_status(Some(&status)).and_then(|rows| young(rows, &spec(refresh), at * 1_000_000));
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
        assert_eq!(of_status(Some(&wrong)), Err("no such table".into()));
        assert!(of_status(None).is_err());
    }
}
