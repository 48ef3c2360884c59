//! The CNI configuration with the real plug-ins: a Pod gets an address, is reached,
//! and reaches itself through the bridge.

use std::{path::Path, process::Stdio};

use ipnet::Ipv4Net;
use serde_json::Value;
use tiphys_network::{
    cni::{self, Cni},
    topology::Holder,
};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::lab::{Cluster, hold, inside, reaches};

/// Where distributions put the plug-ins.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

pub fn cases() -> Vec<(&'static str, fn())> {
    vec![("the_cni_configuration_works_with_the_real_plug_ins", || crate::run(plug_ins()))]
}

async fn plug_ins() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::with_nodes("cni", data.path()).await;
    let one = cluster.state.nodes[&0].clone();
    let pod_cidr = Ipv4Net::new(cluster.state.cluster.pod_range().addr(), 24).unwrap();
    // The node's own folder, which it sees as /etc/cni/net.d.
    let folder = data.path().join("one/net.d");
    assert_eq!(cni::write_cni(&folder, pod_cidr, 1400).unwrap(), Cni::Written);
    let seen = inside(&one, &format!("cat {}/10-tiphys.conflist", cni::CNI_FOLDER)).await;
    let list: Value = serde_json::from_str(&seen).unwrap();

    let pod = hold("pod", data.path()).await;
    cluster.state.nodes.insert(100, pod.clone());
    let result = plug_in(&one, &pod, &list).await;
    let address: Ipv4Net = result["ips"][0]["address"].as_str().unwrap().parse().unwrap();
    assert!(pod_cidr.contains(&address));
    reaches(Some(&one), Some(&pod), address.addr());
    assert!(inside(&one, "bridge -d link show").await.contains("hairpin on"));
}

/// Runs the first plug-in of `list` in the node, for `pod`.
async fn plug_in(node: &Holder, pod: &Holder, list: &Value) -> Value {
    let folder = PLUGINS.into_iter().find(|folder| Path::new(folder).join("bridge").exists());
    let folder =
        folder.expect("the CNI plug-ins are installed (Debian: apt-get install containernetworking-plugins)");
    let mut config = list["plugins"][0].clone();
    config["name"] = list["name"].clone();
    config["cniVersion"] = list["cniVersion"].clone();
    let mut command = Command::new(format!("{folder}/bridge"));
    command
        .env("CNI_COMMAND", "ADD")
        .env("CNI_CONTAINERID", "test")
        .env("CNI_NETNS", format!("/proc/{}/ns/net", pod.pid))
        .env("CNI_IFNAME", "eth0")
        .env("CNI_PATH", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    node.namespaces().unwrap().enter_on_exec(command.as_std_mut());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(output.status.success(), "{answer}");
    answer
}
