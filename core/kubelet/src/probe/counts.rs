//! How often probes passed and failed, as kubelets tell it at `/metrics/probes`.
//!
//! A Pod's counters last as long as the Pod has a worker, over restarts of its containers.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::pod::spec;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    namespace: String,
    pod: String,
    pod_uid: String,
    container: String,
    /// `Startup`, `Liveness`, `Readiness`.
    probe_type: &'static str,
    /// `successful`, `failed`.
    result: &'static str,
}

/// Of all containers. Clones share them.
#[derive(Clone)]
pub(crate) struct Counts {
    probes: Family<Labels, Counter>,
    registry: Arc<Registry>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let (probes, mut registry) = (Family::<Labels, Counter>::default(), Registry::default());
        registry.register("prober_probe", "Probes of containers by their result", probes.clone());
        Self { probes, registry: Arc::new(registry) }
    }

    /// Those of one Pod.
    pub(crate) fn of(&self, pod: &Pod) -> Counting {
        let labels = Labels {
            namespace: spec::namespace(pod).to_owned(),
            pod: spec::name(pod).to_owned(),
            pod_uid: spec::uid(pod).to_owned(),
            container: String::new(),
            probe_type: "",
            result: "",
        };
        Counting { probes: self.probes.clone(), labels, containers: Mutex::default() }
    }

    /// The OpenMetrics text of all.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "figures of probes could not be written");
        }
        text
    }
}

const TYPES: [&str; 3] = ["Startup", "Liveness", "Readiness"];
const RESULTS: [&str; 2] = ["successful", "failed"];

/// Counts of one Pod, until it is dropped.
pub(crate) struct Counting {
    probes: Family<Labels, Counter>,
    /// The Pod's.
    labels: Labels,
    /// Those that were probed.
    containers: Mutex<BTreeSet<String>>,
}

impl Counting {
    /// A container's probe of the type `probe_type` has ended.
    pub(super) fn count(&self, container: &str, probe_type: &'static str, has_passed: bool) {
        let mut containers = self.containers.lock();
        if !containers.contains(container) {
            containers.insert(container.to_owned());
        }
        drop(containers);
        let result = RESULTS[usize::from(!has_passed)];
        self.probes.get_or_create(&self.labels(container, probe_type, result)).inc();
    }

    fn labels(&self, container: &str, probe_type: &'static str, result: &'static str) -> Labels {
        Labels { container: container.to_owned(), probe_type, result, ..self.labels.clone() }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        for container in self.containers.lock().iter() {
            for (probe_type, result) in TYPES.into_iter().flat_map(|one| RESULTS.map(|result| (one, result)))
            {
                self.probes.remove(&self.labels(container, probe_type, result));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    #[test]
    fn probes_are_counted_as_long_as_their_pod_is_there() {
        let pod = |name: &str| {
            let name = Some(name.to_owned());
            let metadata = ObjectMeta {
                namespace: Some("shop".into()),
                uid: name.clone(),
                name,
                ..ObjectMeta::default()
            };
            Pod { metadata, ..Pod::default() }
        };
        let counts = Counts::new();
        let (web, db) = (counts.of(&pod("web")), counts.of(&pod("db")));
        web.count("app", "Liveness", true);
        web.count("app", "Liveness", true);
        web.count("app", "Readiness", false);
        web.count("side", "Startup", true);
        db.count("app", "Startup", true);
        let has = |line: &str| counts.render().lines().any(|told| told == line);
        let line = |container: &str, of: &str, count: u8| {
            let pod = r#"namespace="shop",pod="web",pod_uid="web""#;
            format!(r#"prober_probe_total{{{pod},container="{container}",{of}}} {count}"#)
        };
        assert!(has(&line("app", r#"probe_type="Liveness",result="successful""#, 2)), "{}", counts.render());
        assert!(has(&line("app", r#"probe_type="Readiness",result="failed""#, 1)), "{}", counts.render());
        assert!(has(&line("side", r#"probe_type="Startup",result="successful""#, 1)), "{}", counts.render());
        drop(web);
        let text = counts.render();
        assert!(!text.contains("web") && text.contains(r#"pod="db""#), "{text}");
    }
}
