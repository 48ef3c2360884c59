//! Logs of every node are found, at once, and after their Pods are gone.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::eventually;

use crate::Shared;

const MANIFEST: &str = "
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: talker}
spec:
  selector: {matchLabels: {app: talker}}
  template:
    metadata: {labels: {app: talker}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'echo level=error msg=\"cormorant on $NODE\"; sleep 3600']
        env: [{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]
";

fn nodes_of(records: &[serde_json::Value]) -> BTreeSet<String> {
    records.iter().filter_map(|record| Some(record["node"].as_str()?.to_owned())).collect()
}

pub fn search(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    cluster.apply(MANIFEST)?;
    cluster.rolled_out("daemonset/talker")?;
    let found = || -> Result<Vec<serde_json::Value>> {
        let records = cluster.logs(&["cormorant AND pod:talker-*", "--since", "15m"])?;
        ensure!(nodes_of(&records).len() == 3, "found on {:?} only", nodes_of(&records));
        Ok(records)
    };
    let (records, _) = eventually(Duration::from_secs(30), found)?;
    for key in ["time", "namespace", "pod", "container", "node", "level", "body"] {
        ensure!(records[0].get(key).is_some(), "a record lacks {key}: {}", records[0]);
    }
    ensure!(records[0]["level"] == "error", "the level was not found: {}", records[0]);
    freshness(&cluster)?;
    cluster.kubectl(&["delete", "daemonset", "talker", "--timeout=60s"])?;
    cluster.gone(&["pods", "-l", "app=talker"], Duration::from_secs(60))?;
    found().map(drop)
}

/// A line is searchable within a second of being written.
fn freshness(cluster: &tiphys_tests::Cluster) -> Result<()> {
    let pods = cluster.get(&["pods", "-l", "app=talker"])?;
    let pod = pods["items"][0]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for round in 0..3 {
        let word = format!("gannet{round}");
        cluster.kubectl(&["exec", &pod, "--", "sh", "-c", &format!("echo {word} > /proc/1/fd/1")])?;
        let (_, took) = eventually(Duration::from_secs(5), || {
            let found = cluster.logs(&[&word, "--limit", "1"])?;
            ensure!(found.len() == 1, "{word} is not found");
            Ok(())
        })?;
        eprintln!("searchable after {} ms, the command's own start included", took.as_millis());
        ensure!(took < Duration::from_secs(2), "{word} took {took:?}");
    }
    Ok(())
}
