//! A cluster's network on this machine: built, used, repeated, and gone again.

use std::{path::Path, process::Stdio, time::Duration};

use tiphys_network::{
    netlink::Netlink,
    nft,
    topology::{self, Holder, HolderSpec, NetState},
};
use tokio::process::Command;

pub fn cases() -> Vec<(&'static str, fn())> {
    vec![
        ("nodes_have_networks_and_folders_of_their_own", || super::run(nodes_are_separate())),
        ("teardown_leaves_the_machine_as_it_was", || super::run(teardown_leaves_nothing())),
        ("teardown_without_a_record_works_too", || super::run(teardown_without_record())),
    ]
}

/// What a cluster could leave behind on the host.
#[derive(Debug, PartialEq)]
struct Host {
    links: Vec<String>,
    routes: Vec<String>,
    tables: Vec<String>,
    forwarding: String,
    folders: Vec<bool>,
}

/// Other clusters may come and go on the same machine meanwhile: only what
/// belongs to `net` or to none counts.
async fn host(net: &topology::ClusterNet) -> Host {
    let netlink = Netlink::open().unwrap();
    let own = |text: &str| text.contains(&net.bridge()) || text.contains(&net.table());
    let mut links: Vec<_> = netlink.links().await.unwrap().into_iter().map(|link| link.name).collect();
    links.retain(|name| own(name));
    let ranges = [net.node_subnet(), net.pod_range()];
    let mut routes = netlink.routes().await.unwrap();
    routes.retain(|route| ranges.iter().any(|range| range.contains(&route.destination)));
    let mut tables = nft::tables().await.unwrap();
    tables.retain(|table| own(table));
    Host {
        links,
        routes: routes.iter().map(|route| format!("{route:?}")).collect(),
        tables,
        forwarding: std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
        folders: ["/etc/cni", "/var/lib/cni"].iter().map(|path| Path::new(path).exists()).collect(),
    }
}

fn cluster_name(case: &str) -> String {
    format!("test-{case}-{}", std::process::id())
}

async fn hold(node: &str, data: &Path) -> Holder {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(super::HOLD);
    let spec = HolderSpec { node: node.to_owned(), data: data.join(node) };
    Holder::spawn(command, &spec).await.unwrap()
}

/// Runs a shell line in the node and gives what it printed.
async fn inside(holder: &Holder, line: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stderr(Stdio::inherit());
    holder.namespaces().unwrap().enter_on_exec(command.as_std_mut());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "`{line}` failed");
    String::from_utf8(output.stdout).unwrap()
}

async fn two_nodes(name: &str, data: &Path) -> NetState {
    let mut state = topology::setup(name).await.unwrap();
    for (number, node) in ["one", "two"].into_iter().enumerate() {
        let holder = hold(node, data).await;
        topology::attach(&mut state, number as u8, &holder).await.unwrap();
    }
    state
}

async fn nodes_are_separate() {
    let (name, data) = (cluster_name("separate"), tempfile::tempdir().unwrap());
    let mut state = two_nodes(&name, data.path()).await;
    let (one, two) = (state.nodes[&0].clone(), state.nodes[&1].clone());
    let net = state.cluster.clone();

    inside(&one, "echo from-one > /run/who; echo {} > /etc/cni/net.d/x; touch /var/lib/kubelet/mine").await;
    assert!(inside(&two, "ls -A /run /etc/cni/net.d").await.lines().all(|line| line != "who" && line != "x"));
    assert!(!Path::new("/run/who").exists() && !Path::new("/var/lib/kubelet/mine").exists());
    let written = std::fs::read_to_string(data.path().join("one/run/who")).unwrap();
    assert_eq!(written.trim(), "from-one");
    assert_eq!(inside(&two, "hostname").await.trim(), "two");
    let cgroups = "ls /sys/fs/cgroup | wc -l";
    let on_host = std::fs::read_dir("/sys/fs/cgroup").unwrap().count();
    assert_eq!(inside(&one, cgroups).await.trim(), on_host.to_string(), "the cgroups stay visible");
    assert_eq!(inside(&one, "grep -c . /etc/resolv.conf").await.trim().parse::<u32>().is_ok(), true);

    // The nodes and the host reach each other.
    for target in [net.node_address(1).unwrap(), net.gateway()] {
        inside(&one, &format!("ping -c1 -W2 {target}")).await;
    }
    // Again, as a server that was restarted does: nothing changes.
    let again = topology::setup(&name).await.unwrap();
    assert_eq!((&again.cluster, again.forwarding_was_on), (&net, state.forwarding_was_on));
    topology::attach(&mut state, 0, &one).await.unwrap();
    inside(&one, &format!("ping -c1 -W2 {}", net.node_address(1).unwrap())).await;
    assert_eq!(one.members(), [one.pid]);

    topology::teardown(&name, Some(&state)).await.unwrap();
    assert!(!one.is_alive() && !two.is_alive());
}

async fn teardown_leaves_nothing() {
    let (name, data) = (cluster_name("teardown"), tempfile::tempdir().unwrap());
    let probe = topology::setup(&name).await.unwrap();
    topology::teardown(&name, Some(&probe)).await.unwrap();
    let before = host(&probe.cluster).await;
    assert_eq!((before.links.len(), before.tables.len(), before.routes.len()), (0, 0, 0));

    let state = two_nodes(&name, data.path()).await;
    let netlink = Netlink::open().unwrap();
    let pods = "10.128.0.0/24".parse().unwrap();
    let _ = netlink.replace_route(pods, state.cluster.node_address(0).unwrap()).await;
    let during = host(&state.cluster).await;
    assert_eq!((during.links.len(), during.tables.len()), (3, 1));

    topology::teardown(&name, Some(&state)).await.unwrap();
    assert_eq!(host(&state.cluster).await, before);
    topology::teardown(&name, Some(&state)).await.unwrap();
}

async fn teardown_without_record() {
    let (name, data) = (cluster_name("no-record"), tempfile::tempdir().unwrap());
    let state = two_nodes(&name, data.path()).await;
    // One node's holder died, and nobody knows of the other.
    state.nodes[&0].terminate(Duration::from_secs(5)).await.unwrap();
    topology::teardown(&name, None).await.unwrap();
    let left = host(&state.cluster).await;
    assert_eq!((left.links.len(), left.tables.len(), left.routes.len()), (0, 0, 0));
    state.nodes[&1].terminate(Duration::from_secs(5)).await.unwrap();
    topology::teardown(&name, None).await.unwrap();
    assert!(!left.folders.iter().all(|there| *there) || Path::new("/etc/cni").exists());
}
