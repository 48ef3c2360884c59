//! Rows of `container` and `pod` against the kernel's own files, read before and after the second
//! that a row is of: what counts lies between the two, and what is fixed is the same. And those of
//! `volume`, which come as its files change.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

const GROUPS: &str = "/sys/fs/cgroup";

/// It works, and its volume's one file is written anew all the time.
const MEASURED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: measured}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'while true; do dd if=/dev/zero of=/data/file bs=1M count=8 conv=fsync 2>/dev/null; sleep 1; done']
    resources: {limits: {memory: 64Mi}}
    volumeMounts: [{name: data, mountPath: /data}]
  volumes:
  - {name: data, emptyDir: {}}
";

pub fn compare(cluster: &Cluster) -> Result<()> {
    cluster.apply(MEASURED)?;
    cluster.kubectl(&["wait", "pod/measured", "--for=condition=Ready", "--timeout=120s"])?;
    counted(cluster)?;
    eventually(Duration::from_secs(120), || volume(cluster))?;
    cluster.kubectl(&["delete", "pod", "measured", "--timeout=120s"]).map(drop)
}

/// The container's groups: one, or with the first version one of each controller.
struct Groups(Vec<PathBuf>);

/// What counts, and never falls.
#[derive(Debug)]
struct Counts {
    cpu_nanos: u64,
    receive_bytes: u64,
    transmit_packets: u64,
}

fn counted(cluster: &Cluster) -> Result<()> {
    let told = cluster.get(&["pod", "measured"])?;
    let id = told["status"]["containerStatuses"][0]["containerID"].as_str().context("a container")?;
    let groups = Groups::of(id.rsplit('/').next().unwrap_or_default())?;
    // The process that is asked for its network may be one that ends just then.
    let (before, _) = eventually(Duration::from_secs(120), || groups.counts())?;
    let at = micros()?;
    let (container, _) = eventually(Duration::from_secs(120), || {
        first(cluster, "container", "cpu_usage_nanos_total, memory_limit_bytes, processes", at)
    })?;
    let (network, _) = eventually(Duration::from_secs(120), || {
        first(cluster, "pod", "network_receive_bytes_total, network_transmit_packets_total", at)
    })?;
    // It sleeps for most of a second.
    let (after, _) = eventually(Duration::from_secs(120), || {
        let after = groups.counts()?;
        ensure!(before.cpu_nanos < after.cpu_nanos, "it does nothing: {before:?} {after:?}");
        Ok(after)
    })?;
    between("CPU time", before.cpu_nanos, &container["cpu_usage_nanos_total"], after.cpu_nanos)?;
    for (what, column, before, after) in [
        ("bytes received", "network_receive_bytes_total", before.receive_bytes, after.receive_bytes),
        ("packets sent", "network_transmit_packets_total", before.transmit_packets, after.transmit_packets),
    ] {
        // A network that has counted nothing yet is absent.
        let found = &network[column];
        ensure!(!found.is_null() || before == 0, "{what}: {before} is told as nothing");
        if !found.is_null() {
            between(what, before, found, after)?;
        }
    }
    let limit = groups.number(&["memory.limit_in_bytes", "memory.max"])?;
    ensure!(limit == 64 << 20, "the kernel's limit is {limit}");
    ensure!(container["memory_limit_bytes"] == limit, "{limit} is told as {container}");
    ensure!(container["processes"].as_u64().is_some_and(|count| (1..=3).contains(&count)), "{container}");
    Ok(())
}

fn between(what: &str, before: u64, found: &Value, after: u64) -> Result<()> {
    let value = found.as_u64().with_context(|| format!("{what}: {found} is no number"))?;
    ensure!((before..=after).contains(&value), "{what}: {value} is not within {before} and {after}");
    Ok(())
}

/// The first row behind a time, microseconds since the Unix epoch.
fn first(cluster: &Cluster, table: &str, columns: &str, at: u128) -> Result<Value> {
    let rows = cluster.sql(&format!(
        "select {columns} from {table} where namespace = 'default' and pod = 'measured'
         and time > to_timestamp_micros({at}) order by time limit 1"
    ))?;
    rows.into_iter().next().with_context(|| format!("no row of {table} behind {at}"))
}

fn micros() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())
}

/// Several looks in twenty seconds see its files change.
fn volume(cluster: &Cluster) -> Result<()> {
    let rows = cluster.sql(
        "select count(*) as rows, max(used_bytes) as used, max(inodes_used) as inodes,
         min(capacity_bytes) as capacity, max(claim) as claim from volume
         where namespace = 'default' and pod = 'measured' and volume = 'data'
         and time > now() - interval '20 seconds'",
    )?;
    let of = |name: &str| rows[0][name].as_u64().unwrap_or(0);
    ensure!(of("rows") >= 3, "the volume is told too seldom: {rows:?}");
    ensure!(of("used") >= 8 << 20 && of("capacity") >= of("used"), "its size is wrong: {rows:?}");
    ensure!(of("inodes") == 2 && rows[0]["claim"] == "", "a folder, a file and no claim: {rows:?}");
    Ok(())
}

impl Groups {
    fn of(id: &str) -> Result<Self> {
        ensure!(!id.is_empty(), "a container without an id");
        let mut found = Vec::new();
        let mut waiting = vec![PathBuf::from(GROUPS)];
        while let Some(folder) = waiting.pop() {
            // Groups of others come and go meanwhile.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|it| it.is_dir())) {
                match entry.file_name().to_string_lossy().contains(id) {
                    true => found.push(entry.path()),
                    false => waiting.push(entry.path()),
                }
            }
        }
        ensure!(!found.is_empty(), "there is no group of container {id}");
        Ok(Self(found))
    }

    /// The first of these files that is there.
    fn text(&self, names: &[&str]) -> Result<String> {
        let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).ok();
        let mut all = self.0.iter().flat_map(|folder| names.iter().map(move |name| (folder, name)));
        all.find_map(|(folder, name)| read(folder, name)).with_context(|| format!("none of {names:?}"))
    }

    fn number(&self, names: &[&str]) -> Result<u64> {
        let text = self.text(names)?;
        text.trim().parse().with_context(|| format!("{names:?} says {text:?}"))
    }

    fn counts(&self) -> Result<Counts> {
        let cpu_nanos = match self.number(&["cpuacct.usage"]) {
            Ok(nanos) => nanos,
            Err(_) => {
                let text = self.text(&["cpu.stat"])?;
                let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                used.context("usage_usec")?.trim().parse::<u64>()? * 1000
            }
        };
        let pids = self.text(&["cgroup.procs"])?;
        let pid = pids.lines().next().context("a process")?;
        let devices = fs::read_to_string(format!("/proc/{pid}/net/dev"))?;
        let mut counts = Counts { cpu_nanos, receive_bytes: 0, transmit_packets: 0 };
        for line in devices.lines() {
            let Some((_, words)) = line.split_once(':').filter(|(name, _)| name.trim() != "lo") else {
                continue;
            };
            let words: Vec<u64> = words.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            counts.receive_bytes += words.first().context("bytes received")?;
            counts.transmit_packets += words.get(9).context("packets sent")?;
        }
        Ok(counts)
    }
}
