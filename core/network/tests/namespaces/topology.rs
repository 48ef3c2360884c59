//! A cluster's network on this machine: built, used, repeated, and gone again.

use std::{net::Ipv4Addr, path::Path};

use ipnet::Ipv4Net;
use tiphys_network::{netlink::Netlink, nft, topology};

use crate::lab::{Cluster, InNode, LIMIT, hold, inside, reaches};

pub fn cases() -> Vec<(&'static str, fn())> {
    vec![
        ("nodes_have_networks_and_folders_of_their_own", || super::run(nodes_are_separate())),
        ("nodes_reach_the_world_under_the_hosts_address", || super::run(masqueraded())),
        ("a_firewall_that_drops_lets_the_bridge_through", || super::run(behind_a_firewall())),
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
}

/// What all clusters of the machine share: forwarding and mount points. `None` while another is there.
async fn shared(net: &topology::ClusterNet) -> Option<(String, Vec<bool>)> {
    let links = Netlink::open().unwrap().links().await.unwrap();
    let alone =
        links.iter().all(|link| link.name.starts_with(&net.bridge()) || !link.name.starts_with("tph-"));
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let folders =
        ["/etc/cni", "/var/lib/cni", "/var/lib/kubelet"].iter().map(|path| Path::new(path).exists());
    alone.then(|| (forwarding, folders.collect()))
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
    Host { links, routes: routes.iter().map(|route| format!("{route:?}")).collect(), tables }
}

async fn nodes_are_separate() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::with_nodes("separate", data.path()).await;
    let state = &mut cluster.state;
    let name = state.cluster.name.clone();
    let (one, two) = (state.nodes[&0].clone(), state.nodes[&1].clone());
    let net = state.cluster.clone();

    inside(&one, "echo from-one > /run/who; echo {} > /etc/cni/net.d/x; touch /var/lib/kubelet/mine").await;
    assert!(inside(&two, "ls -A /run /etc/cni/net.d").await.lines().all(|line| line != "who" && line != "x"));
    assert!(!Path::new("/run/who").exists() && !Path::new("/var/lib/kubelet/mine").exists());
    let written = std::fs::read_to_string(data.path().join("one/run/who")).unwrap();
    assert_eq!(written.trim(), "from-one");
    assert_eq!(inside(&two, "hostname").await.trim(), "two");
    // The machine's own may come and go between two looks.
    tokio::time::timeout(LIMIT, async {
        let on_host = || std::fs::read_dir("/sys/fs/cgroup").unwrap().count().to_string();
        while inside(&one, "ls /sys/fs/cgroup | wc -l").await.trim() != on_host() {}
    })
    .await
    .expect("the cgroups stay visible");
    let resolvers = inside(&one, "cat /etc/resolv.conf").await;
    assert!(!resolvers.contains("nameserver 127."), "{resolvers}");

    // The nodes and the host reach each other.
    reaches(Some(&one), Some(&two), net.node_address(1).unwrap());
    reaches(Some(&one), None, net.gateway());
    reaches(None, Some(&one), net.node_address(0).unwrap());
    // Again, as a server that was restarted does: nothing changes.
    let again = topology::setup(&name).await.unwrap();
    assert_eq!((&again.cluster, again.forwarding_was_on), (&net, state.forwarding_was_on));
    topology::attach(state, 0, &one).await.unwrap();
    reaches(Some(&one), Some(&two), net.node_address(1).unwrap());
    assert_eq!(one.members(), [one.pid]);

    drop(cluster);
    assert!(!one.is_alive() && !two.is_alive());
}

/// The world: a host behind another link of the machine, which knows no way back
/// to the node subnet.
async fn masqueraded() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::with_nodes("world", data.path()).await;
    let (one, world) = (cluster.state.nodes[&0].clone(), hold("world", data.path()).await);
    cluster.state.nodes.insert(100, world.clone());
    let host = Netlink::open().unwrap();
    // A name by which it goes with the cluster's links.
    let link = format!("{}-w", cluster.state.cluster.bridge());
    host.add_veth(&link, "eth0", world.pid, 1500).await.unwrap();
    host.up(&link).await.unwrap();
    let slot = cluster.state.cluster.slot;
    let [here, there] = [1, 2].map(|last| Ipv4Net::new_assert(Ipv4Addr::new(198, 18, slot, last), 24));
    host.add_address(&link, here).await.unwrap();
    let inner = Netlink::open_in(&world.namespaces().unwrap()).unwrap();
    inner.add_address("eth0", there).await.unwrap();
    inner.up("eth0").await.unwrap();
    reaches(Some(&one), Some(&world), there.addr());
}

/// A node plays the machine here, so that the real one's firewall is left alone.
async fn behind_a_firewall() {
    let data = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_nodes("firewall", data.path()).await;
    let machine = &cluster.state.nodes[&0];
    let name = format!("{}-inner", cluster.state.cluster.name);
    let (sent, received) = tokio::sync::oneshot::channel();
    let before = inside(machine, "iptables -P FORWARD DROP; iptables -S FORWARD").await;
    let work = InNode::run(machine, move |_| async move {
        let state = topology::setup(&name).await.unwrap();
        topology::setup(&name).await.unwrap();
        let during = tokio::process::Command::new("iptables").args(["-S", "FORWARD"]).output().await.unwrap();
        topology::teardown(&name, Some(&state)).await.unwrap();
        sent.send((state, String::from_utf8(during.stdout).unwrap())).unwrap();
    });
    let (state, during) = received.await.unwrap();
    drop(work);
    for direction in ["-i", "-o"] {
        let rule = format!("-A FORWARD {direction} {} -j ACCEPT", state.cluster.bridge());
        assert_eq!(during.matches(&rule).count(), 1, "{during}");
    }
    assert_ne!(state.cluster.slot, cluster.state.cluster.slot, "the machine's own subnet is in use");
    assert_eq!(inside(machine, "iptables -S FORWARD").await, before);
}

async fn teardown_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let probe = Cluster::set_up("teardown").await;
    let net = probe.state.cluster.clone();
    drop(probe);
    let (before, shared_before) = (host(&net).await, shared(&net).await);
    assert_eq!((before.links.len(), before.tables.len(), before.routes.len()), (0, 0, 0));

    let cluster = Cluster::with_nodes("teardown", data.path()).await;
    let state = cluster.state.clone();
    let netlink = Netlink::open().unwrap();
    let pods = Ipv4Net::new(state.cluster.pod_range().addr(), 24).unwrap();
    netlink.replace_route(pods, state.cluster.node_address(0).unwrap()).await.unwrap();
    let during = host(&state.cluster).await;
    assert_eq!((during.links.len(), during.tables.len()), (3, 1));

    drop(cluster);
    if let (Some(before), Some(after)) = (shared_before, shared(&net).await) {
        assert_eq!(after, before, "forwarding, or folders made as mount points");
    }
    assert_eq!(host(&state.cluster).await, before);
    topology::teardown(&net.name, Some(&state)).await.unwrap();
}

async fn teardown_without_record() {
    let data = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_nodes("no-record", data.path()).await;
    // One node's holder died, and nobody knows of the other.
    cluster.state.nodes[&0].terminate(LIMIT).await.unwrap();
    let net = &cluster.state.cluster;
    assert!(topology::found().await.unwrap().contains(&net.name));
    // Its table alone tells it.
    let (netlink, bridge) = (Netlink::open().unwrap(), net.bridge());
    let alias = netlink.link(&bridge).await.unwrap().unwrap().alias.unwrap();
    netlink.set_alias(&bridge, "of another").await.unwrap();
    assert!(topology::found().await.unwrap().contains(&net.name));
    netlink.set_alias(&bridge, &alias).await.unwrap();
    topology::teardown(&net.name, None).await.unwrap();
    assert!(!topology::found().await.unwrap().contains(&net.name));
    let left = host(net).await;
    assert_eq!((left.links.len(), left.tables.len(), left.routes.len()), (0, 0, 0));
}
