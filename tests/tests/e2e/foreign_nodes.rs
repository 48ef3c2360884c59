//! The collector as it comes to a cluster of another vendor: an image in a file, a manifest for
//! kubectl, and `tiphys logs` over nothing but the API server. The suite's own cluster stands for
//! the other: what is made has names and a folder of its own, beside the collectors that are there.

use std::{process::Command, time::Duration};

use anyhow::{Result, ensure};
use tiphys_tests::{Cluster, eventually, run};

use crate::Shared;

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
const IMAGE: &str = "registry.example.org/gatherer:1";
const NAMESPACE: &str = "elsewhere";
const NAME: &str = "gatherer";
const THROUGH: &str = "--collectors=elsewhere/gatherer";

const BIRDS: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: birds, namespace: elsewhere}
spec:
  selector: {matchLabels: {app: birds}}
  template:
    metadata: {labels: {app: birds}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations: [{operator: Exists}]
      containers:
      - name: main
        image: test.local/busybox:1
        command: [sh, -c, 'echo a heron lands; sleep 3600']
"#;

/// From the file with the image to a line that is found.
pub fn collect(shared: &Shared) -> Result<()> {
    let cluster = shared.cluster()?;
    bring_image(&cluster)?;
    let arguments = ["--image", IMAGE, "--namespace", NAMESPACE, "--name", NAME];
    let mut printed = vec!["collector", "manifest", "--state-dir", "/var/log/tiphys-elsewhere"];
    printed.extend(arguments);
    let manifest = cluster.tiphys(&printed)?.ok()?;
    cluster.apply(&manifest)?;
    cluster.apply(BIRDS)?;
    for daemons in [NAME, "birds"] {
        let daemons = format!("daemonset/{daemons}");
        cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, &daemons, "--timeout=120s"])?;
    }
    eventually(Duration::from_secs(120), || found(&cluster))?;
    refused(&cluster)?;
    // The namespace goes first, and may have taken the rest along.
    let delete = ["delete", "-f", "-", "--ignore-not-found", "--timeout=120s"];
    let mut delete = cluster.kubectl_command(&delete);
    run(&mut delete, &manifest)?.ok().map(drop)
}

/// By containerd's own tool, which has no part of Tiphys.
fn bring_image(cluster: &Cluster) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gatherer.tar").to_string_lossy().into_owned();
    cluster.tiphys(&["image", "export", "--name", IMAGE, &file])?.ok()?;
    for node in NODES {
        let socket = cluster.root().join("nodes").join(node).join("run/containerd/containerd.sock");
        let mut import = Command::new("ctr");
        import.arg("--address").arg(socket);
        import.args(["--namespace", "k8s.io", "images", "import", "--no-unpack", &file]);
        run(&mut import, "")?.ok()?;
    }
    Ok(())
}

/// One line a node, with the labels that only the API server knows, and every node answers.
fn found(cluster: &Cluster) -> Result<()> {
    let question = ["logs", "-o", "json", THROUGH, "-l", "app=birds", "\"heron lands\""];
    let output = cluster.tiphys(&question)?;
    let said = output.stderr.clone();
    ensure!(!said.contains("missing from this answer"), "{said}");
    let records: Vec<serde_json::Value> = serde_json::from_str(&output.ok()?)?;
    let mut nodes: Vec<_> = records.iter().filter_map(|record| record["node"].as_str()).collect();
    nodes.sort_unstable();
    ensure!(nodes == NODES, "{records:?}");
    Ok(())
}

/// Where there are no collectors that is said, and the server's are not asked in their place.
fn refused(cluster: &Cluster) -> Result<()> {
    let output = cluster.tiphys(&["logs", "--collectors=default", "heron"])?;
    ensure!(
        output.code == 1 && output.stderr.contains("tiphys logs --collectors=NAMESPACE/NAME"),
        "{}",
        output.stderr
    );
    Ok(())
}
