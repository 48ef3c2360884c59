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
mod kinds;
mod levels;
mod listing;
mod names;
mod query;
mod series;
#[cfg(test)]
mod tests;

pub use query::{Queries, TiphysMetric, viewer};

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use kube::Client;
use tiphys_api::selector::LabelSelector;

use self::kinds::Described;
use crate::{
    figures::Figure,
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

/// Why there are no figures of the outside; a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFigures {
    #[error("{0}")]
    Absent(String),
    /// There are some, and another server may tell them now, or this one later.
    #[error("{0}")]
    Elsewhere(String),
}

impl NoFigures {
    /// The same, saying of what.
    fn of(self, what: &str) -> Self {
        match self {
            Self::Absent(why) => Self::Absent(format!("{what}: {why}")),
            Self::Elsewhere(why) => Self::Elsewhere(format!("{what}: {why}")),
        }
    }
}

impl From<String> for NoFigures {
    fn from(why: String) -> Self {
        Self::Absent(why)
    }
}

impl From<&str> for NoFigures {
    fn from(why: &str) -> Self {
        Self::Absent(why.to_owned())
    }
}

impl From<NoFigures> for String {
    fn from(why: NoFigures) -> Self {
        why.to_string()
    }
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

    /// The figure of each of the Pods that has one. Of what nodes tell, a Pod's own series count,
    /// or those of the containers that the selector asks for.
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

    /// The sampled figure of each of the Pods that has one, or of one container in it, over a window in
    /// microseconds, whatever the Pods expose.
    ///
    /// # Errors
    /// No figure is called so.
    pub fn sampled(
        &self,
        window: i64,
        namespace: &str,
        pods: &[&str],
        container: Option<&str>,
        name: &str,
    ) -> Result<HashMap<String, Reading>, String> {
        let figure = names::figure(name).ok_or_else(|| format!("no figure {name} is sampled"))?;
        Ok(self.memory.pods(namespace, pods, container, figure, window))
    }

    /// The same as [`CustomMetrics::pods`], with rates of sampled figures over a window in
    /// microseconds. A series of the Pods themselves comes before a sampled figure that is called
    /// as it is.
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
        let mut with = vec![("namespace", namespace)];
        with.extend(container.map(|container| ("container", container)));
        let wanted: HashSet<_> = pods.iter().copied().collect();
        let mut found = self.find(name, &with, selector).await?;
        if names::figure(name).is_some_and(|_| selector.selects_all()) {
            let is_theirs = |one: &series::Found| {
                one.labels.name() == name && one.labels.get("pod").is_some_and(|pod| wanted.contains(pod))
            };
            found.retain(is_theirs);
            if found.is_empty() {
                return self.sampled(window, namespace, pods, container, name);
            }
        }
        let mut by_pod = added_up(found, "pod");
        if by_pod.is_empty() {
            return Err(format!(
                "no Pod in {namespace} has a metric {name} now; sampled are cpu, memory, \
                 disk_write_bytes_per_second, network_receive_bytes_per_second and others (tiphys sql \
                 'describe pod')"
            ));
        }
        by_pod.retain(|pod, _| wanted.contains(pod.as_str()));
        Ok(by_pod)
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
        let of = Described::called(kind);
        let found = self.objects(namespace, &of, Some(name), metric, selector).await?;
        found.get(name).copied().ok_or_else(|| format!("{kind} {name} has no metric {metric} now"))
    }

    /// The figures of the objects of a kind that have one, by name, or of the one named. Who asks
    /// from a namespace sees its series, and those of none; an empty one sees all. Of Pods one has
    /// to be named.
    async fn objects(
        &self,
        namespace: &str,
        kind: &Described,
        name: Option<&str>,
        metric: &str,
        selector: &LabelSelector,
    ) -> Result<HashMap<String, Reading>, String> {
        if let Some(name) = name
            && kind.is_core("Pod")
        {
            return self.pods(namespace, &[name], None, metric, selector).await;
        }
        let sampled = names::figure(metric).filter(|_| kind.is_core("Node") && selector.selects_all());
        if let Some(figure) = sampled {
            let found = self.nodes(figure, name);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let label = kind.label();
        let mut with = Vec::new();
        if kind.namespaced {
            with.push(("namespace", namespace));
        }
        with.extend(name.map(|name| (label.as_str(), name)));
        let mut found = self.find(metric, &with, selector).await?;
        if !namespace.is_empty() {
            found.retain(|one| one.labels.get("namespace").is_none_or(|of| of == namespace));
        }
        Ok(added_up(found, &label))
    }

    /// A sampled figure of each node, or of the one named.
    fn nodes(&self, figure: &Figure, name: Option<&str>) -> HashMap<String, Reading> {
        let mut found = HashMap::new();
        self.memory.visit_present(Level::Node, |key, ring| {
            let wanted = name.is_none_or(|name| name == key.node);
            if let Some(reading) = wanted.then(|| reading(ring, figure, WINDOW)).flatten() {
                found.insert(key.node.clone(), reading);
            }
        });
        found
    }

    /// The figures of an external metric, one a row or a series: the namespace's TiphysMetric of that
    /// name, else its series.
    ///
    /// # Errors
    /// There is none, or not here.
    pub async fn external(
        &self,
        namespace: &str,
        name: &str,
        selector: &LabelSelector,
    ) -> Result<Vec<ExternalValue>, NoFigures> {
        if let Some(answer) = self.queries.read(namespace, name, selector) {
            return answer.map_err(|why| why.of(&format!("TiphysMetric {name}")));
        }
        let found = self.find(name, &[("namespace", namespace)], selector).await?;
        if found.is_empty() {
            let why = format!("namespace {namespace} has no TiphysMetric {name} and no series of that name");
            return Err(NoFigures::Absent(why));
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
        let found = series::find(&self.series, name, with, selector, now).await;
        let mut found = levels::once(found.map_err(|error| error.to_string())?, selector);
        found.iter_mut().for_each(|one| one.reading.ways = self.series.ways(&one.labels));
        Ok(found)
    }

    fn client(&self) -> &Client {
        self.queries.client()
    }
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    let pairs = labels.iter().filter(|(name, _)| *name != NAME);
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The series of each thing that a label names, together.
fn added_up(found: Vec<series::Found>, label: &str) -> HashMap<String, Reading> {
    let mut all: HashMap<String, Reading> = HashMap::new();
    for one in found {
        let Some(name) = one.labels.get(label) else { continue };
        match all.get_mut(name) {
            Some(known) => *known = sum(*known, one.reading),
            None => {
                all.insert(name.to_owned(), one.reading);
            }
        }
    }
    all
}

/// Two series of one thing: as old as the older one.
fn sum(one: Reading, other: Reading) -> Reading {
    Reading {
        value: one.value + other.value,
        time: one.time.min(other.time),
        window: one.window.max(other.window),
        ways: one.ways.and(other.ways),
    }
}
