//! A hundred thousand Pods: what they cost in memory, and how long a server takes
//! that comes back to them after kill -9.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tiphys_tests::{Cluster, eventually};

use crate::{
    Row, beside,
    list::{self, PODS},
    memory::resident,
    seconds,
};

const MANY: usize = 100_000;
const LIMIT: Duration = Duration::from_secs(120);

/// On a cluster that has [`PODS`] of them from what was measured before, or none yet.
pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let client = beside::client(&cluster.kubeconfig()).await?;
        list::create(&client, 0..PODS).await?;
        list::create(&client, PODS..MANY).await
    })?;
    let pid = pid(cluster)?;
    let held = resident(pid)?;
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL).context("the server can't be killed")?;
    let killed = Instant::now();
    eventually(LIMIT, || cluster.kubectl(&["get", "--raw", "/readyz"]))?;
    let took = killed.elapsed();
    let chosen = "/api/v1/namespaces/many/pods?limit=1";
    let page: serde_json::Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", chosen])?)?;
    let left = page["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
    ensure!(left as usize == MANY - 1, "{left} Pods came back beside the first one");
    let again = resident(self::pid(cluster)?)?;
    Ok(vec![
        Row::new(
            "the server's resident memory with 100,000 Pods; after its restart",
            format!("{} MB; {} MB", held >> 20, again >> 20),
            "600 MB",
        ),
        Row::new("kill -9 of it to /readyz, 100,000 Pods", seconds(took), "-"),
    ])
}

fn pid(cluster: &Cluster) -> Result<u32> {
    let pid = cluster.state()?["server"]["pid"].as_u64().context("the server is recorded")?;
    Ok(u32::try_from(pid)?)
}
