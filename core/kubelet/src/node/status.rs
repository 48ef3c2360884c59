//! The node's status from what is known. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus,
        NodeSystemInfo,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Time},
};

use super::machine::Health;
use crate::{KubeletConfig, NodeCapacity};

/// Below these, Pods get in each other's way.
const LEAST_MEMORY: u64 = 100 << 20;
const LEAST_DISK_PERCENT: u64 = 10;
/// Where a tenth of the disk is more than this, this is enough: a large disk is no reason to refuse Pods, and
/// of what a laptop or a builder keeps on its disk a node has no say.
const ENOUGH_DISK: u64 = 2 << 30;
const LEAST_INODE_PERCENT: u64 = 5;
const LEAST_PROCESSES: u64 = 100;

/// Images shown at most, the largest first.
const MAX_IMAGES: usize = 50;

/// The conditions that are the kubelet's to write.
const OWN: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"];

/// What the runtime says.
pub(super) struct Runtime {
    /// Why it is not ready; empty when it is.
    pub trouble: Vec<String>,
    pub images: Vec<(Vec<String>, u64)>,
}

pub(super) fn status(
    old: &Node,
    config: &KubeletConfig,
    health: &Health,
    runtime: &Runtime,
    info: NodeSystemInfo,
    now: Timestamp,
) -> NodeStatus {
    let before = old.status.clone().unwrap_or_default();
    let amounts = |reserved: bool| amounts(&config.capacity, health.disk_capacity, reserved);
    NodeStatus {
        addresses: Some(addresses(config)),
        allocatable: Some(amounts(true)),
        capacity: Some(amounts(false)),
        conditions: Some(conditions(before.conditions.as_deref().unwrap_or_default(), health, runtime, now)),
        daemon_endpoints: Some(NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(config.listen.port()) }),
        }),
        images: Some(images(&runtime.images)),
        node_info: Some(info),
        ..before
    }
}

fn addresses(config: &KubeletConfig) -> Vec<NodeAddress> {
    let internal =
        config.node_ips.iter().map(|ip| NodeAddress { type_: "InternalIP".into(), address: ip.clone() });
    let name = NodeAddress { type_: "Hostname".into(), address: config.node_name.clone() };
    internal.chain([name]).collect()
}

fn amounts(capacity: &NodeCapacity, disk: u64, less_reserved: bool) -> BTreeMap<String, Quantity> {
    let (cpu, memory) = match less_reserved {
        true => (capacity.reserved_cpu_millis, capacity.reserved_memory_bytes),
        false => (0, 0),
    };
    let cpu = capacity.cpu_millis.saturating_sub(cpu);
    let cpu = if cpu % 1000 == 0 { (cpu / 1000).to_string() } else { format!("{cpu}m") };
    let kib = |bytes: u64| format!("{}Ki", bytes / 1024);
    [
        ("cpu", cpu),
        ("memory", kib(capacity.memory_bytes.saturating_sub(memory))),
        ("pods", capacity.pods.to_string()),
        ("ephemeral-storage", kib(disk)),
    ]
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .into()
}

/// Whether there is too little disk for Pods.
pub(super) fn is_short_of_disk(health: &Health) -> bool {
    health.disk_available < least_disk(health) || health.inodes_free_percent < LEAST_INODE_PERCENT
}

fn least_disk(health: &Health) -> u64 {
    (health.disk_capacity / 100 * LEAST_DISK_PERCENT).min(ENOUGH_DISK)
}

fn conditions(
    before: &[NodeCondition],
    health: &Health,
    runtime: &Runtime,
    now: Timestamp,
) -> Vec<NodeCondition> {
    let pressure = |pressed: bool, kind: &'static str, bad: &'static str, good: &'static str, what: &str| {
        let message = if pressed { format!("kubelet has {what}") } else { format!("kubelet has no {what}") };
        (kind, pressed, if pressed { bad } else { good }, message)
    };
    let no_disk = is_short_of_disk(health);
    // No figure that moves: each new message would be a write.
    let least_mib = least_disk(health) >> 20;
    let short_of_disk =
        format!("disk pressure: less than {least_mib} MiB or {LEAST_INODE_PERCENT}% of inodes free");
    let what_disk = if no_disk { short_of_disk.as_str() } else { "disk pressure" };
    let no_processes = health.max_processes.saturating_sub(health.processes) < LEAST_PROCESSES;
    let ready = match runtime.trouble.is_empty() {
        true => ("Ready", true, "KubeletReady", "kubelet is posting ready status".to_owned()),
        false => ("Ready", false, "KubeletNotReady", runtime.trouble.join("; ")),
    };
    let verdicts = [
        pressure(
            health.memory_available < LEAST_MEMORY,
            "MemoryPressure",
            "KubeletHasInsufficientMemory",
            "KubeletHasSufficientMemory",
            "insufficient memory available",
        ),
        pressure(no_disk, "DiskPressure", "KubeletHasDiskPressure", "KubeletHasNoDiskPressure", what_disk),
        pressure(
            no_processes,
            "PIDPressure",
            "KubeletHasInsufficientPID",
            "KubeletHasSufficientPID",
            "insufficient PID available",
        ),
        ready,
    ];
    let mut conditions: Vec<_> =
        before.iter().filter(|condition| !OWN.contains(&condition.type_.as_str())).cloned().collect();
    for (kind, holds, reason, message) in verdicts {
        let status = if holds { "True" } else { "False" };
        let old = before.iter().find(|condition| condition.type_ == kind && condition.status == status);
        let since = old.and_then(|old| old.last_transition_time.clone()).unwrap_or(Time(now));
        conditions.push(NodeCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: Some(since),
        });
    }
    conditions
}

fn images(images: &[(Vec<String>, u64)]) -> Vec<ContainerImage> {
    let mut images: Vec<_> = images
        .iter()
        .map(|(names, size)| ContainerImage {
            names: Some(names.clone()),
            size_bytes: i64::try_from(*size).ok(),
        })
        .collect();
    images.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.names.cmp(&b.names)));
    images.truncate(MAX_IMAGES);
    images
}

/// Whether anything but the time of the heartbeat differs.
pub(super) fn is_same(a: &NodeStatus, b: &NodeStatus) -> bool {
    let timeless = |status: &NodeStatus| {
        let mut status = status.clone();
        for condition in status.conditions.iter_mut().flatten() {
            condition.last_heartbeat_time = None;
        }
        status
    };
    timeless(a) == timeless(b)
}

/// Whether somebody else wrote over a condition that the kubelet wrote. Times don't count.
pub(super) fn is_contradicted(written: &Node, shown: &Node) -> bool {
    let said = |node: &Node, kind: &str| {
        let mut all = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let found = all.find(|condition| condition.type_ == kind);
        found.map(|found| (found.status.clone(), found.reason.clone(), found.message.clone()))
    };
    OWN.iter().any(|kind| said(written, kind) != said(shown, kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WELL: Health = Health {
        memory_available: 1 << 30,
        disk_available: 50,
        disk_capacity: 100,
        inodes_free_percent: 50,
        processes: 100,
        max_processes: 1000,
    };

    fn verdicts(health: Health, trouble: &[&str]) -> Vec<(String, String)> {
        let trouble = trouble.iter().map(ToString::to_string).collect();
        let runtime = Runtime { trouble, images: Vec::new() };
        let conditions = conditions(&[], &health, &runtime, Timestamp::UNIX_EPOCH);
        conditions.into_iter().map(|condition| (condition.type_, condition.status)).collect()
    }

    #[test]
    fn conditions_tell_what_is_short() {
        let check = |health, trouble: &[&str], bad: &[&str]| {
            for (kind, status) in verdicts(health, trouble) {
                let as_wished = (kind == "Ready") == (status == "True");
                assert_eq!(as_wished, !bad.contains(&kind.as_str()), "{kind}");
            }
        };
        check(WELL, &[], &[]);
        check(Health { memory_available: 1, ..WELL }, &[], &["MemoryPressure"]);
        check(Health { disk_available: 5, ..WELL }, &[], &["DiskPressure"]);
        check(Health { disk_available: 20 << 30, disk_capacity: 1 << 40, ..WELL }, &[], &[]);
        check(Health { disk_available: 1 << 30, disk_capacity: 1 << 40, ..WELL }, &[], &["DiskPressure"]);
        check(Health { inodes_free_percent: 1, ..WELL }, &[], &["DiskPressure"]);
        check(Health { processes: 950, ..WELL }, &[], &["PIDPressure"]);
        check(WELL, &["network plug-in is not ready"], &["Ready"]);
    }

    #[test]
    fn what_is_reserved_is_not_offered() {
        let capacity = NodeCapacity {
            cpu_millis: 2000,
            memory_bytes: 4 << 30,
            pods: 110,
            reserved_cpu_millis: 100,
            reserved_memory_bytes: 1 << 30,
        };
        let offered = amounts(&capacity, 1 << 20, true);
        assert_eq!(offered["cpu"].0, "1900m");
        assert_eq!(offered["memory"].0, "3145728Ki");
        assert_eq!(amounts(&capacity, 0, false)["cpu"].0, "2");
    }

    #[test]
    fn only_a_changed_word_contradicts() {
        let node = |ready: &str, at: i64, other: &str| -> Node {
            let ready = json!({"type": "Ready", "status": ready, "lastHeartbeatTime": Timestamp::from_second(at).ok()});
            let other = json!({"type": "NetworkUnavailable", "status": other});
            serde_json::from_value(json!({"status": {"conditions": [ready, other]}})).expect("a Node")
        };
        let written = node("True", 1, "True");
        assert!(!is_contradicted(&written, &node("True", 2, "False")));
        assert!(is_contradicted(&written, &node("Unknown", 1, "True")));
        assert!(is_contradicted(&written, &Node::default()));
    }
}
