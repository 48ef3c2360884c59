//! Gathers what containers used and request: of Pods that there are, of memory, and of the store
//! for the time before memory.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use tiphys_api::quantity;
use tiphys_client::LeanPod;

use super::basis::{Basis, Key, Requests};
use crate::{
    figures::Figure,
    memory::{Level, Memory, Point, rate},
    names::back,
    scope::Scope,
    series::{Labels, MatchOp, Matcher, Missing, NAME, SelectError, SeriesColumns, Store},
    sql::{Notes, Wanted},
};

const MEMORY: &str = "container_memory_working_set_bytes";
const KILLS: &str = "container_oom_events_total";
/// Why containers ended.
const ENDED: &str = "kube_pod_(init_)?container_status_last_terminated_reason";
/// Between two samples of CPU time so much may lie, milliseconds: the coarsest step there is, twice.
const APART: i64 = 600_000;

/// Where figures come from.
pub struct Sources<'a> {
    pub memory: &'a Memory,
    pub series: &'a Store,
    pub pods: Vec<Arc<LeanPod>>,
}

/// What is known of the Pods that a user sees.
pub struct Known {
    pub now: BTreeMap<Key, Requests>,
    /// By namespace and name.
    workloads: HashMap<(String, String), String>,
    /// Bytes, by namespace, Pod and container.
    limits: HashMap<Key, f64>,
    /// Whether figures of a namespace may be seen.
    seen: BTreeMap<String, bool>,
}

impl Known {
    /// The row of a container. Absent: it isn't seen, or of no workload that there is.
    fn key(&self, namespace: &str, pod: &str, container: &str) -> Option<Key> {
        self.seen.get(namespace).filter(|seen| **seen)?;
        let workload = self.workloads.get(&(namespace.to_owned(), pod.to_owned()))?;
        Some((namespace.to_owned(), workload.clone(), container.to_owned()))
    }
}

impl Sources<'_> {
    /// What is requested now; of several Pods of a workload the newest counts.
    pub fn requests(&self, scope: &Scope, wanted: &Wanted, range: &Range<i64>) -> Known {
        let (now, workloads) = (BTreeMap::new(), HashMap::new());
        let mut known = Known { now, workloads, limits: HashMap::new(), seen: BTreeMap::new() };
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
                known
                    .now
                    .insert(key, Requests { cpu, memory: requested("memory").map(|milli| milli / 1000) });
                if let Some(limit) = limits.and_then(|limits| quantity::units(&limits.get("memory")?.0)) {
                    let of = (namespace.clone(), pod.name.to_string(), container.name.clone());
                    known.limits.insert(of, limit as f64);
                }
            }
            known.workloads.insert((namespace, pod.name.to_string()), workload);
        }
        self.add_former(&mut known, range);
        known
    }

    /// The workloads of Pods that are gone, as the series about their owners say.
    fn add_former(&self, known: &mut Known, range: &Range<i64>) {
        let owned = |name: &str, by: &str| -> Vec<Labels> {
            let controller = Matcher::equal("owner_is_controller", "true");
            let matchers = [Matcher::equal(NAME, name), controller, there(by)];
            let mut all = Vec::new();
            // What can't be read is told when its figures can't.
            let missing = Missing::default();
            let _ =
                self.scan(&matchers, range, &missing, &mut |columns: SeriesColumns| all.push(columns.labels));
            all
        };
        let of = |labels: &Labels, label: &str| labels.get(label).unwrap_or_default().to_owned();
        let sets: HashMap<_, _> = owned("kube_replicaset_owner", "replicaset")
            .iter()
            .filter(|labels| labels.get("owner_kind") == Some("Deployment"))
            .map(|labels| ((of(labels, "namespace"), of(labels, "replicaset")), of(labels, "owner_name")))
            .collect();
        for labels in owned("kube_pod_owner", "pod") {
            let (namespace, kind, owner) =
                (of(&labels, "namespace"), of(&labels, "owner_kind"), of(&labels, "owner_name"));
            let workload = match sets.get(&(namespace.clone(), owner.clone())) {
                Some(deployment) if kind == "ReplicaSet" => format!("Deployment/{deployment}"),
                _ => format!("{kind}/{owner}"),
            };
            known.workloads.entry((namespace, of(&labels, "pod"))).or_insert(workload);
        }
    }

    /// What containers used in a range of time, microseconds since the Unix epoch.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn gather(
        &self,
        known: &Known,
        wanted: &Wanted,
        range: &Range<i64>,
        notes: &Notes,
    ) -> Result<BTreeMap<Key, Basis>, SelectError> {
        let mut found = BTreeMap::new();
        let missing = Missing::default();
        // What is recent is in memory; of kills the store has all.
        let until = self.memory.whole().since().clamp(range.start, range.end);
        self.recent(known, &(until..range.end), &mut found);
        let mut matchers = back::of_level(Level::Container);
        matchers.extend(one_of(&format!("{}|{MEMORY}", back::ANCHOR)));
        matchers.extend(wanted.matchers(label_of));
        let mut take = |columns: SeriesColumns| older(known, &columns, &mut found);
        self.scan(&matchers, &(range.start..until), &missing, &mut take)?;
        let mut killed: BTreeMap<Key, Killed> = BTreeMap::new();
        let mut matchers = back::of_level(Level::Container);
        matchers.push(Matcher::equal(NAME, KILLS));
        matchers.extend(wanted.matchers(label_of));
        let mut counted = |columns: SeriesColumns| kills(&columns, &mut killed);
        self.scan(&matchers, range, &missing, &mut counted)?;
        let mut matchers = vec![Matcher::equal("reason", "OOMKilled")];
        matchers.extend(one_of(ENDED));
        matchers.extend(wanted.matchers(label_of));
        let mut told = |columns: SeriesColumns| {
            killed.entry(container_of(&columns.labels)).or_default().is_told = true;
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

    fn recent(&self, known: &Known, range: &Range<i64>, found: &mut BTreeMap<Key, Basis>) {
        let cpu = Figure::named("cpu_cores").expect("in the list of figures");
        self.memory.visit(Level::Container, |key, ring| {
            let Some(row) = known.key(&key.namespace, &key.pod, &key.container) else { return };
            let basis = found.entry(row).or_default();
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
    }

    /// Reads series of a range, microseconds since the Unix epoch.
    fn scan(
        &self,
        matchers: &[Matcher],
        range: &Range<i64>,
        missing: &Missing,
        take: &mut dyn FnMut(SeriesColumns),
    ) -> Result<(), SelectError> {
        let range = range.start.div_euclid(1000)..range.end.div_euclid(1000);
        if range.is_empty() {
            return Ok(());
        }
        for part in self.series.parts(&range) {
            for columns in self.series.scan(matchers, &part, missing)? {
                take(columns?);
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

/// A container's CPU time or memory, before memory has it.
fn older(known: &Known, columns: &SeriesColumns, found: &mut BTreeMap<Key, Basis>) {
    let Some(key) = back::key_of(Level::Container, &columns.labels) else { return };
    let Some(row) = known.key(&key.namespace, &key.pod, &key.container) else { return };
    let samples = || columns.times.iter().copied().zip(columns.values.iter().copied());
    let known_values = || samples().filter(|(_, value)| value.is_finite());
    let Some((newest, _)) = known_values().next_back() else { return };
    let basis = found.entry(row).or_default();
    basis.seen(&key.pod, newest * 1000);
    if columns.labels.name() == MEMORY {
        known_values().for_each(|(_, value)| basis.held(value));
        return;
    }
    for ((since, first), (until, last)) in known_values().zip(known_values().skip(1)) {
        let grown = if last >= first { last - first } else { last };
        if until - since <= APART {
            let seconds = (until - since) as f64 / 1000.0;
            basis.used(grown / seconds, seconds);
        }
    }
}

/// By how much a counter of kills grew; it begins with a container, at zero.
fn kills(columns: &SeriesColumns, killed: &mut BTreeMap<Key, Killed>) {
    let mut values = columns.values.iter().copied().filter(|value| value.is_finite());
    let Some(mut before) = values.next() else { return };
    let mut grown = 0.0;
    for value in values {
        grown += if value >= before { value - before } else { value };
        before = value;
    }
    if grown > 0.0 {
        killed.entry(container_of(&columns.labels)).or_default().counted += grown;
    }
}

fn container_of(labels: &Labels) -> Key {
    let of = |label: &str| labels.get(label).unwrap_or_default().to_owned();
    (of("namespace"), of("pod"), of("container"))
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
