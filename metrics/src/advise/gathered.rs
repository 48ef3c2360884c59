//! Gathers what containers used and request: of Pods that there are, of memory, and of the store
//! for the time before memory. What is kept of them is counted against the statement's memory, and
//! nothing more is read once nobody asks any more.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Range,
    sync::Arc,
};

use datafusion::common::{DataFusionError, Result};
use tiphys_api::quantity;
use tiphys_client::LeanPod;

use super::basis::{Basis, Key, Requests};
use crate::{
    figures::Figure,
    memory::{Level, Memory, Point, rate},
    names::back,
    scope::Scope,
    series::{Labels, MatchOp, Matcher, Missing, NAME, SelectError, SeriesColumns, Store},
    sql::{Notes, Share, Wanted},
};

const MEMORY: &str = "container_memory_working_set_bytes";
const KILLS: &str = "container_oom_events_total";
/// Why containers ended, those that were restarted and those that weren't.
const ENDED: &str = "kube_pod_(init_)?container_status_(last_)?terminated_reason";
/// Between two samples of CPU time so much may lie, milliseconds: the coarsest step there is, twice.
const APART: i64 = 600_000;

/// Where figures come from.
pub struct Sources<'a> {
    pub memory: &'a Memory,
    pub series: &'a Store,
    pub pods: Vec<Arc<LeanPod>>,
    pub share: &'a Share,
}

/// The namespace, and the name of something in it.
type Name = (String, String);

/// What is known of the Pods that a user sees.
pub struct Known {
    pub now: BTreeMap<Key, Requests>,
    /// By namespace and name.
    workloads: BTreeMap<Name, String>,
    /// Bytes, by namespace, Pod and container.
    limits: BTreeMap<Key, f64>,
    /// Whether figures of a namespace may be seen.
    seen: BTreeMap<String, bool>,
}

impl Known {
    fn sees(&self, namespace: &str) -> bool {
        self.seen.get(namespace) == Some(&true)
    }

    /// The row of a container. Absent: it isn't seen, or of no workload that there is.
    fn key(&self, namespace: &str, pod: &str, container: &str) -> Option<Key> {
        if !self.sees(namespace) {
            return None;
        }
        let workload = self.workloads.get(&(namespace.to_owned(), pod.to_owned()))?;
        Some((namespace.to_owned(), workload.clone(), container.to_owned()))
    }
}

impl Sources<'_> {
    /// What is requested now; of several Pods of a workload the newest counts.
    ///
    /// # Errors
    /// The store can't be read, or there is no more memory.
    pub fn requests(&self, scope: &Scope, wanted: &Wanted, range: &Range<i64>) -> Result<Known> {
        let (now, workloads) = (BTreeMap::new(), BTreeMap::new());
        let mut known = Known { now, workloads, limits: BTreeMap::new(), seen: BTreeMap::new() };
        let mut pods: Vec<_> =
            self.pods.iter().filter(|pod| wanted.takes("namespace", &pod.namespace)).collect();
        pods.sort_by_key(|pod| pod.created);
        for pod in pods {
            let namespace = pod.namespace.to_string();
            let sees = || scope.sees_namespace(&pod.namespace);
            if !*known.seen.entry(namespace.clone()).or_insert_with(sees) {
                continue;
            }
            let workload = workload(pod);
            let containers = pod.spec.containers.iter().chain(pod.spec.init_containers.iter().flatten());
            for container in containers {
                let resources = container.resources.as_ref();
                let requests = resources.and_then(|resources| resources.requests.as_ref());
                let limits = resources.and_then(|resources| resources.limits.as_ref());
                let requested = |name: &str| quantity::milli(&requests?.get(name)?.0);
                let key = (namespace.clone(), workload.clone(), container.name.clone());
                let cpu = requested("cpu").map(|milli| milli as f64 / 1000.0);
                let memory = requested("memory").map(|milli| milli / 1000);
                let texts = text_bytes(&key);
                *self.at(&mut known.now, key, texts)? = Requests { cpu, memory };
                if let Some(limit) = limits.and_then(|limits| quantity::units(&limits.get("memory")?.0)) {
                    let of = (namespace.clone(), pod.name.to_string(), container.name.clone());
                    let texts = text_bytes(&of);
                    *self.at(&mut known.limits, of, texts)? = limit as f64;
                }
            }
            let name = (namespace, pod.name.to_string());
            let texts = name.0.len() + name.1.len() + workload.len();
            *self.at(&mut known.workloads, name, texts)? = workload;
        }
        self.add_former(&mut known, wanted, range)?;
        Ok(known)
    }

    /// The value of a key; what a new one takes is counted, `texts` bytes beside itself.
    ///
    /// # Errors
    /// There is no more memory.
    fn at<'m, K: Ord, V: Default>(
        &self,
        map: &'m mut BTreeMap<K, V>,
        key: K,
        texts: usize,
    ) -> Result<&'m mut V> {
        match map.entry(key) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(free) => {
                self.share.take(size_of::<(K, V)>() + texts)?;
                Ok(free.insert(V::default()))
            }
        }
    }

    /// The workloads of Pods that are gone, as the series about their owners say.
    fn add_former(&self, known: &mut Known, wanted: &Wanted, range: &Range<i64>) -> Result<()> {
        let mut sets: BTreeMap<Name, String> = BTreeMap::new();
        self.owned(("kube_replicaset_owner", "replicaset"), wanted, range, &mut |labels: &Labels| {
            let (set, deployment) = (name_of(labels, "replicaset"), text_of(labels, "owner_name"));
            if labels.get("owner_kind") == Some("Deployment") && known.sees(&set.0) {
                let texts = set.0.len() + set.1.len() + deployment.len();
                *self.at(&mut sets, set, texts)? = deployment;
            }
            Ok(())
        })?;
        self.owned(("kube_pod_owner", "pod"), wanted, range, &mut |labels: &Labels| {
            let pod = name_of(labels, "pod");
            if !known.sees(&pod.0) || known.workloads.contains_key(&pod) {
                return Ok(());
            }
            let kind = labels.get("owner_kind").unwrap_or_default();
            let owner = name_of(labels, "owner_name");
            let workload = match sets.get(&owner) {
                Some(deployment) if kind == "ReplicaSet" => format!("Deployment/{deployment}"),
                _ => format!("{kind}/{}", owner.1),
            };
            let texts = pod.0.len() + pod.1.len() + workload.len();
            *self.at(&mut known.workloads, pod, texts)? = workload;
            Ok(())
        })
    }

    /// Runs `take` over series of this name, each of which tells the owner of what its label `by` names.
    fn owned(
        &self,
        (name, by): (&str, &str),
        wanted: &Wanted,
        range: &Range<i64>,
        take: &mut dyn FnMut(&Labels) -> Result<()>,
    ) -> Result<()> {
        let controller = Matcher::equal("owner_is_controller", "true");
        let mut matchers = vec![Matcher::equal(NAME, name), controller, there(by)];
        matchers.extend(wanted.matchers(|column| (column == "namespace").then_some("namespace")));
        // What is missing is told when its figures are.
        let missing = Missing::default();
        self.scan(&matchers, range, &missing, &mut |columns: SeriesColumns| take(&columns.labels))
    }

    /// What containers used in a range of time, microseconds since the Unix epoch.
    ///
    /// # Errors
    /// The store can't be read, or there is no more memory.
    pub fn gather(
        &self,
        known: &Known,
        wanted: &Wanted,
        range: &Range<i64>,
        notes: &Notes,
    ) -> Result<BTreeMap<Key, Basis>> {
        let mut found = BTreeMap::new();
        let missing = Missing::default();
        // What is recent is in memory; of kills the store has all.
        let until = self.memory.whole().since().clamp(range.start, range.end);
        self.recent(known, &(until..range.end), &mut found)?;
        let mut matchers = back::of_level(Level::Container);
        matchers.extend(one_of(&format!("{}|{MEMORY}", back::ANCHOR)));
        matchers.extend(wanted.matchers(label_of));
        let mut take = |columns: SeriesColumns| self.older(known, &columns, &mut found);
        self.scan(&matchers, &(range.start..until), &missing, &mut take)?;
        let mut killed: BTreeMap<Key, Killed> = BTreeMap::new();
        let mut matchers = back::of_level(Level::Container);
        matchers.push(Matcher::equal(NAME, KILLS));
        matchers.extend(wanted.matchers(label_of));
        // What one said last, as files follow each other.
        let mut last: BTreeMap<Labels, f64> = BTreeMap::new();
        let mut counted = |columns: SeriesColumns| -> Result<()> {
            let texts = columns.labels.as_bytes().len();
            let before = self.at(&mut last, columns.labels.clone(), texts)?;
            let samples = columns.times.iter().copied().zip(columns.values.iter().copied());
            let grown = growth(before, range.start.div_euclid(1000), samples);
            if grown > 0.0 {
                self.killed(&mut killed, &columns.labels)?.counted += grown;
            }
            Ok(())
        };
        // And what one said before: without that it began later.
        let with_before = range.start.saturating_sub(APART * 1000)..range.end;
        self.scan(&matchers, &with_before, &missing, &mut counted)?;
        let mut matchers = vec![Matcher::equal("reason", "OOMKilled")];
        matchers.extend(one_of(ENDED));
        matchers.extend(wanted.matchers(label_of));
        let mut told = |columns: SeriesColumns| -> Result<()> {
            self.killed(&mut killed, &columns.labels)?.is_told = true;
            Ok(())
        };
        self.scan(&matchers, range, &missing, &mut told)?;
        for ((namespace, pod, container), killed) in killed {
            let Some(basis) = known.key(&namespace, &pod, &container).and_then(|key| found.get_mut(&key))
            else {
                continue;
            };
            let limit = known.limits.get(&(namespace, pod, container)).copied();
            basis.killed(killed.times(), limit.unwrap_or(basis.memory() as f64));
        }
        missing.sentences().into_iter().for_each(|what| notes.add(what));
        found.retain(|_, basis| basis.pods() > 0);
        Ok(found)
    }

    /// The kills of the container that a series is about.
    fn killed<'m>(&self, all: &'m mut BTreeMap<Key, Killed>, labels: &Labels) -> Result<&'m mut Killed> {
        let key = (text_of(labels, "namespace"), text_of(labels, "pod"), text_of(labels, "container"));
        let texts = text_bytes(&key);
        self.at(all, key, texts)
    }

    /// Adds to the basis of a row; what it grows by is counted.
    fn add(&self, found: &mut BTreeMap<Key, Basis>, row: Key, add: impl FnOnce(&mut Basis)) -> Result<()> {
        let texts = text_bytes(&row);
        let basis = self.at(found, row, texts)?;
        let before = basis.bytes();
        add(basis);
        self.share.take(basis.bytes() - before)
    }

    fn recent(&self, known: &Known, range: &Range<i64>, found: &mut BTreeMap<Key, Basis>) -> Result<()> {
        let cpu = Figure::named("cpu_cores").expect("in the list of figures");
        let mut done: Result<()> = Ok(());
        self.memory.visit(Level::Container, |key, ring| {
            if done.is_err() || self.share.is_over() {
                return;
            }
            let Some(row) = known.key(&key.namespace, &key.pod, &key.container) else { return };
            done = self.add(found, row, |basis| {
                let mut before: Option<Point> = None;
                for point in ring.points().filter(|point| range.contains(&point.time)) {
                    basis.seen(&key.pod, point.time);
                    basis.held(point.usage.memory_working_set_bytes as f64);
                    if let Some(before) = &before {
                        basis.used(rate(cpu, before, &point) * 1e-9, (point.time - before.time) as f64 / 1e6);
                    }
                    before = Some(point);
                }
            });
        });
        done
    }

    /// A container's CPU time or memory, before memory has it.
    fn older(&self, known: &Known, columns: &SeriesColumns, found: &mut BTreeMap<Key, Basis>) -> Result<()> {
        let Some(key) = back::key_of(Level::Container, &columns.labels) else { return Ok(()) };
        let Some(row) = known.key(&key.namespace, &key.pod, &key.container) else { return Ok(()) };
        let samples = columns.times.iter().copied().zip(columns.values.iter().copied());
        let figures = samples.filter(|(_, value)| value.is_finite());
        let Some((newest, _)) = figures.clone().next_back() else { return Ok(()) };
        self.add(found, row, |basis| {
            basis.seen(&key.pod, newest * 1000);
            if columns.labels.name() == MEMORY {
                figures.for_each(|(_, value)| basis.held(value));
                return;
            }
            for ((since, first), (until, last)) in figures.clone().zip(figures.skip(1)) {
                let grown = if last >= first { last - first } else { last };
                if until - since <= APART {
                    let seconds = (until - since) as f64 / 1000.0;
                    basis.used(grown / seconds, seconds);
                }
            }
        })
    }

    /// Reads series of a range, microseconds since the Unix epoch.
    fn scan(
        &self,
        matchers: &[Matcher],
        range: &Range<i64>,
        missing: &Missing,
        take: &mut dyn FnMut(SeriesColumns) -> Result<()>,
    ) -> Result<()> {
        let range = range.start.div_euclid(1000)..range.end.div_euclid(1000);
        if range.is_empty() {
            return Ok(());
        }
        for part in self.series.parts(&range) {
            for columns in self.series.scan(matchers, &part, missing).map_err(unreadable)? {
                if self.share.is_over() {
                    return Ok(());
                }
                take(columns.map_err(unreadable)?)?;
            }
        }
        Ok(())
    }
}

/// What is told of kills of one container of a Pod.
#[derive(Default)]
struct Killed {
    counted: f64,
    /// It is why a container of this name ended.
    is_told: bool,
}

impl Killed {
    /// The kernel counts each, unless the count went with what was killed.
    fn times(&self) -> i32 {
        (self.counted as i32).max(i32::from(self.is_told))
    }
}

/// By how much a counter of kills grew from a time on, milliseconds since the Unix epoch. `before` is what
/// it said last, and becomes so: zero for one that nothing is known of, as it begins with a container.
fn growth(before: &mut f64, since: i64, samples: impl Iterator<Item = (i64, f64)>) -> f64 {
    let mut grown = 0.0;
    for (time, value) in samples.filter(|(_, value)| value.is_finite()) {
        if time >= since {
            grown += if value >= *before { value - *before } else { value };
        }
        *before = value;
    }
    grown
}

fn unreadable(error: SelectError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Bytes of a key's texts.
fn text_bytes((namespace, name, container): &Key) -> usize {
    namespace.len() + name.len() + container.len()
}

fn text_of(labels: &Labels, label: &str) -> String {
    labels.get(label).unwrap_or_default().to_owned()
}

/// What a label names, in the namespace of the series.
fn name_of(labels: &Labels, label: &str) -> Name {
    (text_of(labels, "namespace"), text_of(labels, label))
}

/// The label that a column of the table shows.
fn label_of(column: &str) -> Option<&'static str> {
    ["namespace", "container"].into_iter().find(|label| *label == column)
}

fn one_of(names: &str) -> Option<Matcher> {
    Matcher::new(NAME, MatchOp::Matches, names).ok()
}

fn there(label: &str) -> Matcher {
    Matcher::new(label, MatchOp::NotEqual, "").unwrap_or_else(|_| Matcher::equal(label, ""))
}

/// What owns a Pod; of a Deployment's ReplicaSet the Deployment.
pub fn workload(pod: &LeanPod) -> String {
    let Some(owner) = pod.owners.iter().find(|owner| owner.controller == Some(true)) else {
        return format!("Pod/{}", pod.name);
    };
    let hash = tiphys_api::labels::LabelMap::value(&pod.labels, "pod-template-hash");
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(name) if owner.kind == "ReplicaSet" => format!("Deployment/{name}"),
        _ => format!("{}/{}", owner.kind, owner.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_from_the_begin_of_a_series_or_of_the_range() {
        let grown = |files: &[&[(i64, f64)]]| {
            let mut before = 0.0;
            let each = files.iter().map(|samples| growth(&mut before, 100, samples.iter().copied()));
            each.sum::<f64>()
        };
        assert_eq!(grown(&[&[(110, 1.0), (120, 1.0)]]), 1.0, "killed before the first sample");
        assert_eq!(grown(&[&[(90, 3.0), (110, 3.0), (120, 5.0)]]), 2.0, "three before the range");
        assert_eq!(grown(&[&[(110, 2.0), (120, f64::NAN), (130, 1.0)]]), 3.0, "it began again");
        assert_eq!(grown(&[&[(110, 1.0)], &[(200, 2.0), (210, 2.0)]]), 2.0, "between two files");
    }
}
