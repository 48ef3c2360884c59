//! From a Pod's creation to Running, beside the same three CRI calls made by hand.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_cri::v1;
use tiphys_runtime::cri::Cri;
use tiphys_tests::Cluster;

use crate::{IMAGE, Row, spread::quantile};

const ROUNDS: usize = 7;

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let mut whole = Vec::new();
    let mut by_hand = Vec::new();
    for round in 0..ROUNDS {
        whole.push(pod(cluster, round)?);
        by_hand.push(runtime.block_on(three_calls(cluster, round))?);
    }
    let (whole, by_hand) = (quantile(&whole, 0.5), quantile(&by_hand, 0.5));
    let ratio = whole.as_secs_f64() / by_hand.as_secs_f64();
    Ok(vec![
        Row::new("three CRI calls by hand, image present", format!("{} ms", by_hand.as_millis()), "-"),
        Row::new(
            "Pod create to Running, image present",
            format!("{} ms, {ratio:.2}x", whole.as_millis()),
            "1.3x",
        ),
    ])
}

/// By the Pod's own times would be whole seconds; so by a watch.
fn pod(cluster: &Cluster, round: usize) -> Result<Duration> {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };
    let name = format!("bench-{round}");
    let selector = format!("--field-selector=metadata.name={name}");
    let mut watch = cluster
        .kubectl_command(&["get", "pods", &selector, "-w", "--no-headers"])
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(watch.stdout.take().context("piped")?);
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  containers:\n  \
         - {{name: main, image: '{IMAGE}', command: [/tiphys, demo]}}\n"
    );
    cluster.apply(&manifest)?;
    let mut created = None;
    for line in lines.lines() {
        let line = line?;
        let now = Instant::now();
        let created = *created.get_or_insert(now);
        if line.contains("Running") {
            watch.kill()?;
            watch.wait()?;
            cluster.kubectl(&["delete", "pod", &name, "--timeout=60s"])?;
            return Ok(now - created);
        }
    }
    anyhow::bail!("the watch of {name} ended")
}

async fn three_calls(cluster: &Cluster, round: usize) -> Result<Duration> {
    let socket = cluster.root().join("nodes/node-1/run/containerd/containerd.sock");
    let cri = Cri::new(&socket);
    let name = format!("by-hand-{round}");
    let sandbox = v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: name.clone(),
            uid: name.clone(),
            namespace: "bench".into(),
            attempt: 0,
        }),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: format!("/tiphys-{}/node-1/{name}", cluster.name()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let container = v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: "main".into(), attempt: 0 }),
        image: Some(v1::ImageSpec { image: IMAGE.into(), ..Default::default() }),
        command: vec!["/tiphys".into(), "demo".into()],
        ..Default::default()
    };
    let started = Instant::now();
    let id = cri.run_sandbox(sandbox.clone()).await?;
    let created = cri.create_container(&id, container, sandbox).await?;
    cri.start_container(&created).await?;
    let took = started.elapsed();
    cri.stop_sandbox(&id).await?;
    cri.remove_sandbox(&id).await?;
    Ok(took)
}
