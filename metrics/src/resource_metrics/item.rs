//! One node's or Pod's usage, and its forms in JSON. Quantities are canonical, as Go writes them: clients
//! compare them as text. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use tiphys_api::quantity::Quantity;

use super::GROUP_VERSION;
use crate::memory::Reading;

/// A node with one usage, or a Pod with one of each container.
pub struct Item {
    /// Empty of nodes.
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    /// At least one.
    pub usage: Vec<Measured>,
}

/// A container's or node's usage.
pub struct Measured {
    /// Empty of nodes.
    pub name: String,
    pub cpu: Reading,
    pub memory: Reading,
}

impl Measured {
    /// Nanocores.
    pub fn cpu(&self) -> i64 {
        (self.cpu.value * 1e9).round() as i64
    }

    /// Bytes.
    pub fn memory(&self) -> i64 {
        self.memory.value.round() as i64
    }

    /// By resource, as quantities.
    pub fn usage(&self) -> [(&'static str, String); 2] {
        [("cpu", cpu(self.cpu())), ("memory", memory(self.memory()))]
    }
}

/// Nanocores as a quantity: `250m`, and `0` without a unit.
pub fn cpu(nanos: i64) -> String {
    format!("{nanos}n").parse::<Quantity>().expect("a number and its unit").to_string()
}

/// Bytes as a quantity: `30Mi`, and `0` without a unit.
pub fn memory(bytes: i64) -> String {
    Quantity::from_bytes(bytes).to_string()
}

impl Item {
    /// When the oldest of its figures was taken, microseconds since the Unix epoch.
    pub fn time(&self) -> i64 {
        self.usage.iter().map(|one| one.cpu.time).min().unwrap_or_default()
    }

    /// What its figures are over, microseconds.
    pub fn window(&self) -> i64 {
        self.usage.iter().map(|one| one.cpu.window).max().unwrap_or_default()
    }

    pub fn metadata(&self) -> Value {
        let mut metadata = json!({"name": self.name, "creationTimestamp": rfc3339(self.time())});
        if !self.namespace.is_empty() {
            metadata["namespace"] = json!(self.namespace);
        }
        if !self.labels.is_empty() {
            metadata["labels"] = json!(self.labels);
        }
        metadata
    }

    /// `PartialObjectMetadata` of this version of meta.k8s.io.
    pub fn partial(&self, version: &str) -> Value {
        json!({
            "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": self.metadata(),
        })
    }

    /// With its kind, as it stands alone.
    pub fn object(&self, kind: &str) -> Value {
        let mut object = self.json();
        object["kind"] = json!(kind);
        object["apiVersion"] = json!(GROUP_VERSION);
        object
    }

    /// As it stands in a list, which says the kind.
    pub fn json(&self) -> Value {
        let mut item = json!({
            "metadata": self.metadata(),
            "timestamp": rfc3339(self.time()), "window": duration(self.window()),
        });
        let usage = |one: &Measured| -> Value { one.usage().into_iter().collect() };
        if self.namespace.is_empty() {
            item["usage"] = self.usage.first().map(usage).unwrap_or_default();
        } else {
            let container = |one: &Measured| json!({"name": one.name, "usage": usage(one)});
            item["containers"] = self.usage.iter().map(container).collect();
        }
        item
    }
}

/// A restarted container has an older series beside its own.
pub fn latest_of_each(containers: &mut Vec<Measured>) {
    containers.sort_by(|a, b| a.name.cmp(&b.name).then(b.cpu.time.cmp(&a.cpu.time)));
    containers.dedup_by(|later, kept| later.name == kept.name);
}

fn rfc3339(micros: i64) -> String {
    Timestamp::from_microsecond(micros).unwrap_or_default().strftime("%FT%TZ").to_string()
}

/// As Go prints a duration of more than a second, and as its API types read it: `15s`, `1m0.5s`.
pub fn duration(micros: i64) -> String {
    let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
    let seconds = rest as f64 / 1e6;
    if minutes > 0 { format!("{minutes}m{seconds}s") } else { format!("{seconds}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, time: i64, value: f64) -> Measured {
        let reading = |value| Reading { value, time, window: 15_000_000, ways: Default::default() };
        Measured { name: name.into(), cpu: reading(value), memory: reading(value * 1024.0) }
    }

    #[test]
    fn of_a_restarted_container_the_newest_counts() {
        let mut all = vec![measured("b", 5, 1.0), measured("a", 5, 2.0), measured("a", 9, 3.0)];
        latest_of_each(&mut all);
        let found: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.cpu.time)).collect();
        assert_eq!(found, [("a", 9), ("b", 5)]);
        let item = Item { namespace: "n".into(), name: "p".into(), labels: BTreeMap::new(), usage: all };
        assert_eq!(item.time(), 5, "no figure is newer than the answer says");
    }

    #[test]
    fn quantities_and_durations_are_written_as_upstream_does() {
        let usage = measured("a", 0, 0.25).usage();
        assert_eq!(usage, [("cpu", "250m".to_owned()), ("memory", "256".to_owned())]);
        for (nanos, text) in [
            (0, "0"),
            (1_741_166_573, "1741166573n"),
            (1_500_000, "1500u"),
            (250_000_000, "250m"),
            (2_000_000_000, "2"),
            (3_000_000_000_000, "3k"),
        ] {
            assert_eq!(cpu(nanos), text);
        }
        for (bytes, text) in [
            (0, "0"),
            (512, "512"),
            (1000, "1k"),
            (1024, "1Ki"),
            (1025, "1025"),
            (224 << 10, "224Ki"),
            (1_286_032 << 10, "1286032Ki"),
            (30_720 << 10, "30Mi"),
            (3 << 30, "3Gi"),
        ] {
            assert_eq!(memory(bytes), text);
        }
        for (micros, text) in
            [(15_000_000, "15s"), (15_012_345, "15.012345s"), (60_500_000, "1m0.5s"), (0, "0s")]
        {
            assert_eq!(duration(micros), text);
        }
    }
}
