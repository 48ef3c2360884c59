//! Requests and limits as the kernel's figures. Pure.
//!
//! A Pod's control group lies below that of its class: `BASE/pod..` for
//! Guaranteed, `BASE/burstable/pod..`, `BASE/besteffort/pod..`. Its shares are the
//! sum of its requests; a limit is set when all containers have one.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod},
    apimachinery::pkg::api::resource::Quantity,
};
use tiphys_api::quantity;
use tiphys_runtime::{
    cgroup::{
        Limits,
        limits::{PERIOD_MICROS, quota_micros, shares},
    },
    cri::v1,
};

use super::spec;

type Amounts = Option<BTreeMap<String, Quantity>>;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn qos_class(pod: &Pod) -> &'static str {
    match pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) {
        Some("Guaranteed") => "Guaranteed",
        Some("Burstable") => "Burstable",
        Some("BestEffort") => "BestEffort",
        _ => {
            let spec = serde_json::to_value(spec::of(pod)).unwrap_or_default();
            tiphys_api::pod::qos::class(&spec)
        }
    }
}

/// The Pod's control group below `base`, such as `/tiphys/node-1/kubepods`.
pub fn pod_group(base: &str, pod: &Pod) -> String {
    let base = base.trim_end_matches('/');
    let uid = spec::uid(pod);
    match qos_class(pod) {
        "Guaranteed" => format!("{base}/pod{uid}"),
        class => format!("{base}/{}/pod{uid}", class.to_lowercase()),
    }
}

/// Thousandths of a core.
pub fn cpu_millis(amounts: &Amounts) -> Option<u64> {
    amount(amounts, "cpu").and_then(quantity::milli).and_then(|value| u64::try_from(value).ok())
}

pub fn memory_bytes(amounts: &Amounts) -> Option<u64> {
    amount(amounts, "memory").and_then(quantity::units).and_then(|value| u64::try_from(value).ok())
}

fn amount<'a>(amounts: &'a Amounts, name: &str) -> Option<&'a str> {
    amounts.as_ref()?.get(name).map(|quantity| quantity.0.as_str())
}

/// A container's requests and limits; a limit stands for a missing request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    pub cpu_request: Option<u64>,
    pub cpu_limit: Option<u64>,
    pub memory_request: Option<u64>,
    pub memory_limit: Option<u64>,
}

/// In millicores and bytes.
pub fn asked(container: &Container) -> Asked {
    let resources = container.resources.clone().unwrap_or_default();
    let (cpu_limit, memory_limit) = (cpu_millis(&resources.limits), memory_bytes(&resources.limits));
    Asked {
        cpu_request: cpu_millis(&resources.requests).or(cpu_limit),
        cpu_limit,
        memory_request: memory_bytes(&resources.requests).or(memory_limit),
        memory_limit,
    }
}

/// What a Pod's containers ask for, by when they run.
struct AskedOfAll {
    together: Vec<Asked>,
    /// Init containers, one after the other.
    alone: Vec<Asked>,
}

impl AskedOfAll {
    fn of(pod: &Pod) -> Self {
        let (sidecars, init): (Vec<_>, Vec<_>) =
            spec::init_containers(pod).iter().partition(|container| spec::is_sidecar(container));
        Self {
            together: spec::of(pod).containers.iter().chain(sidecars).map(asked).collect(),
            alone: init.into_iter().map(asked).collect(),
        }
    }

    /// What runs at the same time, summed, or the largest init container, whichever is more.
    fn total(&self, value: fn(&Asked) -> Option<u64>) -> u64 {
        let most = self.alone.iter().filter_map(value).max().unwrap_or(0);
        self.together.iter().filter_map(value).sum::<u64>().max(most)
    }

    /// The total, where each container has one.
    fn limit(&self, value: fn(&Asked) -> Option<u64>) -> Option<u64> {
        let mut all = self.together.iter().chain(&self.alone);
        all.all(|asked| value(asked).is_some()).then(|| self.total(value))
    }
}

/// What a Pod asks for of the CPU, in thousandths of a core.
pub fn cpu_request(pod: &Pod) -> u64 {
    AskedOfAll::of(pod).total(|asked| asked.cpu_request)
}

/// Limits of the Pod's own group.
pub fn pod_limits(pod: &Pod) -> Limits {
    let all = AskedOfAll::of(pod);
    Limits {
        cpu_shares: Some(shares(all.total(|asked| asked.cpu_request))),
        cpu_quota_micros: all.limit(|asked| asked.cpu_limit).map(quota_micros),
        memory_bytes: all.limit(|asked| asked.memory_limit),
        processes: None,
    }
}

/// What CRI is told of one container. With `oom_group`, which only version 2 of control groups knows, the
/// kernel kills all of the container where it would kill one of its processes: a container that has lost a
/// worker and does not notice is worse off than one that is started anew.
pub fn container_resources(
    pod: &Pod,
    container: &Container,
    node_memory: u64,
    oom_group: bool,
) -> v1::LinuxContainerResources {
    let asked = asked(container);
    let mut resources = v1::LinuxContainerResources {
        cpu_shares: signed(shares(asked.cpu_request.unwrap_or(0))),
        oom_score_adj: oom_score_adj(pod, asked.memory_request, node_memory),
        ..Default::default()
    };
    if let Some(limit) = asked.cpu_limit {
        resources.cpu_period = signed(PERIOD_MICROS);
        resources.cpu_quota = signed(quota_micros(limit));
    }
    if let Some(limit) = asked.memory_limit {
        resources.memory_limit_in_bytes = signed(limit);
    }
    if oom_group {
        resources.unified.insert("memory.oom.group".into(), "1".into());
    }
    resources
}

/// The more memory a container asked for, the later it is killed for lack of it.
/// <https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior>
fn oom_score_adj(pod: &Pod, memory_request: Option<u64>, node_memory: u64) -> i64 {
    const CRITICAL: i32 = 2_000_000_000;
    if spec::of(pod).priority.is_some_and(|priority| priority >= CRITICAL) {
        return -997;
    }
    match qos_class(pod) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let request = u128::from(memory_request.unwrap_or(0));
            let share = 1000 * request / u128::from(node_memory.max(1));
            (1000 - i64::try_from(share).unwrap_or(1000)).clamp(3, 999)
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(containers: serde_json::Value) -> Pod {
        let pod = json!({"metadata": {"name": "web", "uid": "u1"}, "spec": {"containers": containers}});
        serde_json::from_value(pod).expect("a Pod")
    }

    #[test]
    fn groups_and_scores_follow_the_class() {
        let check = |resources: serde_json::Value, group: &str, score: i64| {
            let pod = pod(json!([{"name": "a", "resources": resources}]));
            assert_eq!(pod_group("/t/kubepods/", &pod), group);
            let container = &spec::of(&pod).containers[0];
            let told = container_resources(&pod, container, 1 << 30, false);
            assert_eq!(told.oom_score_adj, score, "{group}");
            assert!(told.unified.is_empty(), "version 1 refuses what it does not know");
            let told = container_resources(&pod, container, 1 << 30, true).unified;
            assert_eq!(told.get("memory.oom.group").map(String::as_str), Some("1"), "{group}");
        };
        check(json!({}), "/t/kubepods/besteffort/podu1", 1000);
        check(json!({"requests": {"memory": "256Mi"}}), "/t/kubepods/burstable/podu1", 750);
        let all = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}});
        check(all, "/t/kubepods/podu1", -997);
    }

    #[test]
    fn limits_hold_only_when_all_containers_have_them() {
        let limited = json!({"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}});
        let open = json!({"name": "b", "resources": {"requests": {"cpu": "250m"}}});
        let one = pod_limits(&pod(json!([limited])));
        assert_eq!(one.cpu_quota_micros, Some(50_000));
        assert_eq!(one.memory_bytes, Some(64 << 20));
        assert_eq!(one.cpu_shares, Some(512));
        let both = pod_limits(&pod(json!([limited, open])));
        assert_eq!((both.cpu_quota_micros, both.memory_bytes), (None, None));
        assert_eq!(both.cpu_shares, Some(768));
    }
}
