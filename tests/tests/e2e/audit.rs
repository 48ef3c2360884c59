//! The server's audit log is collected as the logs of the nodes' own parts are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

/// On a cluster of its own: the others' servers write no audit log.
pub fn found(_: &Shared) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("audit.log");
    let option = format!("--server-arg=--audit-log-path={}", log.display());
    let cluster = Cluster::up("audit", 1, &[&option])?;
    cluster.kubectl(&["create", "configmap", "sandpiper", "--from-literal=word=dunlin"])?;
    // What was asked and how it ended; each request has one record of its end.
    let query = "container:audit objectRef.name:sandpiper verb:create stage:ResponseComplete";
    let (record, _) = eventually(Duration::from_secs(120), || {
        let records = cluster.logs(&[query, "--since", "15m"])?;
        ensure!(records.len() == 1, "one record of the request is expected: {records:?}");
        Ok(records[0].clone())
    })?;
    let (namespace, pod, node) = (&record["namespace"], &record["pod"], &record["node"]);
    ensure!(namespace == "kube-system" && pod == "audit-server" && node == "_server", "found as {record}");
    let told: Value = serde_json::from_str(record["body"].as_str().context("a body")?)?;
    ensure!(
        told["objectRef"]["resource"] == "configmaps"
            && told["responseStatus"]["code"] == 201
            && told["user"]["username"].as_str().is_some_and(|user| !user.is_empty()),
        "the record says {told}"
    );
    // Its time is that of the request, not of the reading.
    let (time, at) = (record["time"].as_str(), told["stageTimestamp"].as_str());
    let seconds = |time: Option<&str>| time.and_then(|time| Some(time.get(..19)?.to_owned()));
    ensure!(seconds(time).is_some() && seconds(time) == seconds(at), "{time:?} for {at:?}");
    // The level Metadata has no bodies.
    let bodies = cluster.logs(&["container:audit dunlin", "--since", "15m"])?;
    ensure!(bodies.is_empty(), "what was sent is in the audit log: {bodies:?}");
    Ok(())
}
