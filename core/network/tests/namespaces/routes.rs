//! Routes to other nodes' Pods in a real routing table.

use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use tiphys_network::{NodeRoutes, RoutesConfig, netlink::Netlink};

use crate::{
    api::Api,
    lab::{Cluster, InNode, LIMIT, inside},
};

pub fn cases() -> Vec<(&'static str, fn())> {
    vec![("node_routes_follow_the_nodes", || crate::run(follow()))]
}

fn node(name: &str, address: impl ToString, cidr: impl ToString) -> Value {
    json!({
        "metadata": { "name": name },
        "spec": { "podCIDR": cidr.to_string() },
        "status": { "addresses": [{ "type": "InternalIP", "address": address.to_string() }] },
    })
}

async fn follow() {
    let data = tempfile::tempdir().unwrap();
    let cluster = Cluster::with_nodes("routes", data.path()).await;
    let net = &cluster.state.cluster;
    let (api, one) = (Api::new(), cluster.state.nodes[&0].clone());
    let cidrs: Vec<_> = net.pod_range().subnets(24).unwrap().take(3).collect();
    let addresses = [0, 1, 2].map(|number| net.node_address(number).unwrap());
    for number in 0..2 {
        api.apply("nodes", node(&format!("node-{number}"), addresses[number], cidrs[number]));
    }
    let config = RoutesConfig { own_node: Some("node-0".to_owned()), pod_range: net.pod_range() };
    let watched = api.clone();
    let _routes = InNode::run(&one, |tasks| async move {
        NodeRoutes::start(config, watched.watch_all::<Node>(&tasks), &tasks);
    });
    let netlink = Netlink::open_in(&one.namespaces().unwrap()).unwrap();
    until_routes(&netlink, &[(cidrs[1], addresses[1])]).await;

    api.apply("nodes", node("node-2", addresses[2], cidrs[2]));
    until_routes(&netlink, &[(cidrs[1], addresses[1]), (cidrs[2], addresses[2])]).await;
    api.delete("nodes", "", "node-1");
    until_routes(&netlink, &[(cidrs[2], addresses[2])]).await;

    let rules = inside(&one, "nft list table ip tiphys-node").await;
    assert!(rules.contains("masquerade") && rules.contains(&net.node_subnet().to_string()), "{rules}");
    let default = netlink.routes().await.unwrap();
    assert!(default.iter().any(|route| route.destination.prefix_len() == 0), "the default route stays");
}

/// Waits until the routes with a gateway into Pod CIDRs are `expected`.
async fn until_routes(netlink: &Netlink, expected: &[(ipnet::Ipv4Net, std::net::Ipv4Addr)]) {
    let reached = async {
        loop {
            let routes = netlink.routes().await.unwrap();
            let to_pods = routes.iter().filter(|route| route.destination.prefix_len() > 0);
            let mut hops: Vec<_> =
                to_pods.filter_map(|route| Some((route.destination, route.gateway?))).collect();
            hops.sort();
            if hops == expected {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, reached).await.expect("the routes follow the Nodes");
}
