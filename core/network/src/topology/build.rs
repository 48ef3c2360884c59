//! Builds the host's side of a cluster's network, and takes it away.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;

use crate::{
    Error,
    netlink::{Link, Netlink},
    nft,
};

use super::{
    ClusterNet, Holder, NetState, firewall, forwarding,
    lock::HostLock,
    mount_points, mounts,
    plan::{bridge_name, free_slot, table_name},
};

/// The link of a node inside its namespace.
const NODE_LINK: &str = "eth0";
/// How long a holder may take to end before it is killed.
const HOLDER_LIMIT: Duration = Duration::from_secs(5);

/// Makes sure that the cluster `name` has its bridge, its nft table and forwarding,
/// and says where. A cluster that is there already keeps its subnet.
pub async fn setup(name: &str) -> Result<NetState, Error> {
    let netlink = Netlink::open()?;
    let lock = HostLock::wait().await?;
    let links = netlink.links().await?;
    let forwarding_was_on = match forwarding::remembered(&links) {
        Some(was_on) => was_on,
        None => forwarding::is_on()?,
    };
    let cluster = match existing(&netlink, &links, name).await? {
        Some(cluster) => cluster,
        None => free_slot(name, &networks_in_use(&netlink).await?).ok_or(Error::NoFreeSubnet)?,
    };
    let bridge = cluster.bridge();
    netlink.add_bridge(&bridge, netlink.uplink_mtu().await?).await?;
    netlink.set_alias(&bridge, &forwarding::alias(name, forwarding_was_on)).await?;
    let address = Ipv4Net::new_assert(cluster.gateway(), cluster.node_subnet().prefix_len());
    netlink.add_address(&bridge, address).await?;
    netlink.up(&bridge).await?;
    forwarding::set(true)?;
    drop(lock);
    nft::apply(&host_table(&cluster)).await?;
    firewall::open(&bridge).await?;
    Ok(NetState { cluster, forwarding_was_on, nodes: Default::default() })
}

/// Links node `number` with the bridge: eth0 in the holder's namespace gets the
/// node's address, which this returns, and a default route. Records the holder in `state`.
pub async fn attach(state: &mut NetState, number: u8, holder: &Holder) -> Result<Ipv4Addr, Error> {
    let cluster = &state.cluster;
    let address = cluster.node_address(number)?;
    let (bridge, veth) = (cluster.bridge(), cluster.veth(number));
    state.nodes.insert(number, holder.clone());
    let outer = Netlink::open()?;
    let inner = Netlink::open_in(&holder.namespaces()?)?;
    let bridge_mtu = outer.link(&bridge).await?.ok_or_else(|| Error::NoLink(bridge.clone()))?.mtu;
    if inner.link(NODE_LINK).await?.is_none() {
        // A link of that name leads to a holder that is gone.
        outer.delete_link(&veth).await?;
        outer.add_veth(&veth, NODE_LINK, holder.pid, bridge_mtu).await?;
    }
    outer.attach(&veth, &bridge).await?;
    inner.up("lo").await?;
    let prefix = cluster.node_subnet().prefix_len();
    inner.add_address(NODE_LINK, Ipv4Net::new_assert(address, prefix)).await?;
    inner.up(NODE_LINK).await?;
    inner.replace_route(Ipv4Net::default(), cluster.gateway()).await?;
    Ok(address)
}

/// Takes away whatever is left of the cluster `name`: holders (those that `state`
/// records), links, bridge, host routes, nft table, mount points, and forwarding
/// when no other cluster needs it. The node's processes must have ended before.
/// Goes on after an error and returns the first.
pub async fn teardown(name: &str, state: Option<&NetState>) -> Result<(), Error> {
    let mut result = Ok(());
    let mut keep_first = |done: Result<(), Error>| {
        if let Err(error) = done {
            tracing::warn!(cluster = name, %error, "part of the network could not be taken away");
            if result.is_ok() {
                result = Err(error);
            }
        }
    };
    for holder in state.iter().flat_map(|state| state.nodes.values()) {
        keep_first(holder.terminate(HOLDER_LIMIT).await);
    }
    keep_first(remove_links(name, state).await);
    keep_first(nft::delete_table("ip", &table_name(name)).await);
    keep_first(firewall::close(&bridge_name(name)).await);
    keep_first(
        HostLock::wait().await.and_then(|lock| mount_points::remove_unused(&mounts::targets(), &lock)),
    );
    result
}

/// Deletes the bridge and its ports; routes through it go with it.
async fn remove_links(name: &str, state: Option<&NetState>) -> Result<(), Error> {
    let netlink = Netlink::open()?;
    let _lock = HostLock::wait().await?;
    let bridge = bridge_name(name);
    let links = netlink.links().await?;
    let was_on = forwarding::remembered(&links).or(state.map(|state| state.forwarding_was_on));
    let ports = format!("{bridge}-");
    for port in links.iter().filter(|link| link.name.starts_with(&ports)) {
        netlink.delete_link(&port.name).await?;
    }
    netlink.delete_link(&bridge).await?;
    match was_on {
        Some(was_on) if forwarding::restores(&links, &bridge) => forwarding::set(was_on),
        _ => Ok(()),
    }
}

/// The cluster as its bridge tells it, when the bridge is there with its address.
async fn existing(netlink: &Netlink, links: &[Link], name: &str) -> Result<Option<ClusterNet>, Error> {
    let bridge = bridge_name(name);
    let Some(link) = links.iter().find(|link| link.name == bridge) else { return Ok(None) };
    let addresses = netlink.addresses().await?;
    let own = addresses.iter().filter(|(index, _)| *index == link.index);
    Ok(own.filter_map(|(_, address)| ClusterNet::of_gateway(name, address.addr())).next())
}

async fn networks_in_use(netlink: &Netlink) -> Result<Vec<Ipv4Net>, Error> {
    let addresses = netlink.addresses().await?.into_iter().map(|(_, address)| address);
    let routes = netlink.routes().await?.into_iter().map(|route| route.destination);
    Ok(addresses.chain(routes).collect())
}

/// The host's rules: nodes and Pods reach the world under the host's address, and
/// what goes through the bridge may be forwarded.
fn host_table(cluster: &ClusterNet) -> String {
    let (table, bridge) = (cluster.table(), cluster.bridge());
    let own = format!("{{ {}, {} }}", cluster.node_subnet(), cluster.pod_range());
    format!(
        "table ip {table} {{}}
delete table ip {table}
table ip {table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {own} ip daddr != {own} oifname != \"{bridge}\" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname \"{bridge}\" accept
    oifname \"{bridge}\" accept
  }}
}}
"
    )
}
