//! Memory and CPU of all of Tiphys' processes while nothing happens.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use tiphys_tests::Cluster;

use crate::{Row, memory};

const WATCHED: Duration = Duration::from_secs(20);

struct Used {
    /// Proportional share where the kernel tells it: pages that processes share count once.
    memory: u64,
    ticks: u64,
}

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    // The first seconds belong to what `up` still has to do.
    std::thread::sleep(Duration::from_secs(20));
    let pids = processes(cluster)?;
    let before: Vec<_> = pids.iter().map(|pid| used(*pid)).collect();
    std::thread::sleep(WATCHED);
    let server = cluster.state()?["server"]["pid"].as_u64().context("the server is recorded")?;
    let (mut memory, mut ticks, mut of_server) = (0, 0, 0);
    for (pid, before) in pids.iter().zip(before) {
        // Who has ended in between is not idle, and not there.
        if let (Some(before), Some(after)) = (before, used(*pid)) {
            let spent = after.ticks.saturating_sub(before.ticks);
            memory += after.memory;
            ticks += spent;
            of_server += if u64::from(*pid) == server { spent } else { 0 };
        }
    }
    let share =
        |ticks: u64| format!("{:.1} % of a core", ticks as f64 / 100.0 / WATCHED.as_secs_f64() * 100.0);
    let resident = memory::resident(u32::try_from(server)?)?;
    Ok(vec![
        Row::new("the server's resident memory, idle", format!("{} MB", resident >> 20), "60 MB"),
        Row::new("its CPU", share(of_server), "0.5 %"),
        Row::new(
            format!("idle memory of {} processes", pids.len()),
            format!("{} MB", memory >> 20),
            "200 MB",
        ),
        Row::new("idle CPU of the same", share(ticks), "2 %"),
    ])
}

/// Supervisor, server, agents, holders by the recorded state; collectors by their command line.
fn processes(cluster: &Cluster) -> Result<Vec<u32>> {
    let state = cluster.state()?.to_string();
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let group = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let of_cluster = group.contains(&format!("/tiphys-{}/", cluster.name()));
        let collects = of_cluster && command.starts_with("/tiphys collector");
        if state.contains(&format!("\"pid\":{pid},")) || collects {
            pids.push(pid);
        }
    }
    Ok(pids)
}

fn used(pid: u32) -> Option<Used> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let memory = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let memory: u64 = memory.trim().trim_end_matches(" kB").parse().ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Used { memory: memory * 1024, ticks })
}
