//! From a Pod's creation to Running, beside the same three CRI calls made by hand.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::TryStreamExt;
use k8s_cri::v1;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::json;
use tiphys_runtime::cri::Cri;
use tiphys_tests::Cluster;

use crate::{IMAGE, Row, beside::client, spread::quantile};

const ROUNDS: usize = 7;

pub fn measure(cluster: &Cluster) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let client = runtime.block_on(client(&cluster.kubeconfig()))?;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let mut whole = Vec::new();
    let mut by_hand = Vec::new();
    for round in 0..ROUNDS {
        whole.push(runtime.block_on(pod(&pods, round))?);
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

/// From the create to Running as a watch that was there before tells it; the Pod's
/// own times are whole seconds.
async fn pod(pods: &Api<Pod>, round: usize) -> Result<Duration> {
    let name = format!("bench-{round}");
    let manifest: Pod = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": IMAGE, "command": ["/tiphys", "demo"]}],
        },
    }))?;
    let newest = pods.list(&ListParams::default()).await?.metadata.resource_version.context("a version")?;
    let only = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut watch = Box::pin(pods.watch(&only, &newest).await?);
    let started = Instant::now();
    pods.create(&PostParams::default(), &manifest).await?;
    while let Some(event) = watch.try_next().await? {
        if let WatchEvent::Modified(pod) = event
            && pod.status.is_some_and(|status| status.phase.as_deref() == Some("Running"))
        {
            let took = started.elapsed();
            pods.delete(&name, &DeleteParams::default()).await?;
            return Ok(took);
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
