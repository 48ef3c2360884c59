//! What nodes measure under the names that cAdvisor has for it, and its labels.
//!
//! ```text
//! a node's second ─> tell: what it is of (labels) ─> list: figure -> name ─┬─> a kubelet's /metrics/cadvisor
//!                                                                          └─> the metrics server's series
//! ```
//!
//! It stands here because kubelet and metrics server know nothing of each other, and must tell
//! the same. Pure.

pub mod list;

use crate::samples::{DiskUsage, NodeSamples, PodSample};

/// Seconds of a nanosecond.
const NANO: f64 = 1e-9;

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// As the exposition formats write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One name: what it says, and how.
pub struct Name<V: 'static> {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// Labels beside those of what it is of.
    pub labels: &'static [(&'static str, &'static str)],
    /// `None` where it doesn't apply.
    pub value: fn(&V) -> Option<f64>,
}

/// A name of what goes up and down.
pub const fn gauge<V>(name: &'static str, help: &'static str, value: fn(&V) -> Option<f64>) -> Name<V> {
    Name { name, kind: Kind::Gauge, help, labels: &[], value }
}

/// A name of what only grows.
pub const fn counter<V>(name: &'static str, help: &'static str, value: fn(&V) -> Option<f64>) -> Name<V> {
    Name { name, kind: Kind::Counter, help, labels: &[], value }
}

/// Seconds of nanoseconds.
pub fn seconds(nanos: u64) -> Option<f64> {
    Some(nanos as f64 * NANO)
}

pub fn plain(value: u64) -> Option<f64> {
    Some(value as f64)
}

/// What is there when it isn't zero.
pub fn some(value: u64) -> Option<f64> {
    (value > 0).then_some(value as f64)
}

/// Takes in what is told.
pub trait Tell {
    /// What a list has to say of a thing: `list` tells the lists of a node apart ([`tell`] has those
    /// up to 7), `key` the things of a list.
    fn tell<V: 'static>(
        &mut self,
        list: u8,
        key: &str,
        names: &[Name<V>],
        value: &V,
        labels: &[(&str, &str)],
    );
}

/// All labels of two lists.
pub fn with<'a>(labels: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [labels, more].concat()
}

/// Tells what cAdvisor would of a node's second, under `labels` and those of what it is of.
pub fn tell(to: &mut impl Tell, samples: &NodeSamples, labels: &[(&str, &str)]) {
    to.tell(0, "", list::CAPACITY, &samples.capacity, labels);
    let whole = with(labels, &[("id", "/")]);
    to.tell(1, "", list::USAGE, &samples.usage, &whole);
    to.tell(2, "", list::NETWORK, &samples.usage, &with(&whole, &[("interface", "uplink")]));
    to.tell(6, "", list::SPEC, &samples.usage, &whole);
    tell_disks(to, "", &samples.disks, &whole);
    for pod in &samples.pods {
        let of_pod = with(labels, &[("namespace", &pod.namespace), ("pod", &pod.pod)]);
        tell_pod(to, pod, &of_pod);
    }
}

fn tell_pod(to: &mut impl Tell, pod: &PodSample, labels: &[(&str, &str)]) {
    let id = format!("/pod{}", pod.uid);
    let whole = with(labels, &[("id", &id)]);
    to.tell(1, &pod.uid, list::USAGE, &pod.usage, &whole);
    to.tell(2, &pod.uid, list::NETWORK, &pod.usage, &with(&whole, &[("interface", "eth0")]));
    to.tell(6, &pod.uid, list::SPEC, &pod.usage, &whole);
    tell_disks(to, &pod.uid, &pod.disks, &whole);
    for container in &pod.containers {
        let id = format!("/pod{}/{}", pod.uid, container.container_id);
        let own = [
            ("container", container.container.as_str()),
            ("name", &container.container_id),
            ("image", &container.image),
            ("id", &id),
        ];
        let own = with(labels, &own);
        to.tell(3, &container.container_id, list::USAGE, &container.usage, &own);
        to.tell(4, &container.container_id, list::CONTAINER, container, &own);
        to.tell(6, &container.container_id, list::SPEC, &container.usage, &own);
        tell_disks(to, &container.container_id, &container.disks, &own);
    }
}

fn tell_disks(to: &mut impl Tell, of: &str, disks: &[DiskUsage], labels: &[(&str, &str)]) {
    for disk in disks {
        let device = match disk.device.as_str() {
            "" => String::new(),
            name => format!("/dev/{name}"),
        };
        let key = format!("{of}{device}");
        to.tell(7, &key, list::DISK_USAGE, disk, &with(labels, &[("device", &device)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ContainerSample, Usage};

    /// What was told, as lines.
    #[derive(Default)]
    struct Lines(Vec<String>);

    impl Tell for Lines {
        fn tell<V: 'static>(
            &mut self,
            list: u8,
            key: &str,
            names: &[Name<V>],
            value: &V,
            labels: &[(&str, &str)],
        ) {
            for name in names {
                let Some(number) = (name.value)(value) else { continue };
                let labels: Vec<_> = labels
                    .iter()
                    .chain(name.labels)
                    .map(|(label, value)| format!("{label}={value}"))
                    .collect();
                self.0.push(format!("{list} {key} {}{{{}}} {number}", name.name, labels.join(",")));
            }
        }
    }

    #[test]
    fn a_second_is_told_of_node_pod_and_container() {
        let usage = |nanos| Usage { cpu_usage_nanos_total: nanos, ..Usage::default() };
        let disk = DiskUsage { device: "vda".into(), write_bytes: 9, ..DiskUsage::default() };
        let container = ContainerSample {
            container: "app".into(),
            container_id: "c1".into(),
            started_at: 3_500_000,
            image: "web:1".into(),
            usage: usage(1_500_000_000),
            disks: vec![disk],
        };
        let pod = PodSample {
            namespace: "shop".into(),
            pod: "web".into(),
            uid: "u1".into(),
            usage: usage(2_000_000_000),
            containers: vec![container],
            ..PodSample::default()
        };
        let samples = NodeSamples { usage: usage(9_000_000_000), pods: vec![pod], ..NodeSamples::default() };
        let mut lines = Lines::default();
        tell(&mut lines, &samples, &[("node", "n1")]);
        let of_container = "node=n1,namespace=shop,pod=web,container=app,name=c1,image=web:1,id=/podu1/c1";
        for line in [
            "1  container_cpu_usage_seconds_total{node=n1,id=/,cpu=total} 9".to_owned(),
            "2  container_network_receive_bytes_total{node=n1,id=/,interface=uplink} 0".to_owned(),
            "1 u1 container_cpu_usage_seconds_total{node=n1,namespace=shop,pod=web,id=/podu1,cpu=total} 2"
                .to_owned(),
            format!("3 c1 container_cpu_usage_seconds_total{{{of_container},cpu=total}} 1.5"),
            format!("4 c1 container_start_time_seconds{{{of_container}}} 3.5"),
            format!("7 c1/dev/vda container_fs_writes_bytes_total{{{of_container},device=/dev/vda}} 9"),
        ] {
            assert!(lines.0.contains(&line), "{line} is not in {:#?}", lines.0);
        }
        // Without a limit nothing is said of how it holds.
        assert!(!lines.0.iter().any(|line| line.contains("cfs")), "{:#?}", lines.0);
    }
}
