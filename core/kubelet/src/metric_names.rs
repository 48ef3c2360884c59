//! Every metric of the kubelet, with its help. What is the same as in other kubelets has the name
//! that it has there.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::{Histogram, exponential_buckets},
    },
};
use tiphys_runtime::cri::{Cri, Ended};
use tiphys_telemetry::Component;

use crate::{pod::runtime::State, probe::Counts, workers::Registry};

/// Seconds, from a fast local start to a slow pull.
const START_BUCKETS: [f64; 10] = [0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByType {
    /// `container`, `init_container`, `ephemeral_container`.
    pub container_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByCode {
    pub container_type: &'static str,
    /// Why, as the Pod's status says it: `ErrImagePull`, ...
    pub code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOperation {
    /// `run_podsandbox`, `create_container`, ...
    operation_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByNode {
    node: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    /// `running`, `created`, `exited`.
    container_state: &'static str,
}

#[derive(Clone)]
pub(crate) struct Metrics {
    pub component: Component,
    /// Of probes, which have a page of their own.
    pub probes: Counts,
    pub workers: Gauge,
    pub containers_started: Family<ByType, Counter>,
    pub containers_failed: Family<ByCode, Counter>,
    pub pod_start_seconds: Histogram,
    operations: Operations,
    pub status_writes: Counter,
    pub safety_relists: Counter,
    /// Changes that only the slow relist found: should stay at zero.
    pub missed_events: Counter,
    /// Of log files that only wait for the collector.
    pub waiting_log_bytes: Gauge,
    pub lost_log_bytes: Counter,
}

impl Metrics {
    /// Of the kubelet of the Node `node`, whose Pods are in `registry`.
    pub(crate) fn new(node: &str, registry: &Registry) -> Self {
        let metrics = Self {
            component: Component::new("kubelet"),
            probes: Counts::new(),
            workers: Gauge::default(),
            containers_started: Family::default(),
            containers_failed: Family::default(),
            pod_start_seconds: Histogram::new(START_BUCKETS),
            operations: Operations::new(),
            status_writes: Counter::default(),
            safety_relists: Counter::default(),
            missed_events: Counter::default(),
            waiting_log_bytes: Gauge::default(),
            lost_log_bytes: Counter::default(),
        };
        metrics.register_upstreams(node, registry);
        metrics.register_own();
        metrics
    }

    /// Under the names of other kubelets.
    fn register_upstreams(&self, node: &str, registry: &Registry) {
        let name = Family::<ByNode, Gauge>::default();
        name.get_or_create(&ByNode { node: node.to_owned() }).set(1);
        self.component.registry(|figures| {
            figures.register("kubelet_node_name", "The Node's name", name);
            figures.register(
                "kubelet_started_containers",
                "Containers started",
                self.containers_started.clone(),
            );
            figures.register(
                "kubelet_started_containers_errors",
                "Containers that could not be started, and why",
                self.containers_failed.clone(),
            );
            figures.register(
                "kubelet_pod_start_duration_seconds",
                "From the first sight of a Pod to its last container's start",
                self.pod_start_seconds.clone(),
            );
            figures.register_collector(Box::new(Running(registry.clone())));
        });
        self.operations.register(&self.component);
    }

    /// The client of the runtime, whose calls are counted from now on.
    pub(crate) fn observe(&self, cri: Cri) -> Cri {
        let operations = self.operations.clone();
        cri.observed(move |ended| operations.count(ended))
    }

    fn register_own(&self) {
        self.component.registry(|figures| {
            figures.register("tiphys_kubelet_pod_workers", "Pods that have a worker", self.workers.clone());
            figures.register(
                "tiphys_kubelet_status_writes",
                "Writes of Pods' status to the API",
                self.status_writes.clone(),
            );
            figures.register(
                "tiphys_kubelet_safety_relists",
                "Lists of all containers, in case an event was lost",
                self.safety_relists.clone(),
            );
            figures.register(
                "tiphys_kubelet_missed_events",
                "Changes of containers that only a relist found",
                self.missed_events.clone(),
            );
            figures.register(
                "tiphys_kubelet_waiting_log_bytes",
                "Bytes of log files beyond their turn that wait for the log collector",
                self.waiting_log_bytes.clone(),
            );
            figures.register(
                "tiphys_kubelet_lost_log_bytes",
                "Bytes of log files that were removed before the log collector had them",
                self.lost_log_bytes.clone(),
            );
        });
    }
}

/// What the runtime is asked for.
#[derive(Clone)]
struct Operations {
    all: Family<ByOperation, Counter>,
    seconds: Family<ByOperation, Histogram>,
    failed: Family<ByOperation, Counter>,
}

impl Operations {
    fn new() -> Self {
        Self {
            all: Family::default(),
            // From five milliseconds to twelve minutes, as other kubelets have it.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.005, 2.5, 14))),
            failed: Family::default(),
        }
    }

    fn register(&self, component: &Component) {
        component.registry(|figures| {
            figures.register(
                "kubelet_runtime_operations",
                "Calls of the container runtime that have ended",
                self.all.clone(),
            );
            figures.register(
                "kubelet_runtime_operations_duration_seconds",
                "How long they took",
                self.seconds.clone(),
            );
            figures.register(
                "kubelet_runtime_operations_errors",
                "Those that it refused or did not answer in time",
                self.failed.clone(),
            );
        });
    }

    fn count(&self, ended: Ended) {
        let labels = ByOperation { operation_type: ended.operation };
        self.all.get_or_create(&labels).inc();
        self.seconds.get_or_create(&labels).observe(ended.took.as_secs_f64());
        if ended.has_failed {
            self.failed.get_or_create(&labels).inc();
        }
    }
}

/// What runs, counted when it is asked for.
struct Running(Registry);

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

impl Collector for Running {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let views = self.0.views();
        let pods = views.iter().filter(|view| view.runtime.ready_sandbox().is_some()).count();
        let (name, help) = ("kubelet_running_pods", "Pods whose sandbox runs.");
        ConstGauge::new(pods).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        let mut containers = BTreeMap::from([("running", 0_u64), ("created", 0), ("exited", 0)]);
        for container in views.iter().flat_map(|view| &view.runtime.containers) {
            *containers.entry(state(&container.state)).or_default() += 1;
        }
        let (name, help) = ("kubelet_running_containers", "Containers of all Pods, by their state.");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (container_state, count) in containers {
            ConstGauge::new(count).encode(family.encode_family(&ByState { container_state })?)?;
        }
        Ok(())
    }
}

fn state(state: &State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running { .. } => "running",
        State::Exited(_) => "exited",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use k8s_openapi::{
        api::core::v1::{Container as Spec, Pod, PodSpec},
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    };

    use super::*;
    use crate::{
        pod::runtime::{Container, RuntimeState, Sandbox},
        workers::{Desired, PodView},
    };

    fn container(name: &str, state: State) -> Container {
        Container {
            id: name.into(),
            sandbox: "s".into(),
            name: name.into(),
            attempt: 0,
            state,
            image: String::new(),
            image_ref: String::new(),
            hash: String::new(),
            delay: std::time::Duration::ZERO,
            log_path: String::new(),
            created_at: 0,
        }
    }

    #[test]
    fn what_runs_is_counted_when_it_is_asked_for() {
        let registry = Registry::default();
        let metrics = Metrics::new("node-1", &registry);
        let has = |line: &str| {
            let text = metrics.component.render();
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        };
        has("kubelet_running_pods 0");
        has(r#"kubelet_running_containers{container_state="running"} 0"#);
        has(r#"kubelet_node_name{node="node-1"} 1"#);
        let pod = Arc::new(Pod {
            metadata: ObjectMeta { uid: Some("u".into()), name: Some("web".into()), ..ObjectMeta::default() },
            spec: Some(PodSpec { containers: vec![Spec::default()], ..PodSpec::default() }),
            status: None,
        });
        let seat = registry.tell(Desired::As(pod.clone())).expect("the Pod is new");
        let sandbox = Sandbox {
            id: "s".into(),
            attempt: 0,
            ready: true,
            created_at: 0,
            ips: Vec::new(),
            group: String::new(),
        };
        let running = State::Running { started_at: Timestamp::UNIX_EPOCH };
        let runtime = RuntimeState {
            sandboxes: vec![sandbox],
            containers: vec![
                container("a", running.clone()),
                container("b", running),
                container("c", State::Created),
            ],
        };
        seat.view.send_replace(Arc::new(PodView { pod, runtime }));
        has("kubelet_running_pods 1");
        has(r#"kubelet_running_containers{container_state="running"} 2"#);
        has(r#"kubelet_running_containers{container_state="created"} 1"#);
        has(r#"kubelet_running_containers{container_state="exited"} 0"#);
    }

    #[test]
    fn starts_are_told_by_type_and_reason() {
        let metrics = Metrics::new("node-1", &Registry::default());
        metrics.containers_started.get_or_create(&ByType { container_type: "container" }).inc();
        let failed = ByCode { container_type: "init_container", code: "ErrImagePull" };
        metrics.containers_failed.get_or_create(&failed).inc();
        metrics.pod_start_seconds.observe(0.4);
        let text = metrics.component.render();
        for line in [
            r#"kubelet_started_containers_total{container_type="container"} 1"#,
            r#"kubelet_started_containers_errors_total{container_type="init_container",code="ErrImagePull"} 1"#,
            "kubelet_pod_start_duration_seconds_count 1",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
    }

    #[tokio::test]
    async fn calls_of_the_runtime_are_told_by_operation() {
        let metrics = Metrics::new("node-1", &Registry::default());
        let cri = metrics.observe(Cri::new(std::path::Path::new("/nowhere/no-runtime.sock")));
        cri.version().await.expect_err("nobody answers");
        cri.list_sandboxes(std::collections::HashMap::new()).await.expect_err("nobody answers");
        let took = std::time::Duration::from_millis(20);
        let answered = Ended { operation: "version", took, has_failed: false };
        metrics.operations.count(answered);
        let text = metrics.component.render();
        for line in [
            r#"kubelet_runtime_operations_total{operation_type="version"} 2"#,
            r#"kubelet_runtime_operations_errors_total{operation_type="version"} 1"#,
            r#"kubelet_runtime_operations_duration_seconds_count{operation_type="version"} 2"#,
            r#"kubelet_runtime_operations_total{operation_type="list_podsandbox"} 1"#,
            r#"kubelet_runtime_operations_errors_total{operation_type="list_podsandbox"} 1"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        let bucket = "kubelet_runtime_operations_duration_seconds_bucket{";
        let of_version = |line: &&str| line.starts_with(bucket) && line.contains(r#"="version""#);
        assert_eq!(text.lines().filter(of_version).count(), 15, "{text}");
    }
}
