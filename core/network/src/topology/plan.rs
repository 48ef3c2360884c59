//! Names and addresses of a cluster on this machine: pure, from its name and slot.
//!
//! A slot K stands for the node subnet 172.30.K.0/24 and the Pod range
//! 10.(128+K).0.0/16, so 128 clusters fit on a machine without meeting.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// Slots there are: the second byte of the Pod range ends at 255.
const SLOTS: u8 = 128;
/// The highest node number; its link name still fits the kernel's 15 characters.
const MOST_NODES: u8 = 100;
/// What the names of all bridges of Tiphys begin with.
const BRIDGE_PREFIX: &str = "tph-";
/// What the names of the host's nft tables begin with.
const TABLE_PREFIX: &str = "tiphys-";
/// Digits of the hash of the cluster's name in link names.
const HASH_DIGITS: usize = 6;

/// Where a cluster is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNet {
    /// The cluster's name.
    pub name: String,
    /// 0 to 127.
    pub slot: u8,
}

impl ClusterNet {
    /// The subnet of the nodes and the host's bridge, 172.30.K.0/24.
    pub fn node_subnet(&self) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(172, 30, self.slot, 0), 24)
    }

    /// The host's address in the node subnet; the nodes' default gateway, and
    /// where they reach the API server.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.slot, 1)
    }

    /// The address of node `number` (0 to 99), 172.30.K.(10+number).
    pub fn node_address(&self, number: u8) -> Result<Ipv4Addr, Error> {
        if number >= MOST_NODES {
            return Err(Error::NodeNumber(number));
        }
        Ok(Ipv4Addr::new(172, 30, self.slot, 10 + number))
    }

    /// All Pods of the cluster, 10.(128+K).0.0/16; a node's own range is a /24 of it.
    pub fn pod_range(&self) -> Ipv4Net {
        Ipv4Net::new_assert(Ipv4Addr::new(10, 128 + self.slot, 0, 0), 16)
    }

    /// The host's bridge.
    pub fn bridge(&self) -> String {
        bridge_name(&self.name)
    }

    /// The host's end of node `number`'s link.
    pub fn veth(&self, number: u8) -> String {
        format!("{}-{number}", self.bridge())
    }

    /// The host's nft table (family ip).
    pub fn table(&self) -> String {
        table_name(&self.name)
    }

    pub(super) fn of_slot(name: &str, slot: u8) -> Self {
        Self { name: name.to_owned(), slot }
    }

    /// The cluster whose bridge has the address `gateway`.
    pub(super) fn of_gateway(name: &str, gateway: Ipv4Addr) -> Option<Self> {
        match gateway.octets() {
            [172, 30, slot, 1] if slot < SLOTS => Some(Self::of_slot(name, slot)),
            _ => None,
        }
    }
}

/// The host's bridge of the cluster `name`.
pub(super) fn bridge_name(name: &str) -> String {
    let hash = Sha256::digest(name.as_bytes());
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{BRIDGE_PREFIX}{}", &digits[..HASH_DIGITS])
}

/// The host's nft table of the cluster `name`. nft takes letters, digits and `_-.` in
/// a name, and none that begins with a digit; any other character becomes `_`.
pub(super) fn table_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("{TABLE_PREFIX}{}", name.chars().map(plain).collect::<String>())
}

/// The cluster whose table may be one that nft lists so: by family and name.
pub(super) fn cluster_of_table(listed: &str) -> Option<&str> {
    listed.strip_prefix("ip ")?.strip_prefix(TABLE_PREFIX).filter(|name| !name.is_empty())
}

/// Whether a link is the bridge of some cluster of Tiphys.
pub(super) fn is_cluster_bridge(link: &str) -> bool {
    link.strip_prefix(BRIDGE_PREFIX)
        .is_some_and(|hash| hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The first slot whose subnets meet none of `used`. The default route is not a use.
pub(super) fn free_slot(name: &str, used: &[Ipv4Net]) -> Option<ClusterNet> {
    let meets = |a: &Ipv4Net, b: &Ipv4Net| a.contains(b) || b.contains(a);
    (0..SLOTS).map(|slot| ClusterNet::of_slot(name, slot)).find(|net| {
        let ours = [net.node_subnet(), net.pod_range()];
        let real = used.iter().filter(|network| network.prefix_len() > 0);
        real.map(Ipv4Net::trunc).all(|network| ours.iter().all(|own| !meets(own, &network)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot_beside(used: &[&str]) -> Option<u8> {
        let used: Vec<Ipv4Net> = used.iter().map(|network| network.parse().unwrap()).collect();
        free_slot("demo", &used).map(|net| net.slot)
    }

    #[test]
    fn the_first_slot_that_meets_no_network_is_taken() {
        let cases: &[(&[&str], Option<u8>)] = &[
            (&[], Some(0)),
            (&["0.0.0.0/0", "192.168.1.7/24"], Some(0)),
            (&["172.30.0.1/24"], Some(1)),
            (&["10.128.3.0/24", "172.30.1.0/24"], Some(2)),
            (&["172.30.0.0/18"], Some(64)),
            (&["10.0.0.0/8"], None),
            (&["172.16.0.0/12"], None),
        ];
        for (used, expected) in cases {
            assert_eq!(slot_beside(used), *expected, "beside {used:?}");
        }
    }

    #[test]
    fn names_fit_the_kernel_and_tell_clusters_apart() {
        let net = ClusterNet::of_slot("a-cluster-with-a-long-name", 3);
        assert!(net.veth(99).len() <= 15, "{}", net.veth(99));
        assert!(is_cluster_bridge(&net.bridge()));
        assert!(!is_cluster_bridge(&net.veth(1)));
        assert_ne!(net.bridge(), bridge_name("another"));
        assert_eq!(table_name("Mine/2"), "tiphys-Mine_2");
    }

    #[test]
    fn addresses_follow_the_slot() {
        let net = ClusterNet::of_slot("demo", 5);
        assert_eq!(net.node_address(2).unwrap(), Ipv4Addr::new(172, 30, 5, 12));
        assert_eq!(net.pod_range().to_string(), "10.133.0.0/16");
        assert_eq!(ClusterNet::of_gateway("demo", net.gateway()), Some(net.clone()));
        assert!(net.node_address(100).is_err());
    }
}
