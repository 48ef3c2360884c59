//! What an autoscaler can scale on beside CPU and memory: figures of Pods and other objects,
//! and of the outside, by name.
//!
//! ```text
//! sampled figures (memory) ──┐
//! series (scraped, sent) ────┼─> CustomMetrics ──> our autoscaler, custom.metrics.k8s.io,
//! TiphysMetrics (SQL) ───────┘                     external.metrics.k8s.io
//! ```
//!
//! One source for our own autoscaler and for anybody's, so that both see the same. A
//! namespace sees its own series only. What it must not do: authorize; who asks has been.

pub mod api;
mod names;
mod query;
mod series;

pub use query::{Queries, TiphysMetric, viewer};

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use tiphys_api::selector::LabelSelector;

use crate::{
    memory::{Level, Memory, Reading, reading},
    series::{Labels, NAME, Select},
};

/// What a rate of samples is computed over: long enough to be calm, short enough that a
/// load step shows in the next decision. Microseconds.
const WINDOW: i64 = 2 * 1_000_000;

/// One figure of an external metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalValue {
    pub labels: Vec<(String, String)>,
    pub reading: Reading,
}

/// Figures by name. Clones share their sources.
#[derive(Clone)]
pub struct CustomMetrics {
    memory: Arc<Memory>,
    series: Arc<dyn Select>,
    queries: Arc<Queries>,
}

impl CustomMetrics {
    pub fn new(memory: Arc<Memory>, series: Arc<dyn Select>, queries: Arc<Queries>) -> Self {
        Self { memory, series, queries }
    }

    /// The figure of each of the Pods that has one.
    ///
    /// # Errors
    /// No such metric is known; a sentence that says what there is.
    pub async fn pods(
        &self,
        namespace: &str,
        pods: &[&str],
        container: Option<&str>,
        name: &str,
        selector: &LabelSelector,
    ) -> Result<HashMap<String, Reading>, String> {
        self.pods_over(WINDOW, namespace, pods, container, name, selector).await
    }

    /// The same, with rates of sampled figures over a window in microseconds.
    ///
    /// # Errors
    /// As above.
    pub async fn pods_over(
        &self,
        window: i64,
        namespace: &str,
        pods: &[&str],
        container: Option<&str>,
        name: &str,
        selector: &LabelSelector,
    ) -> Result<HashMap<String, Reading>, String> {
        if let Some(figure) = names::figure(name).filter(|_| selector.selects_all()) {
            return Ok(self.memory.pods(namespace, pods, container, figure, window));
        }
        let wanted: HashSet<_> = pods.iter().copied().collect();
        let found = self.find(name, &[("namespace", namespace)], selector).await?;
        let mut by_pod: HashMap<String, Reading> = HashMap::new();
        let mut seen = false;
        for one in found {
            let Some(pod) = one.labels.get("pod") else { continue };
            seen = true;
            if wanted.contains(pod) {
                add(by_pod.entry(pod.to_owned()), one.reading);
            }
        }
        match seen {
            true => Ok(by_pod),
            false => Err(format!(
                "no Pod in {namespace} has a metric {name} now; sampled are cpu, memory, \
                 disk_write_bytes_per_second, network_receive_bytes_per_second and others (tiphys sql \
                 'describe pod')"
            )),
        }
    }

    /// The figure of one object: all its series added up. They name it by a label that is called as
    /// its kind is, in lower case.
    ///
    /// # Errors
    /// It has none.
    pub async fn object(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<Reading, String> {
        let label = kind.to_lowercase();
        if label == "pod" {
            let found = self.pods(namespace, &[name], None, metric, selector).await?;
            return found.get(name).copied().ok_or_else(|| absent(kind, name, metric));
        }
        if label == "node"
            && let Some(reading) = self.node(name, metric)
        {
            return Ok(reading);
        }
        let both = [("namespace", namespace), (label.as_str(), name)];
        let with = match label.as_str() {
            "namespace" => &both[..1],
            "node" => &both[1..],
            _ => &both[..],
        };
        let found = self.find(metric, with, selector).await?;
        let sum = found.into_iter().map(|one| one.reading).reduce(sum);
        sum.ok_or_else(|| absent(kind, name, metric))
    }

    fn node(&self, name: &str, metric: &str) -> Option<Reading> {
        let figure = names::figure(metric)?;
        let mut found = None;
        self.memory.visit(Level::Node, |key, ring| {
            if key.node == name {
                found = reading(ring, figure, WINDOW);
            }
        });
        found
    }

    /// The figures of an external metric, one a row or a series: the namespace's TiphysMetric of that
    /// name, else its series.
    ///
    /// # Errors
    /// There is none.
    pub async fn external(
        &self,
        namespace: &str,
        name: &str,
        selector: &LabelSelector,
    ) -> Result<Vec<ExternalValue>, String> {
        if let Some(answer) = self.queries.read(namespace, name, selector) {
            return answer.map_err(|error| format!("TiphysMetric {name}: {error}"));
        }
        let found = self.find(name, &[("namespace", namespace)], selector).await?;
        if found.is_empty() {
            return Err(format!(
                "namespace {namespace} has no TiphysMetric {name} and no series of that name"
            ));
        }
        let value = |one: series::Found| ExternalValue { labels: pairs(&one.labels), reading: one.reading };
        Ok(found.into_iter().map(value).collect())
    }

    async fn find(
        &self,
        name: &str,
        with: &[(&str, &str)],
        selector: &LabelSelector,
    ) -> Result<Vec<series::Found>, String> {
        let now = Timestamp::now().as_millisecond();
        series::find(&self.series, name, with, selector, now).await.map_err(|error| error.to_string())
    }
}

fn absent(kind: &str, name: &str, metric: &str) -> String {
    format!("{kind} {name} has no metric {metric} now")
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    let pairs = labels.iter().filter(|(name, _)| *name != NAME);
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn add(slot: std::collections::hash_map::Entry<'_, String, Reading>, reading: Reading) {
    slot.and_modify(|found| *found = sum(*found, reading)).or_insert(reading);
}

/// Two series of one thing: as old as the older one.
fn sum(one: Reading, other: Reading) -> Reading {
    Reading {
        value: one.value + other.value,
        time: one.time.min(other.time),
        window: one.window.max(other.window),
    }
}
