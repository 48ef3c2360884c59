//! Amounts of resources, and what a Pod asks for. Pure.
//!
//! Parsed once a Pod and once a change of a Node; the filters and scores work on
//! these numbers. The rule for a Pod:
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use tiphys_api::quantity;

type Quantities = BTreeMap<String, Quantity>;

/// What a container without a request counts as when Nodes are compared, so
/// that such Pods spread too: a tenth of a core and 200 MB.
const ASSUMED_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts: CPU in thousandths of a core, the rest in bytes or pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    pub cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources and huge pages; mostly empty.
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    pub fn parse(quantities: Option<&Quantities>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in quantities.into_iter().flatten() {
            match name.as_str() {
                "cpu" => resources.cpu = quantity::milli(&quantity.0).unwrap_or(0),
                "memory" => resources.memory = whole(quantity),
                "ephemeral-storage" => resources.ephemeral_storage = whole(quantity),
                "pods" => {}
                _ => {
                    resources.other.insert(name.clone(), whole(quantity));
                }
            }
        }
        resources
    }

    pub fn add(&mut self, more: &Self) {
        self.combine(more, |a, b| a.saturating_add(b));
    }

    pub fn subtract(&mut self, less: &Self) {
        self.combine(less, |a, b| a.saturating_sub(b));
    }

    fn raise_to(&mut self, least: &Self) {
        self.combine(least, i64::max);
    }

    fn combine(&mut self, with: &Self, of: fn(i64, i64) -> i64) {
        self.cpu = of(self.cpu, with.cpu);
        self.memory = of(self.memory, with.memory);
        self.ephemeral_storage = of(self.ephemeral_storage, with.ephemeral_storage);
        for (name, amount) in &with.other {
            let own = self.other.entry(name.clone()).or_default();
            *own = of(*own, *amount);
        }
    }
}

fn whole(quantity: &Quantity) -> i64 {
    quantity::units(&quantity.0).unwrap_or(0)
}

/// What a Pod asks for, and what it counts as when Nodes are compared.
pub fn requests(spec: &PodSpec) -> (Resources, Resources) {
    (total(spec, false), total(spec, true))
}

fn total(spec: &PodSpec, assume: bool) -> Resources {
    let mut sum = Resources::default();
    spec.containers.iter().for_each(|container| sum.add(&of_container(container, assume)));
    let (mut sidecars, mut most) = (Resources::default(), Resources::default());
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container, assume);
        if container.restart_policy.as_deref() == Some("Always") {
            sum.add(&own);
            sidecars.add(&own);
            most.raise_to(&sidecars);
        } else {
            let mut together = sidecars.clone();
            together.add(&own);
            most.raise_to(&together);
        }
    }
    sum.raise_to(&most);
    if let Some(whole_pod) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        let stated = Resources::parse(Some(whole_pod));
        let states = |name: &str| whole_pod.contains_key(name);
        sum.cpu = if states("cpu") { stated.cpu } else { sum.cpu };
        sum.memory = if states("memory") { stated.memory } else { sum.memory };
        sum.other.extend(stated.other);
    }
    sum.add(&Resources::parse(spec.overhead.as_ref()));
    sum
}

fn of_container(container: &Container, assume: bool) -> Resources {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let mut resources = Resources::parse(requests);
    if assume {
        let states = |name: &str| requests.is_some_and(|requests| requests.contains_key(name));
        resources.cpu = if states("cpu") { resources.cpu } else { ASSUMED_CPU };
        resources.memory = if states("memory") { resources.memory } else { ASSUMED_MEMORY };
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(cpu: &str) -> Value {
        json!({"name": "c", "resources": {"requests": {"cpu": cpu, "memory": "1Mi"}}})
    }

    fn sidecar(cpu: &str) -> Value {
        let mut sidecar = container(cpu);
        sidecar["restartPolicy"] = "Always".into();
        sidecar
    }

    #[test]
    fn a_pod_asks_for_the_most_it_needs_at_any_time() {
        for (why, spec, cpu) in [
            ("sum of containers", json!({"containers": [container("1"), container("500m")]}), 1500),
            (
                "a large init container",
                json!({"containers": [container("1")], "initContainers": [container("3")]}),
                3000,
            ),
            (
                "a small one",
                json!({"containers": [container("1")], "initContainers": [container("100m")]}),
                1000,
            ),
            (
                "a sidecar runs beside",
                json!({"containers": [container("1")], "initContainers": [sidecar("1")]}),
                2000,
            ),
            (
                "an init container beside an earlier sidecar",
                json!({"containers": [container("1")], "initContainers": [sidecar("1"), container("2")]}),
                3000,
            ),
            ("overhead", json!({"containers": [container("1")], "overhead": {"cpu": "250m"}}), 1250),
            (
                "for the whole Pod",
                json!({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}),
                4000,
            ),
        ] {
            let parsed: PodSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(requests(&parsed).0.cpu, cpu, "{why}");
        }
    }

    #[test]
    fn containers_without_requests_count_as_something_in_comparisons() {
        let spec = json!({"containers": [{"name": "c"}, {"name": "d", "resources": {"requests": {"nvidia.com/gpu": "2"}}}]});
        let parsed: PodSpec = serde_json::from_value(spec).unwrap();
        let (asked, counted) = requests(&parsed);
        assert_eq!((asked.cpu, asked.memory, asked.other["nvidia.com/gpu"]), (0, 0, 2));
        assert_eq!((counted.cpu, counted.memory), (200, 2 * ASSUMED_MEMORY));
    }
}
