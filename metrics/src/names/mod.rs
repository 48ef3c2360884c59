//! The nodes' figures under the names that Prometheus' world knows them by, so that
//! dashboards made for it show them: what cAdvisor, kubelet and node_exporter would say.
//!
//! ```text
//! a node's second ─> the first of each 15 s of the clock ─> what it is of: labels ─> list: figure -> name ─> series
//! ```
//!
//! Values stand at the times of the grid, so those of all nodes do at the same ones. Series of what
//! is gone end by a marker, and those of a node that says nothing. Which names there are say
//! [`cadvisor`] and [`list`], and nothing else; [`back`] makes figures of them again.

pub mod back;
mod list;
mod machine;

use std::{collections::HashMap, sync::Arc, time::Instant};

use parking_lot::Mutex;
use tiphys_api::{
    cadvisor::{self, Tell, with},
    samples::{NodeSamples, VolumeSample},
};

use crate::{
    live::{Live, Round},
    memory::SILENT,
    scrape::counts::Counts,
    series::Store,
};

/// Between the times of the grid, milliseconds.
const GRID: i64 = 15_000;

/// The jobs that these series would come by.
const CADVISOR: [(&str, &str); 2] = [("job", "kubelet"), ("metrics_path", "/metrics/cadvisor")];
const KUBELET: [(&str, &str); 2] = [("job", "kubelet"), ("metrics_path", "/metrics")];

/// Writes what nodes say into the store.
pub struct Names {
    store: Arc<Store>,
    nodes: Mutex<HashMap<String, Node>>,
    /// Where it is told what the store did not take.
    counts: Counts,
}

struct Node {
    /// When it was heard last, and its second, milliseconds by its own clock.
    heard: Instant,
    second: i64,
    /// Its series have ended, as it says nothing.
    is_silent: bool,
    /// The time of the grid that was written last, milliseconds.
    last: i64,
    live: Live,
    /// The volumes of a Pod, as they were told last.
    volumes: HashMap<String, Vec<VolumeSample>>,
}

impl Node {
    fn new(live: Live, heard: Instant) -> Self {
        Self { heard, second: 0, is_silent: false, last: 0, live, volumes: HashMap::new() }
    }

    /// Behind its last word, and before the next time of the grid: what it measures while it isn't
    /// heard is told when it is again, and must not be older than the end.
    fn end(&self) -> i64 {
        (self.second + 1).clamp(self.last + 1, self.last + GRID - 1)
    }
}

impl Names {
    pub fn new(store: Arc<Store>) -> Self {
        list::describe(&store);
        Self { store, nodes: Mutex::default(), counts: Counts::default() }
    }

    /// The same, counting what the store does not take.
    pub fn counting(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// Takes in a node's second; most of them are not of the grid.
    pub fn take(&self, samples: &NodeSamples) {
        self.take_at(samples, Instant::now());
    }

    fn take_at(&self, samples: &NodeSamples, now: Instant) {
        let mut nodes = self.nodes.lock();
        let begun = || Node::new(Live::default().counting(self.counts.clone()), now);
        let node = nodes.entry(samples.node.clone()).or_insert_with(begun);
        (node.heard, node.second, node.is_silent) = (now, samples.time / 1000, false);
        // With the machine all volumes are told that answer; others are missing.
        for pod in samples.pods.iter().filter(|pod| samples.machine.is_some() || !pod.volumes.is_empty()) {
            node.volumes.insert(pod.uid.clone(), pod.volumes.clone());
        }
        let time = (samples.time / 1000).div_euclid(GRID) * GRID;
        // The machine is told with the first second of each interval. Of a clock that was set back
        // the store takes series that are new; others stand still until it has come so far again.
        if samples.machine.is_none() || time == node.last {
            return;
        }
        node.last = time;
        node.volumes.retain(|uid, _| samples.pods.iter().any(|pod| pod.uid == *uid));
        let mut round = node.live.round(&self.store, time);
        tell(&mut round, samples, &node.volumes);
        self.counts.untaken(&round.end());
    }

    /// Ends the series of nodes that have said nothing for a while.
    pub fn end_silent(&self, now: Instant) {
        for node in self.nodes.lock().values_mut() {
            if !node.is_silent && now.saturating_duration_since(node.heard) >= SILENT {
                node.is_silent = true;
                let end = node.end();
                self.counts.untaken(&node.live.round(&self.store, end).end());
            }
        }
    }

    /// A node is gone: its series end.
    pub fn gone(&self, node: &str) {
        if let Some(mut node) = self.nodes.lock().remove(node) {
            let now = jiff::Timestamp::now().as_millisecond();
            node.live.round(&self.store, now.max(node.last + 1)).end();
        }
    }
}

fn tell(round: &mut Round<'_>, samples: &NodeSamples, volumes: &HashMap<String, Vec<VolumeSample>>) {
    let node = samples.node.as_str();
    let of_node = [("node", node), ("instance", node)];
    cadvisor::tell(round, samples, &with(&of_node, &CADVISOR));
    for pod in &samples.pods {
        let claims = volumes.get(&pod.uid).into_iter().flatten().filter(|volume| !volume.claim.is_empty());
        for volume in claims {
            let names = [("namespace", pod.namespace.as_str()), ("persistentvolumeclaim", &volume.claim)];
            let of_claim = with(&with(&of_node, &KUBELET), &names);
            round.tell(9, &format!("{}/{}", pod.uid, volume.volume), list::VOLUME, volume, &of_claim);
        }
    }
    if let Some(machine) = &samples.machine {
        machine::tell(round, &with(&of_node, &[("job", "node-exporter")]), samples, machine);
    }
}

#[cfg(test)]
mod tests;
