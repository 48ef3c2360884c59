//! A Pod of a file in a node's folder: it runs, its copy in the API comes back when it is
//! deleted, also by force, its lines are found, and it ends with its file.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiphys_tests::{Cluster, eventually};

use crate::Shared;

const LIMIT: Duration = Duration::from_secs(120);
const COPY: &str = "still-node-2";

const MANIFEST: &str = "
apiVersion: v1
kind: Pod
metadata: {name: still, labels: {app: still}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: test.local/busybox:1
    command: [sh, -c, 'echo dipper at the water; sleep 3600']
";

pub fn walk(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    let node = cluster.root().join("nodes/node-2");
    let (file, broken) = (node.join("manifests/still.yaml"), node.join("manifests/broken.yaml"));
    fs::write(&broken, "kind: [")?;
    fs::write(&file, MANIFEST)?;
    let outcome = lives(&cluster, &node);
    fs::remove_file(&broken)?;
    fs::remove_file(&file)?;
    let folder = outcome?;
    cluster.gone(&["pods", "-l", "app=still"], LIMIT)?;
    let ended = || {
        ensure!(!folder.exists(), "something runs still: {} is there", folder.display());
        Ok(())
    };
    eventually(LIMIT, ended).map(drop)
}

/// Gives the folder that the kubelet has for the Pod as long as it runs.
fn lives(cluster: &Cluster, node: &Path) -> Result<PathBuf> {
    let ready = |is_it: &dyn Fn(&Value) -> bool| -> Result<Value> {
        let looked = || {
            let pod = cluster.get(&["pod", COPY])?;
            ensure!(container(&pod)["ready"] == true && is_it(&pod), "it is {pod}");
            Ok(pod)
        };
        Ok(eventually(LIMIT, looked)?.0)
    };
    let first = ready(&|_| true)?;
    let annotations = &first["metadata"]["annotations"];
    let hash = annotations["kubernetes.io/config.hash"].as_str().context("the hash of its file")?;
    ensure!(annotations["kubernetes.io/config.mirror"] == hash, "a copy of {hash}: {annotations}");
    ensure!(annotations["kubernetes.io/config.source"] == "file", "it comes from a file: {annotations}");
    let all = cluster.get(&["pods", "-l", "app=still"])?["items"].as_array().map_or(0, Vec::len);
    ensure!(all == 1, "the other nodes have folders of their own, but {all} are there");
    let folder = node.join("kubelet/pods").join(hash);
    ensure!(folder.exists(), "{} is not there", folder.display());

    let id = |pod: &Value| container(pod)["containerID"].clone();
    let mut last = first.clone();
    // With its grace, and at once: by then the kubelet knows nothing of it.
    let ways: [&[&str]; 2] = [&[], &["--force", "--grace-period=0"]];
    for how in ways {
        cluster.kubectl(&[&["delete", "pod", COPY, "--timeout=120s"][..], how].concat())?;
        let again = ready(&|pod| pod["metadata"]["uid"] != last["metadata"]["uid"])?;
        ensure!(id(&again) == id(&first), "{how:?}: {} was started again as {}", id(&first), id(&again));
        last = again;
    }

    let said = cluster.kubectl(&["logs", COPY])?;
    ensure!(said == "dipper at the water\n", "kubectl logs: {said}");
    found(cluster)?;
    let told = || {
        let log = fs::read_to_string(node.join("log/tiphys/kubelet.log"))?;
        ensure!(log.contains("manifests/broken.yaml"), "the node's log doesn't name the broken file");
        Ok(())
    };
    eventually(LIMIT, told)?;
    Ok(folder)
}

/// By its name and by its labels, which only the copy in the API tells.
fn found(cluster: &Cluster) -> Result<()> {
    let looked = || {
        for whose in [["--pod", COPY], ["-l", "app=still"]] {
            let records = cluster.logs(&[&["dipper"][..], &whose].concat())?;
            ensure!(records.len() == 1, "one line is expected by {whose:?}: {records:?}");
            ensure!(records[0]["node"] == "node-2", "of another node: {records:?}");
        }
        Ok(())
    };
    eventually(LIMIT, looked).map(drop)
}

fn container(pod: &Value) -> &Value {
    &pod["status"]["containerStatuses"][0]
}
