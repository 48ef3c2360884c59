//! The recent past of every series, in memory.
//!
//! Each second of the last two minutes, and each 15 s of the last hour. That
//! serves the autoscaler, `kubectl top` and the recent rows of every table; [`Whole`] says
//! how recent. A series that gets no samples for so long is forgotten. A figure of the present is
//! none long before: when its node tells of others alone, or of nothing.
//!
//! When the clock of a node was set, what it measured until then is forgotten and a new run
//! begins: of times that are yet to come nothing may be answered as the newest, and a rate across
//! would be of hours within a second. What was forgotten is in the store of series.

mod ring;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use tiphys_api::{
    samples::{NodeSamples, Usage},
    ways::{Way, Ways},
};
use tokio::sync::watch;

pub use ring::{COARSE, GRID, Point, Ring};

use crate::{
    figures::{Figure, Kind},
    tables::usage::absent::Zero,
};

/// A node that has told nothing for so long tells nothing of the present: it is asked each second, and
/// asked anew after ten.
pub const SILENT: Duration = Duration::from_secs(15);
/// How far behind its node a series may be that goes on, microseconds.
const BEHIND: i64 = 15 * 1_000_000;

/// What a series is about. Fields that do not apply are empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    pub level: Level,
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub node: String,
    /// The Pod's UID or the container's id: a new one is another series.
    pub instance: String,
}

/// Which table a series belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Node,
    Pod,
    Container,
}

/// A value computed over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// In the figure's unit, a rate in units a second.
    pub value: f64,
    /// Microseconds since the Unix epoch, of the newest sample.
    pub time: i64,
    /// Microseconds between the samples it was computed from.
    pub window: i64,
    /// By which ways they came.
    pub ways: Ways,
}

/// From when on memory is whole: it begins with the process, or when a clock was set, and forgets.
#[derive(Debug, Clone, Copy)]
pub struct Whole {
    begun: i64,
}

impl Default for Whole {
    fn default() -> Self {
        Self { begun: now() }
    }
}

impl Whole {
    /// Microseconds since the Unix epoch. What is younger is in memory, if a node has told it.
    pub fn since(self) -> i64 {
        // A minute for clocks that differ, and for rings that are read later.
        self.begun.max(now() - COARSE + 60_000_000)
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// Rings by series, and the series of each Pod: who asks for a Pod must not look through all.
#[derive(Default)]
struct Series {
    rings: HashMap<SeriesKey, Ring>,
    of_pods: HashMap<String, HashMap<String, Vec<SeriesKey>>>,
}

impl Series {
    /// Adds a point. A series that is new is told whether its node's clock was set before.
    fn push(&mut self, key: SeriesKey, point: Point, is_apart: bool) {
        if let Some(ring) = self.rings.get_mut(&key) {
            return ring.push(point);
        }
        if key.level != Level::Node {
            let of_namespace = self.of_pods.entry(key.namespace.clone()).or_default();
            of_namespace.entry(key.pod.clone()).or_default().push(key.clone());
        }
        self.rings.entry(key).or_insert_with(|| Ring::new(is_apart)).push(point);
    }

    /// Forgets series whose newest point doesn't count any more, by its node and time.
    fn forget(&mut self, counts: impl Fn(&str, i64) -> bool) {
        self.rings.retain(|key, ring| ring.newest().is_some_and(|point| counts(&key.node, point.time)));
        for pods in self.of_pods.values_mut() {
            for keys in pods.values_mut() {
                keys.retain(|key| self.rings.contains_key(key));
            }
            pods.retain(|_, keys| !keys.is_empty());
        }
        self.of_pods.retain(|_, pods| !pods.is_empty());
    }
}

/// When a node spoke last.
#[derive(Debug, Clone, Copy)]
struct Heard {
    /// By its own clock, microseconds since the Unix epoch.
    time: i64,
    /// By one that nobody sets.
    at: Instant,
    /// Its clock was set since it was heard first.
    was_set: bool,
}

impl Heard {
    /// A node speaks. Absent: that was heard before; and whether a new run of its clock begins.
    fn next(before: Option<Self>, samples: &NodeSamples, at: Instant) -> Option<(Self, bool)> {
        let time = samples.time;
        if before.is_some_and(|before| before.time == time) {
            return None;
        }
        let is_set = samples.anew || before.is_some_and(|before| time < before.time);
        let was_set = is_set || before.is_some_and(|before| before.was_set);
        Some((Self { time, at, was_set }, is_set))
    }

    /// Whether what the node told of a time by its clock is of the present.
    fn is_present(self, time: i64, now: Instant) -> bool {
        time >= self.time - BEHIND && now.saturating_duration_since(self.at) < SILENT
    }
}

/// All series.
pub struct Memory {
    series: RwLock<Series>,
    /// By node: what was replayed is not taken twice.
    heard: RwLock<HashMap<String, Heard>>,
    fresh: watch::Sender<u64>,
    whole: RwLock<Whole>,
}

impl Default for Memory {
    fn default() -> Self {
        let fresh = watch::Sender::new(0);
        Self { series: RwLock::default(), heard: RwLock::default(), fresh, whole: RwLock::default() }
    }
}

impl Memory {
    /// Takes what a node measured at one moment.
    pub fn ingest(&self, samples: &NodeSamples) {
        let node = samples.node.as_str();
        let (heard, is_set) = {
            let mut all = self.heard.write();
            let next = Heard::next(all.get(node).copied(), samples, Instant::now());
            let Some((heard, is_set)) = next else { return };
            all.insert(node.to_owned(), heard);
            (heard, is_set)
        };
        let mut series = self.series.write();
        if is_set {
            tracing::info!(node, "the clock of a node was set; its figures begin anew");
            *self.whole.write() = Whole::default();
            series.forget(|of, _| of != node);
        }
        let mut put = |key: SeriesKey, usage: &Usage| {
            series.push(key, Point { time: samples.time, usage: *usage }, heard.was_set);
        };
        put(key(Level::Node, ["", "", "", node, ""]), &samples.usage);
        for pod in &samples.pods {
            let (namespace, name) = (pod.namespace.as_str(), pod.pod.as_str());
            put(key(Level::Pod, [namespace, name, "", node, &pod.uid]), &pod.usage);
            for container in &pod.containers {
                let names = [namespace, name, container.container.as_str(), node, &container.container_id];
                put(key(Level::Container, names), &container.usage);
            }
        }
        drop(series);
        self.fresh.send_modify(|count| *count += 1);
    }

    /// Forgets series that got no sample for as long as anything is kept: what a node tells of no
    /// more by the node's own time, and all of a node that is silent. A clock that is set, here or
    /// there, makes nothing old.
    pub fn forget(&self, now: Instant) {
        let kept = Duration::from_micros(COARSE.unsigned_abs());
        let mut heard = self.heard.write();
        heard.retain(|_, one| now.saturating_duration_since(one.at) < kept);
        let counts =
            |node: &str, time: i64| heard.get(node).is_some_and(|newest| time >= newest.time - COARSE);
        self.series.write().forget(counts);
    }

    /// The time of a node's newest sample.
    pub fn newest_of(&self, node: &str) -> Option<i64> {
        self.heard.read().get(node).map(|newest| newest.time)
    }

    /// Changes with every second of any node.
    pub fn fresh(&self) -> watch::Receiver<u64> {
        self.fresh.subscribe()
    }

    pub fn series_count(&self) -> usize {
        self.series.read().rings.len()
    }

    /// Bytes that all points take.
    pub fn size(&self) -> usize {
        self.series.read().rings.values().map(Ring::size).sum()
    }

    /// A figure of each Pod named, or of one container in it, over about `window`
    /// microseconds. Left out are Pods without two samples, and what is not of the present: of a
    /// container that has ended, or of a node that says nothing.
    pub fn pods(
        &self,
        namespace: &str,
        pods: &[&str],
        container: Option<&str>,
        figure: &Figure,
        window: i64,
    ) -> HashMap<String, Reading> {
        let level = if container.is_some() { Level::Container } else { Level::Pod };
        let (now, heard) = (Instant::now(), self.heard.read());
        let series = self.series.read();
        let mut found: HashMap<String, Reading> = HashMap::new();
        let Some(of_namespace) = series.of_pods.get(namespace) else { return found };
        let keys = pods.iter().filter_map(|pod| of_namespace.get(*pod)).flatten();
        for key in keys {
            let wanted = key.level == level && container.is_none_or(|container| key.container == container);
            let ring = wanted.then(|| series.rings.get(key)).flatten();
            let Some(reading) = ring.and_then(|ring| reading(ring, figure, window)) else { continue };
            if !heard.get(&key.node).is_some_and(|heard| heard.is_present(reading.time, now)) {
                continue;
            }
            // A restarted container is a new series; the newest counts.
            let slot = found.entry(key.pod.clone()).or_insert(reading);
            if reading.time > slot.time {
                *slot = reading;
            }
        }
        found
    }

    /// Memory of a process that began then, microseconds since the Unix epoch.
    #[cfg(test)]
    pub fn begun_at(begun: i64) -> Self {
        Self { whole: RwLock::new(Whole { begun }), ..Self::default() }
    }

    /// From when on it has everything.
    pub fn whole(&self) -> Whole {
        *self.whole.read()
    }

    /// The series of a table that `takes` takes, in order.
    pub fn keys(&self, level: Level, takes: impl Fn(&SeriesKey) -> bool) -> Vec<SeriesKey> {
        let series = self.series.read();
        let of_level = series.rings.keys().filter(|key| key.level == level && takes(key));
        let mut keys: Vec<_> = of_level.cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Reads one series. Absent: it was forgotten.
    pub fn read<T>(&self, key: &SeriesKey, read: impl FnOnce(&Ring) -> T) -> Option<T> {
        self.series.read().rings.get(key).map(read)
    }

    /// Runs `visit` over the series of a table that tell of the present, in order of their keys.
    pub fn visit_present(&self, level: Level, mut visit: impl FnMut(&SeriesKey, &Ring)) {
        let (now, heard) = (Instant::now(), self.heard.read());
        self.visit(level, |key, ring| {
            let (newest, heard) = (ring.newest(), heard.get(&key.node));
            if newest.zip(heard).is_some_and(|(newest, heard)| heard.is_present(newest.time, now)) {
                visit(key, ring);
            }
        });
    }

    /// As if a node had told its last word so long before.
    #[cfg(test)]
    pub fn hush(&self, node: &str, by: Duration) {
        if let Some(heard) = self.heard.write().get_mut(node) {
            heard.at = heard.at.checked_sub(by).expect("the machine has run for longer");
        }
    }

    /// Runs `visit` over the series of a table, in order of their keys.
    pub fn visit(&self, level: Level, mut visit: impl FnMut(&SeriesKey, &Ring)) {
        let series = self.series.read();
        let mut keys: Vec<_> = series.rings.keys().filter(|key| key.level == level).collect();
        keys.sort_unstable();
        for key in keys {
            if let Some(ring) = series.rings.get(key) {
                visit(key, ring);
            }
        }
    }
}

/// A series' key of namespace, Pod, container, node and instance.
pub fn key(level: Level, [namespace, pod, container, node, instance]: [&str; 5]) -> SeriesKey {
    SeriesKey {
        level,
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        container: container.to_owned(),
        node: node.to_owned(),
        instance: instance.to_owned(),
    }
}

/// A gauge's newest value, or a counter's rate over the window. Absent: there is none, or nothing to
/// tell, as of the network of a Pod that has its node's.
pub fn reading(ring: &Ring, figure: &Figure, window: i64) -> Option<Reading> {
    let newest = ring.newest()?;
    if Zero::of(figure.name).is_absent((figure.value)(&newest.usage), &newest.usage) {
        return None;
    }
    let before = ring.before(newest.time - window)?;
    let value = match figure.kind {
        Kind::Gauge => (figure.value)(&newest.usage) as f64,
        Kind::Counter { scale, .. } => rate(figure, &before, newest) * scale,
    };
    Some(Reading { value, time: newest.time, window: newest.time - before.time, ways: Way::Sampled.into() })
}

/// Units a second between two points; a counter that fell began anew.
pub fn rate(figure: &Figure, from: &Point, to: &Point) -> f64 {
    let (first, last) = ((figure.value)(&from.usage), (figure.value)(&to.usage));
    let grown = if last >= first { last - first } else { last };
    let seconds = (to.time - from.time) as f64 / 1e6;
    if seconds > 0.0 { grown as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiphys_api::samples::{ContainerSample, PodSample};

    const SECOND: i64 = 1_000_000;

    fn second(number: i64, nanos: u64, memory: u64) -> NodeSamples {
        let usage =
            Usage { cpu_usage_nanos_total: nanos, memory_working_set_bytes: memory, ..Usage::default() };
        let pod = PodSample {
            namespace: "default".into(),
            pod: "web".into(),
            uid: "u".into(),
            usage,
            ..PodSample::default()
        };
        NodeSamples {
            time: number * SECOND,
            node: "node-1".into(),
            pods: vec![pod],
            ..NodeSamples::default()
        }
    }

    fn cpu(memory: &Memory, window: i64) -> Option<Reading> {
        let figure = Figure::named("cpu_cores").expect("a figure");
        memory.pods("default", &["web"], None, figure, window).get("web").copied()
    }

    #[test]
    fn a_rate_is_computed_over_the_window() {
        let memory = Memory::default();
        memory.ingest(&second(1, 0, 0));
        assert_eq!(cpu(&memory, SECOND), None);
        memory.ingest(&second(2, 500_000_000, 0));
        memory.ingest(&second(3, 2_500_000_000, 0));
        let reading = cpu(&memory, SECOND).expect("two samples");
        assert!((reading.value - 2.0).abs() < 1e-9 && reading.window == SECOND, "{reading:?}");
        let reading = cpu(&memory, 2 * SECOND).expect("three samples");
        assert!((reading.value - 1.25).abs() < 1e-9, "{reading:?}");
    }

    #[test]
    fn the_network_of_a_pod_without_an_interface_is_missing_and_not_zero() {
        let memory = Memory::default();
        let with = |number: i64, packets: u64| {
            let mut samples = second(number, 0, 0);
            samples.pods[0].usage.network_receive_packets_total = packets;
            samples
        };
        let figure = Figure::named("network_receive_bytes_per_second").expect("a figure");
        let network = |memory: &Memory| memory.pods("default", &["web"], None, figure, SECOND);
        (1..3).for_each(|number| memory.ingest(&with(number, 0)));
        assert!(network(&memory).is_empty() && cpu(&memory, SECOND).is_some());
        // A Pod of its own network that is silent now has a rate of 0.
        (3..5).for_each(|number| memory.ingest(&with(number, 7)));
        assert_eq!(network(&memory)["web"].value, 0.0);
    }

    #[test]
    fn a_replayed_second_counts_once() {
        let memory = Memory::default();
        let mut fresh = memory.fresh();
        memory.ingest(&second(1, 0, 0));
        memory.ingest(&second(1, 0, 0));
        assert_eq!(*fresh.borrow_and_update(), 1);
    }

    #[test]
    fn a_counter_that_fell_began_anew() {
        let figure = Figure::named("cpu_usage_nanos_total").expect("a figure");
        let at =
            |time, nanos| Point { time, usage: Usage { cpu_usage_nanos_total: nanos, ..Usage::default() } };
        assert!((rate(figure, &at(0, 900), &at(SECOND, 100)) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_series_without_samples_is_forgotten() {
        let memory = Memory::default();
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        memory.ingest(&second(1, 0, 0));
        memory.forget(later(3600));
        assert!(memory.series.read().of_pods.contains_key("default"));
        // The node goes on without the Pod.
        memory.ingest(&NodeSamples { pods: Vec::new(), ..second(3722, 0, 0) });
        memory.forget(Instant::now());
        assert_eq!((memory.series_count(), memory.series.read().of_pods.len()), (1, 0));
        memory.forget(later(3721));
        assert_eq!((memory.series_count(), memory.newest_of("node-1")), (0, None));
    }

    #[test]
    fn what_has_ended_and_what_a_silent_node_told_is_not_of_the_present() {
        let memory = Memory::default();
        let figure = Figure::named("cpu_cores").expect("a figure");
        let app = || memory.pods("default", &["web"], Some("app"), figure, SECOND).len();
        let told = |number: i64, runs: bool| {
            let mut samples = second(number, number.unsigned_abs() * 1_000_000_000, 0);
            let container = ContainerSample { container: "app".into(), ..ContainerSample::default() };
            samples.pods[0].containers.extend(runs.then_some(container));
            memory.ingest(&samples);
        };
        (1..=3).for_each(|number| told(number, true));
        (4..=18).for_each(|number| told(number, false));
        assert_eq!(app(), 1, "it is 15 s behind its node");
        told(19, false);
        assert_eq!((app(), cpu(&memory, SECOND).is_some()), (0, true));
        let nodes = || {
            let mut found = 0;
            memory.visit_present(Level::Node, |_, _| found += 1);
            found
        };
        assert_eq!(nodes(), 1);
        // The node dies while the Pod is at work. What it told stays in the tables.
        memory.hush("node-1", SILENT);
        assert_eq!((nodes(), cpu(&memory, SECOND)), (0, None));
        assert_eq!((memory.series_count(), memory.newest_of("node-1")), (3, Some(19 * SECOND)));
        told(20, false);
        assert_eq!((nodes(), cpu(&memory, SECOND).map(|reading| reading.value)), (1, Some(1.0)));
    }

    #[test]
    fn a_clock_that_is_set_back_begins_a_new_run() {
        let memory = Memory::default();
        let mut fresh = memory.fresh();
        let others = |number| NodeSamples { node: "node-2".into(), pods: Vec::new(), ..second(number, 0, 0) };
        (7200..7210).for_each(|number| memory.ingest(&others(number)));
        // A core is used, before and after.
        for number in 0..100u64 {
            let time = 7200 + number.cast_signed() - if number < 60 { 0 } else { 3600 };
            memory.ingest(&second(time, number * 1_000_000_000, 0));
            assert_eq!(memory.newest_of("node-1"), Some(time * SECOND));
            let one = |reading: Reading| (reading.value - 1.0).abs() < 1e-9 && reading.time == time * SECOND;
            let readings = [2 * SECOND, 15 * SECOND].map(|window| cpu(&memory, window));
            match number {
                0 | 60 => assert_eq!(readings, [None; 2], "second {number}"),
                _ => assert!(readings.iter().all(|found| found.is_some_and(one)), "{number}: {readings:?}"),
            }
        }
        assert_eq!(*fresh.borrow_and_update(), 110);
        let of_node = key(Level::Node, ["", "", "", "node-1", ""]);
        let (first, is_apart) = memory
            .read(&of_node, |ring| (ring.points().next().map(|point| point.time), ring.is_apart()))
            .expect("kept");
        assert_eq!((first, is_apart), (Some(3660 * SECOND), true), "what is of the future is gone");
        // Others' series stay, and nothing of either is old.
        memory.forget(Instant::now());
        assert_eq!(memory.series_count(), 3);
        assert!(!memory.read(&key(Level::Node, ["", "", "", "node-2", ""]), Ring::is_apart).expect("kept"));
    }

    #[test]
    fn a_clock_that_is_set_ahead_begins_a_new_run_too() {
        let memory = Memory::begun_at(0);
        memory.ingest(&second(1, 0, 0));
        memory.ingest(&second(2, 1_000_000_000, 0));
        let now = jiff::Timestamp::now().as_microsecond();
        assert!(memory.whole().since() < now - 3600 * SECOND);
        let ahead = NodeSamples { anew: true, ..second(31_536_000, 2_000_000_000, 0) };
        memory.ingest(&ahead);
        assert_eq!(cpu(&memory, 2 * SECOND), None, "no rate of a second within a year");
        assert!(memory.whole().since() >= now, "the store is asked for what was before");
        memory.ingest(&second(31_536_001, 3_000_000_000, 0));
        assert!(cpu(&memory, 2 * SECOND).is_some_and(|reading| (reading.value - 1.0).abs() < 1e-9));
    }
}
