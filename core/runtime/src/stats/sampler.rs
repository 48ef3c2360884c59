//! All groups of a node, read at once.

use std::{collections::HashMap, path::PathBuf};

use super::{
    Device, Disk, DiskFigures, Figures, MachineFigures, PodFigures, Snapshot,
    disk::Processes,
    disks::{Shares, disk_of, name_of},
    group::Group,
    machine::{Machine, filesystem},
    network::Interfaces,
};
use crate::{Result, cgroup::Hierarchy};

/// A Pod to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodTarget {
    pub id: String,
    pub group: String,
    /// A process in the Pod's network namespace; `None` where it has the node's.
    pub network_pid: Option<i32>,
    pub containers: Vec<ContainerTarget>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerTarget {
    pub id: String,
    pub group: String,
}

/// Keeps the files open between readings. Blocking, for a few milliseconds.
pub struct Sampler {
    hierarchy: Hierarchy,
    machine: Machine,
    uplink: Option<Interfaces>,
    filesystem: PathBuf,
    pods: HashMap<String, PodReader>,
    /// What Pods that are gone have done: the node's figures must not fall.
    gone: Disk,
    last_disk: Disk,
    shares: Shares,
    buffer: Vec<u8>,
}

struct PodReader {
    target: PodTarget,
    group: Option<Group>,
    network: Option<Interfaces>,
    containers: HashMap<String, ContainerReader>,
    /// What runs in the Pod's group beside its containers: the process that holds its namespaces.
    /// Looked for again when containers have come or gone.
    beside: Option<Vec<Processes>>,
    /// What containers that are gone have done.
    gone: Disk,
    last: Disk,
    shares: Shares,
}

struct ContainerReader {
    group: Group,
    last: Disk,
    shares: Shares,
}

impl Sampler {
    /// `node_group` is the node's share of the machine, `/` for all of it;
    /// `filesystem` any path on the file system that Pods write to.
    pub fn new(node_group: &str, filesystem: impl Into<PathBuf>) -> Result<Self> {
        let hierarchy = Hierarchy::detect()?;
        Ok(Self {
            machine: Machine::open(&hierarchy, node_group),
            uplink: i32::try_from(std::process::id()).ok().and_then(Interfaces::of_process),
            filesystem: filesystem.into(),
            hierarchy,
            pods: HashMap::new(),
            gone: Disk::default(),
            last_disk: Disk::default(),
            shares: Shares::default(),
            buffer: Vec::new(),
        })
    }

    /// What is to be read from now on. Opens what is new and closes what is gone.
    pub fn set_targets(&mut self, targets: &[PodTarget]) {
        let gone = self.pods.extract_if(|id, _| !targets.iter().any(|target| target.id == *id));
        self.gone = gone.fold(self.gone, |sum, (_, pod)| sum.plus(pod.disk()));
        for target in targets {
            match self.pods.get_mut(&target.id) {
                Some(pod) if pod.target == *target => {}
                Some(pod) => pod.change(target),
                None => {
                    self.pods.insert(target.id.clone(), PodReader::new(target));
                }
            }
        }
    }

    /// Reads everything once.
    pub fn read(&mut self) -> Snapshot {
        let buffer = &mut self.buffer;
        let hierarchy = &self.hierarchy;
        let pods: Vec<_> = self.pods.values_mut().map(|pod| pod.read(hierarchy, buffer)).collect();
        let mut node = self.machine.read(buffer);
        node.processes = pods.iter().map(|pod| pod.figures.processes).sum();
        // A machine knows of all that is open, a share of one of what Pods have.
        if node.open_files == 0 {
            node.open_files = pods.iter().map(|pod| pod.figures.open_files).sum();
        }
        let by_pods = pods.iter().fold(self.gone, |sum, pod| sum.plus(pod.figures.disk));
        node.disk = node.disk.max(by_pods).max(self.last_disk);
        self.last_disk = node.disk;
        Snapshot {
            node,
            network: self.uplink.as_ref().map(|uplink| uplink.read_uplink(buffer)).unwrap_or_default(),
            filesystem: filesystem(&self.filesystem),
            pods,
        }
    }

    /// What was done on each disk until the last reading. Needed less often.
    pub fn disks(&mut self) -> DiskFigures {
        let home = disk_of(&self.filesystem);
        let mut names = HashMap::new();
        let mut named = |shares: &Shares| -> Vec<(String, Disk)> {
            let mut name = |number| names.entry(number).or_insert_with(|| name_of(number)).clone();
            shares.each().map(|(number, disk)| (name(number), disk)).collect()
        };
        let mut found = DiskFigures::default();
        for (id, pod) in &mut self.pods {
            pod.shares.update(pod.group.as_ref().map(Group::disks), pod.last, home);
            found.of.insert(id.clone(), named(&pod.shares));
            for (id, container) in &mut pod.containers {
                container.shares.update(Some(container.group.disks()), container.last, home);
                found.of.insert(id.clone(), named(&container.shares));
            }
        }
        self.shares.update(Some(self.machine.disks()), self.last_disk, home);
        found.node = named(&self.shares);
        found
    }

    /// What each disk of the machine counts.
    pub fn devices(&mut self) -> Vec<Device> {
        self.machine.devices(&mut self.buffer)
    }

    /// What a machine has beside what it uses. Needed less often.
    pub fn machine(&mut self) -> MachineFigures {
        self.machine.details(self.uplink.as_ref(), &mut self.buffer)
    }
}

impl PodReader {
    fn new(target: &PodTarget) -> Self {
        let network = target.network_pid.and_then(Interfaces::of_process);
        Self {
            target: target.clone(),
            group: None,
            network,
            containers: HashMap::new(),
            beside: None,
            gone: Disk::default(),
            last: Disk::default(),
            shares: Shares::default(),
        }
    }

    fn change(&mut self, target: &PodTarget) {
        if target.network_pid != self.target.network_pid {
            self.network = target.network_pid.and_then(Interfaces::of_process);
        }
        let stays = |id: &String| target.containers.iter().any(|container| container.id == *id);
        let gone = self.containers.extract_if(|id, _| !stays(id));
        self.gone = gone.fold(self.gone, |sum, (_, container)| sum.plus(container.last));
        self.target = target.clone();
        self.beside = None;
    }

    fn disk(&self) -> Disk {
        self.containers.values().fold(self.gone, |sum, container| sum.plus(container.last))
    }

    fn read(&mut self, hierarchy: &Hierarchy, buffer: &mut Vec<u8>) -> PodFigures {
        let mut containers = Vec::with_capacity(self.target.containers.len());
        for target in &self.target.containers {
            if !self.containers.contains_key(&target.id)
                && let Some(group) = Group::open(hierarchy, &target.group, true)
            {
                let (last, shares) = (Disk::default(), Shares::default());
                self.containers.insert(target.id.clone(), ContainerReader { group, last, shares });
            }
            let Some(reader) = self.containers.get_mut(&target.id) else { continue };
            let Some(mut figures) = reader.group.read(buffer) else { continue };
            figures.disk = figures.disk.max(reader.last);
            reader.last = figures.disk;
            containers.push((target.id.clone(), figures));
        }
        if self.group.is_none() {
            self.group = Group::open(hierarchy, &self.target.group, false);
        }
        if self.beside.is_none() && self.group.is_some() {
            self.beside = Some(beside(hierarchy, &self.target));
        }
        let mut figures: Figures =
            self.group.as_mut().and_then(|group| group.read(buffer)).unwrap_or_default();
        figures.disk = figures.disk.max(self.disk()).max(self.last);
        self.last = figures.disk;
        // The Pod's own group has none itself.
        figures.processes = containers.iter().map(|(_, container)| container.processes).sum();
        figures.open_files = containers.iter().map(|(_, container)| container.open_files).sum();
        for processes in self.beside.iter_mut().flatten() {
            let found = processes.read(buffer);
            figures.processes += found.processes;
            figures.open_files += found.open_files;
        }
        for (_, container) in &mut containers {
            container.memory_failures = memory_failures(container, &figures);
        }
        let network = self.network.as_ref().map(|network| network.read(buffer)).unwrap_or_default();
        PodFigures { id: self.target.id.clone(), figures, network, containers }
    }
}

/// The processes of those groups below the Pod's that are no container's.
fn beside(hierarchy: &Hierarchy, target: &PodTarget) -> Vec<Processes> {
    if target.group.trim_matches('/').is_empty() {
        // A Pod whose group is not known has nothing to do with those of the machine.
        return Vec::new();
    }
    let names = hierarchy.children(&target.group).into_iter();
    let groups = names.map(|name| format!("{}/{name}", target.group));
    let others = groups.filter(|group| target.containers.iter().all(|container| container.group != *group));
    let folders = others.filter_map(|group| hierarchy.folder("cpuacct", &group));
    folders.map(|folder| Processes::open(&folder, false)).collect()
}

/// How often a container ran into a limit. Its Pod's is often met first: it is the sum of the containers',
/// and what holds the namespaces is charged to it, too. The kernel counts that for the Pod alone, but for
/// the container that it killed a process of it.
fn memory_failures(container: &Figures, pod: &Figures) -> u64 {
    container.memory_failures.max(container.oom_kills.min(pod.memory_failures))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Limits;

    /// A group that goes with this, and with it what runs in it.
    struct Made {
        hierarchy: Hierarchy,
        group: String,
    }

    impl Made {
        fn new(name: &str) -> Self {
            let hierarchy = Hierarchy::detect().expect("control groups are mounted");
            Self { hierarchy, group: format!("/tiphys-{name}-{}", std::process::id()) }
        }
    }

    impl Drop for Made {
        fn drop(&mut self) {
            let remove = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(self.hierarchy.remove(&self.group))
            };
            // A thread of its own: one that is a runtime's must not wait.
            let removed = std::thread::scope(|scope| scope.spawn(remove).join());
            assert!(std::thread::panicking() || matches!(removed, Ok(Ok(()))), "{removed:?}");
        }
    }

    #[test]
    fn a_kill_by_the_pods_limit_is_a_failure_of_the_container() {
        let figures =
            |memory_failures, oom_kills| Figures { memory_failures, oom_kills, ..Figures::default() };
        for (container, pod, expected) in [
            // memory.events of version 2: the Pod's limit was met, the container's never.
            (figures(0, 14), figures(15_095, 14), 14),
            (figures(700, 2), figures(700, 2), 700),
            // Killed because the machine's memory was used up.
            (figures(0, 3), figures(0, 3), 0),
            (figures(0, 0), figures(9, 0), 0),
        ] {
            assert_eq!(memory_failures(&container, &pod), expected, "{container:?} {pod:?}");
        }
    }

    #[tokio::test]
    async fn what_holds_a_pods_namespaces_counts_as_process_and_thread() {
        let made = Made::new("beside");
        let (hierarchy, group) = (&made.hierarchy, &made.group);
        let mut children = Vec::new();
        for name in ["pause", "box", "late"] {
            let mut command = tokio::process::Command::new("sleep");
            let child = command.arg("600").kill_on_drop(true).spawn().expect("sleep runs");
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
            hierarchy.enter(&format!("{group}/{name}"), pid).expect("entered");
            children.push(child);
        }
        let mut sampler = Sampler::new("/", "/").expect("a sampler");
        let mut look = |names: &[&str]| {
            let container =
                |name: &&str| ContainerTarget { id: (*name).to_owned(), group: format!("{group}/{name}") };
            let containers = names.iter().map(container).collect();
            let target = PodTarget { id: "p".into(), group: group.clone(), network_pid: None, containers };
            sampler.set_targets(&[target]);
            let pods = sampler.read().pods;
            let [pod] = pods.as_slice() else { panic!("{pods:?}") };
            (pod.figures.processes, pod.figures.threads, pod.containers.len())
        };
        // A container that has just been started is beside those that are known, and counts once.
        let found = [look(&["box"]), look(&["box", "late"]), look(&["late"])];
        for child in &mut children {
            child.start_kill().expect("it runs");
            child.wait().await.expect("it ends");
        }
        assert_eq!(found, [(3, 3, 1), (3, 3, 2), (3, 3, 1)]);
    }

    #[tokio::test]
    async fn a_real_group_shows_its_work() {
        let made = Made::new("sample");
        let (hierarchy, group) = (&made.hierarchy, &made.group);
        let inner = format!("{group}/box");
        hierarchy.create(&inner, &Limits::default()).expect("made");
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let script = format!(
            "read go; dd if=/dev/zero of={}/x bs=65536 count=64 2>&1; echo done; read stop",
            folder.path().display()
        );
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("sh runs");
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).expect("it runs");
        hierarchy.enter(&inner, pid).expect("entered");
        let mut sampler = Sampler::new(group, "/").expect("a sampler");
        let containers = vec![ContainerTarget { id: "c".into(), group: inner.clone() }];
        sampler.set_targets(&[PodTarget {
            id: "p".into(),
            group: group.clone(),
            network_pid: Some(pid),
            containers,
        }]);
        sampler.read();
        use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"go\n").await.expect("it reads");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        while lines.next_line().await.expect("dd tells what it did").expect("it goes on") != "done" {}
        let snapshot = sampler.read();
        let disks = sampler.disks();
        drop(stdin);
        child.wait().await.expect("it ends");
        let pod = &snapshot.pods[0];
        let (_, container) = &pod.containers[0];
        assert!(container.cpu_usage_nanos > 0 && container.memory_usage_bytes > 0, "{container:?}");
        assert_eq!(container.processes, 1, "{container:?}");
        assert!(container.disk.write_bytes >= 64 * 65536, "{container:?}");
        assert!(pod.figures.disk.write_bytes >= 64 * 65536, "{pod:?}");
        assert!(snapshot.node.disk.write_bytes >= 64 * 65536);
        assert!(snapshot.filesystem.capacity_bytes > 0);
        let sum =
            |each: &[(String, Disk)]| each.iter().fold(Disk::default(), |sum, (_, disk)| sum.plus(*disk));
        assert_eq!(sum(&disks.of["c"]), container.disk, "{disks:?}");
        assert_eq!(sum(&disks.of["p"]), pod.figures.disk, "{disks:?}");
        assert_eq!(sum(&disks.node), snapshot.node.disk, "{disks:?}");
        let most =
            disks.of["c"].iter().max_by_key(|(_, disk)| disk.write_bytes).map(|(name, _)| name.as_str());
        let home = disk_of(folder.path()).map(name_of).unwrap_or_default();
        assert_eq!(most, Some(home.as_str()), "{disks:?}");
    }
}
