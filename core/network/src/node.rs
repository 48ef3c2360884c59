//! What a node's network namespace needs before any Pod runs there.
//!
//! All of it acts on the namespace of the calling process, the agent's.

use std::{fs, net::Ipv4Addr, path::Path};

use ipnet::Ipv4Net;

use crate::{Error, netlink::Netlink};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// There only while the kernel has br_netfilter.
const BRIDGE_RULES: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// The link whose address the node's own DNS has. Addresses on loopback are local
/// to the node, need no further link, and every kernel has it.
const DNS_LINK: &str = "lo";

/// Lets the node forward, and lets its rules see what its Pods send each other
/// through the bridge: without that, a Service's answer from a Pod of the same
/// node would come back under the Pod's own address.
pub async fn prepare_node() -> Result<(), Error> {
    set(FORWARDING)?;
    if !Path::new(BRIDGE_RULES).exists() {
        load_bridge_rules().await;
    }
    if Path::new(BRIDGE_RULES).exists() {
        return set(BRIDGE_RULES);
    }
    tracing::warn!(
        "the kernel has no br_netfilter: a Pod cannot reach a Service whose Pod is on the same node"
    );
    Ok(())
}

fn set(path: &str) -> Result<(), Error> {
    fs::write(path, "1").map_err(Error::io(format!("write {path}")))
}

async fn load_bridge_rules() {
    let loaded = tokio::process::Command::new("modprobe").arg("br_netfilter").output().await;
    if !loaded.is_ok_and(|output| output.status.success()) {
        tracing::debug!("modprobe br_netfilter failed");
    }
}

/// Gives this node the cluster's DNS address, so that it answers itself.
pub async fn add_dns_address(address: Ipv4Addr) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    netlink.up(DNS_LINK).await?;
    netlink.add_address(DNS_LINK, Ipv4Net::from(address)).await
}

/// Undoes [`add_dns_address`], for a node that is not a namespace of its own.
pub async fn remove_dns_address(address: Ipv4Addr) -> Result<(), Error> {
    Netlink::open()?.delete_address(DNS_LINK, Ipv4Net::from(address)).await
}
