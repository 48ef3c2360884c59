//! Requests and limits as the kernel's figures. Pure, but for one question to the kernel: whether it counts
//! swap for each group.
//!
//! A Pod's control group lies below that of its class: `BASE/pod..` for
//! Guaranteed, `BASE/burstable/pod..`, `BASE/besteffort/pod..`. Its shares are what it
//! asks for together; a limit is set when the Pod has one or all containers have.
//! What a Pod asks for is counted as for quotas, and as the scheduler counts it: sidecars,
//! larger init containers, what the Pod says for itself, its overhead.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use tiphys_api::{amounts, quantity};
use tiphys_runtime::{
    cgroup::{
        Hierarchy, HugePages, Limits,
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

/// Of a whole Pod, in millicores and bytes. A limit is there where something is bounded: by the Pod's own
/// limit, or by one of each container, init containers too.
pub fn asked_of_pod(pod: &Pod) -> Asked {
    let spec = serde_json::to_value(spec::of(pod)).unwrap_or_default();
    let (requests, limits) = (amounts::of_spec(&spec, "requests"), amounts::of_spec(&spec, "limits"));
    let bound = |name: &str| limits.get(name).filter(|_| is_bounded(pod, name));
    let positive = |amount: i64| u64::try_from(amount).ok();
    Asked {
        cpu_request: requests.get("cpu").and_then(|amount| positive(amount.millis())),
        cpu_limit: bound("cpu").and_then(|amount| positive(amount.millis())),
        memory_request: requests.get("memory").and_then(|amount| positive(amount.units())),
        memory_limit: bound("memory").and_then(|amount| positive(amount.units())),
    }
}

fn is_bounded(pod: &Pod, name: &str) -> bool {
    let has = |resources: Option<&ResourceRequirements>| {
        let limit = resources.and_then(|resources| amount(&resources.limits, name));
        limit.and_then(quantity::milli).is_some_and(|limit| limit > 0)
    };
    has(spec::of(pod).resources.as_ref())
        || spec::all_containers(pod).all(|container| has(container.resources.as_ref()))
}

/// What a Pod asks for of the CPU, in thousandths of a core.
pub fn cpu_request(pod: &Pod) -> u64 {
    asked_of_pod(pod).cpu_request.unwrap_or(0)
}

/// Limits of the Pod's own group. A Pod that asks for nothing has what is left over, its overhead too.
pub fn pod_limits(pod: &Pod) -> Limits {
    let huge_pages = Some(huge_pages(pod));
    if qos_class(pod) == "BestEffort" {
        return Limits { cpu_shares: Some(shares(0)), huge_pages, ..Limits::default() };
    }
    let asked = asked_of_pod(pod);
    Limits {
        cpu_shares: Some(shares(asked.cpu_request.unwrap_or(0))),
        cpu_quota_micros: asked.cpu_limit.map(quota_micros),
        memory_bytes: asked.memory_limit,
        processes: None,
        huge_pages,
    }
}

/// Huge pages of all containers together. They are limited here and not by CRI: for every container
/// containerd would warn where the machine has no controller, unless it is told to leave them alone, as it
/// does by itself. <https://github.com/kubernetes/kubernetes> does both, in
/// `pkg/kubelet/cm/cgroup_manager_linux.go` and `kuberuntime_container_linux.go`.
fn huge_pages(pod: &Pod) -> HugePages {
    let spec = serde_json::to_value(spec::of(pod)).unwrap_or_default();
    let limits = amounts::of_spec(&spec, "limits");
    let sized = limits.iter().filter_map(|(name, amount)| {
        let size = quantity::units(name.strip_prefix("hugepages-")?)?;
        Some((u64::try_from(size).ok()?, u64::try_from(amount.units()).ok()?))
    });
    sized.collect()
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
        forbid_swap(&mut resources, *HAS_SWAP_LIMIT);
    }
    resources
}

/// The file of a group that bounds its swap, on version 2.
const SWAP_LIMIT: &str = "memory.swap.max";

/// Containers don't swap, as Kubernetes has it unless a node is told otherwise. Those with a memory limit
/// get this from containerd too; those without would swap as they like.
/// <https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/>
fn forbid_swap(resources: &mut v1::LinuxContainerResources, has_limit: bool) {
    // A file that isn't there would keep the container from starting.
    if has_limit {
        resources.unified.insert(SWAP_LIMIT.into(), "0".into());
    }
}

/// Whether groups have [`SWAP_LIMIT`]: not without swap in the kernel, nor where counting it is off.
/// Unit tests give the answer themselves: it must not depend on their machine.
static HAS_SWAP_LIMIT: LazyLock<bool> = LazyLock::new(|| {
    let root = Hierarchy::detect().ok().filter(Hierarchy::is_unified).and_then(|it| it.folder("memory", "/"));
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    !cfg!(test) && root.is_some_and(|root| has_swap_limit(&root, &own))
});

/// Looks at our own group and those above it: the root has none, nor has a group without a memory controller.
fn has_swap_limit(root: &Path, own: &str) -> bool {
    let Some(group) = own.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let group = root.join(group);
    group.ancestors().take_while(|folder| folder.starts_with(root)).any(|it| it.join(SWAP_LIMIT).exists())
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
    fn containers_do_not_swap_where_the_kernel_can_forbid_it() {
        let mut told = v1::LinuxContainerResources::default();
        forbid_swap(&mut told, false);
        assert!(told.unified.is_empty(), "the file isn't there");
        forbid_swap(&mut told, true);
        assert_eq!(told.unified.get("memory.swap.max").map(String::as_str), Some("0"));

        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("cgroup");
        let own = "0::/tiphys/n1/agent\n";
        std::fs::create_dir_all(root.join("tiphys/n1/agent")).expect("a folder");
        std::fs::write(folder.path().join(SWAP_LIMIT), "max\n").expect("written");
        assert!(!has_swap_limit(&root, own), "what lies above the root is none of ours");
        std::fs::write(root.join("tiphys").join(SWAP_LIMIT), "max\n").expect("written");
        assert!(has_swap_limit(&root, own));
        assert!(!has_swap_limit(&root, "0::/elsewhere\n"));
        assert!(!has_swap_limit(&root, "4:memory:/tiphys/n1/agent\n"), "version 1");
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

    #[test]
    fn a_pod_has_the_huge_pages_that_it_asks_for_and_no_others() {
        const MIB: u64 = 1 << 20;
        let of = |limits: serde_json::Value| json!({"name": "a", "resources": {"limits": limits}});
        let asks = of(json!({"memory": "1Gi", "hugepages-2Mi": "64Mi"}));
        let more = of(json!({"memory": "1Gi", "hugepages-2Mi": "32Mi", "hugepages-1Gi": "2Gi"}));
        let found = |containers: serde_json::Value| pod_limits(&pod(containers)).huge_pages;
        let both = HugePages::from([(2 * MIB, 96 * MIB), (1024 * MIB, 2048 * MIB)]);
        assert_eq!(found(json!([asks, more])), Some(both));
        let none = Some(HugePages::new());
        assert_eq!(found(json!([of(json!({"memory": "1Gi"}))])), none);
        assert_eq!(found(json!([{"name": "a"}])), none, "one that asks for nothing");
    }

    /// Shares, quota and memory of the group of a Pod with this spec.
    fn check(spec: serde_json::Value, expected: (u64, Option<u64>, Option<u64>), why: &str) {
        let pod = json!({"metadata": {"name": "web", "uid": "u1"}, "spec": spec});
        let limits = pod_limits(&serde_json::from_value(pod).expect("a Pod"));
        let found = (limits.cpu_shares.unwrap_or_default(), limits.cpu_quota_micros, limits.memory_bytes);
        assert_eq!(found, expected, "{why}");
    }

    #[test]
    fn a_pods_group_has_what_the_scheduler_counts() {
        const MIB: u64 = 1 << 20;
        let of = |name: &str, cpu: &str, memory: &str| {
            let amounts = json!({"cpu": cpu, "memory": memory});
            json!({"name": name, "resources": {"requests": amounts, "limits": amounts}})
        };
        let beside = |name: &str, cpu: &str, memory: &str| {
            let mut sidecar = of(name, cpu, memory);
            sidecar["restartPolicy"] = json!("Always");
            sidecar
        };
        let (a, open) = (of("a", "1", "64Mi"), json!({"name": "open"}));
        check(
            json!({"containers": [a], "initContainers": [beside("s", "1", "64Mi"), of("i", "2", "32Mi")]}),
            (3072, Some(300_000), Some(128 * MIB)),
            "an init container beside a sidecar, whose memory is less than the container's",
        );
        check(
            json!({"containers": [a], "initContainers": [of("i", "500m", "256Mi")]}),
            (1024, Some(100_000), Some(256 * MIB)),
            "each by its own most",
        );
        check(
            json!({"containers": [a], "initContainers": [open]}),
            (1024, None, None),
            "an init container without limits",
        );
        check(
            json!({"containers": [a], "overhead": {"cpu": "500m", "memory": "16Mi"}}),
            (1536, Some(150_000), Some(80 * MIB)),
            "overhead",
        );
        let limits = json!({"cpu": "2", "memory": "1Gi"});
        let requests = json!({"cpu": "500m", "memory": "1Gi"});
        let whole = json!({"limits": limits, "requests": requests});
        check(
            json!({"containers": [a, open], "resources": whole, "overhead": {"cpu": "250m"}}),
            (768, Some(225_000), Some(1024 * MIB)),
            "what the Pod says for itself, where a container has no limit",
        );
        check(
            json!({"containers": [a, open], "resources": {"limits": {"memory": "1Gi"}}}),
            (1024, None, Some(1024 * MIB)),
            "of one resource only",
        );
        check(
            json!({"containers": [open], "overhead": {"cpu": "1", "memory": "16Mi"}}),
            (2, None, None),
            "one that asks for nothing",
        );
    }
}
