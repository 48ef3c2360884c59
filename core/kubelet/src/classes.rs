//! The control groups above those of Pods, and what they weigh.
//!
//! ```text
//! BASE               all Pods: no more memory and processes than the node offers
//!   ├─ pod..         Guaranteed, by what each asked for
//!   ├─ burstable     by what its Pods asked for together, while they run
//!   │    └─ pod..
//!   └─ besteffort    the least there is: what is left over
//!        └─ pod..
//! ```
//!
//! Weights count among the groups of one level. A class that kept the kernel's own weight, whatever its
//! Pods asked for, would take the CPU from the Guaranteed Pods beside it. So `burstable` is weighed anew when
//! a Pod comes, is over or goes. As <https://github.com/kubernetes/kubernetes> has it in
//! `pkg/kubelet/cm/qos_container_manager_linux.go` and `node_container_manager_linux.go`.

use std::{collections::HashMap, fs, path::Path};

use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tiphys_runtime::cgroup::{Hierarchy, Limits, limits};

use crate::{
    Error, NodeCapacity,
    pod::{resources, spec},
};

pub(crate) struct Classes {
    hierarchy: Hierarchy,
    /// The group of all Pods, such as `/tiphys/node-1/kubepods`.
    base: String,
    burstable: Mutex<Burstable>,
}

#[derive(Default)]
struct Burstable {
    /// Thousandths of a core by the Pod's UID; those that ask for none are left out.
    asked: HashMap<String, u64>,
    /// The shares that the group has by now.
    written: Option<u64>,
}

impl Classes {
    pub(crate) fn new(hierarchy: Hierarchy, base: &str) -> Self {
        Self { hierarchy, base: base.trim_end_matches('/').to_owned(), burstable: Mutex::default() }
    }

    /// Makes the groups. A limit that the kernel refuses is told in the log: what uses more already goes on.
    ///
    /// # Errors
    /// A group can't be made.
    pub(crate) fn make(&self, capacity: &NodeCapacity) -> Result<(), Error> {
        let usual = Limits::default();
        self.hierarchy.create(&self.base, &usual)?;
        if let Err(error) = self.hierarchy.limit(&self.base, &offered(capacity, most_processes())) {
            tracing::warn!(%error, "pods are not held to what the node offers");
        }
        self.hierarchy.create(&self.burstable_group(), &usual)?;
        let least = weight(limits::shares(0));
        Ok(self.hierarchy.create(&format!("{}/besteffort", self.base), &least)?)
    }

    /// The Pod runs, is about to, or is over by now.
    pub(crate) fn takes(&self, pod: &Pod) {
        self.weigh(spec::uid(pod), adds(pod));
    }

    /// Nothing is left of the Pod.
    pub(crate) fn gone(&self, uid: &str) {
        self.weigh(uid, 0);
    }

    fn weigh(&self, uid: &str, millis: u64) {
        // Held while it is written: the last one to count is the last one to write.
        let mut burstable = self.burstable.lock();
        if millis == 0 {
            burstable.asked.remove(uid);
        } else if burstable.asked.get(uid) != Some(&millis) {
            burstable.asked.insert(uid.to_owned(), millis);
        }
        let shares = limits::shares(burstable.asked.values().sum());
        if burstable.written == Some(shares) {
            return;
        }
        match self.hierarchy.limit(&self.burstable_group(), &weight(shares)) {
            Ok(()) => burstable.written = Some(shares),
            Err(error) => tracing::warn!(%error, shares, "burstable pods did not get their weight"),
        }
    }

    fn burstable_group(&self) -> String {
        format!("{}/burstable", self.base)
    }
}

fn weight(shares: u64) -> Limits {
    Limits { cpu_shares: Some(shares), ..Limits::default() }
}

/// What a Pod adds to the weight of `burstable`, in thousandths of a core.
fn adds(pod: &Pod) -> u64 {
    if spec::is_terminal(pod) || resources::qos_class(pod) != "Burstable" {
        return 0;
    }
    resources::cpu_request(pod)
}

/// What all Pods together have: what the node offers, and as many processes as the machine may have.
fn offered(capacity: &NodeCapacity, processes: Option<u64>) -> Limits {
    let cpu = capacity.cpu_millis.saturating_sub(capacity.reserved_cpu_millis);
    let memory = capacity.memory_bytes.saturating_sub(capacity.reserved_memory_bytes);
    Limits {
        cpu_shares: Some(limits::shares(cpu)),
        // Of a machine that does not tell its memory nothing is known to be too much.
        memory_bytes: (memory > 0).then_some(memory),
        processes,
        ..Limits::default()
    }
}

/// The kernel has a limit for numbers of processes and one for their threads; the lower counts.
fn most_processes() -> Option<u64> {
    let read = |name: &str| -> Option<u64> {
        fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?.trim().parse().ok()
    };
    ["pid_max", "threads-max"].into_iter().filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CAPACITY: NodeCapacity = NodeCapacity {
        cpu_millis: 2500,
        memory_bytes: 4 << 30,
        pods: 110,
        reserved_cpu_millis: 500,
        reserved_memory_bytes: 1 << 30,
    };

    fn pod(uid: &str, class: &str, cpu: &str, phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web", "uid": uid},
            "spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": cpu}}}]},
            "status": {"qosClass": class, "phase": phase},
        }))
        .expect("a Pod")
    }

    /// Of the files of both versions: `(cpu.shares, cpu.weight)`.
    fn check(hierarchy: &Hierarchy, top: &str) {
        let base = format!("{top}/kubepods");
        let classes = Classes::new(hierarchy.clone(), &format!("{base}/"));
        classes.make(&CAPACITY).expect("made");
        let is_v2 = hierarchy.is_unified();
        let read = |group: &str, controller: &str, (v1, v2): (&str, &str)| {
            let folder = hierarchy.folder(controller, &format!("{base}{group}")).expect("a folder");
            let text = fs::read_to_string(folder.join(if is_v2 { v2 } else { v1 }));
            text.expect("it is there").trim().to_owned()
        };
        let weighs = |group: &str, (v1, v2): (&str, &str), when: &str| {
            let expected = if is_v2 { v2 } else { v1 };
            assert_eq!(read(group, "cpu", ("cpu.shares", "cpu.weight")), expected, "{group} {when}");
        };
        weighs("", ("2048", "79"), "made");
        weighs("/besteffort", ("2", "1"), "made");
        let memory = read("", "memory", ("memory.limit_in_bytes", "memory.max"));
        assert_eq!(memory, (3_u64 << 30).to_string());
        let after = |pod: &Pod, expected: (&str, &str), when: &str| {
            classes.takes(pod);
            weighs("/burstable", expected, when);
        };
        after(&pod("none", "BestEffort", "0", "Running"), ("2", "1"), "one without requests");
        after(&pod("a", "Burstable", "100m", "Pending"), ("102", "4"), "the first");
        after(&pod("a", "Burstable", "100m", "Running"), ("102", "4"), "told again");
        after(&pod("b", "Burstable", "2", "Running"), ("2150", "82"), "two");
        after(&pod("g", "Guaranteed", "1", "Running"), ("2150", "82"), "another class");
        after(&pod("b", "Burstable", "2", "Succeeded"), ("102", "4"), "the second is over");
        classes.gone("g");
        weighs("/burstable", ("102", "4"), "another class went");
        classes.gone("a");
        weighs("/burstable", ("2", "1"), "the last went");
    }

    #[test]
    fn classes_weigh_what_their_pods_ask_for_in_both_versions() {
        let root = tempfile::tempdir().expect("a folder");
        // A group of version 2 says what it may hand down.
        for group in ["", "t", "t/kubepods"] {
            let folder = root.path().join("v2").join(group);
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("cgroup.controllers"), "cpu io memory pids\n").expect("written");
        }
        check(&Hierarchy::V2(root.path().join("v2")), "/t");
        let handed_down = fs::read_to_string(root.path().join("v2/t/kubepods/cgroup.subtree_control"));
        assert!(handed_down.expect("it is written").starts_with('+'));
        let v1 = ["cpu", "memory", "pids"].map(|name| (name.to_owned(), root.path().join(name)));
        check(&Hierarchy::V1(v1.into()), "/t");
    }

    /// A real group, which goes with this.
    struct Top {
        hierarchy: Hierarchy,
        group: String,
    }

    impl Drop for Top {
        fn drop(&mut self) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let removed = runtime.expect("a runtime").block_on(self.hierarchy.remove(&self.group));
            assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
        }
    }

    #[test]
    fn the_kernel_takes_the_weights() {
        let hierarchy = Hierarchy::detect().expect("control groups are mounted");
        let top = Top { hierarchy, group: format!("/tiphys-classes-{}", std::process::id()) };
        check(&top.hierarchy, &top.group);
    }

    #[test]
    fn pods_have_what_the_node_offers() {
        let all = offered(&CAPACITY, Some(32_768));
        let memory_bytes = Some(3 << 30);
        let expected =
            Limits { cpu_shares: Some(2048), memory_bytes, processes: Some(32_768), ..Limits::default() };
        assert_eq!(all, expected);
        let unknown = NodeCapacity { memory_bytes: 0, reserved_memory_bytes: 0, ..CAPACITY };
        assert_eq!(offered(&unknown, None), Limits { cpu_shares: Some(2048), ..Limits::default() });
        assert!(most_processes().is_some_and(|most| most > 300), "{:?}", most_processes());
    }
}
