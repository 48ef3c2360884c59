//! A /24 of the cluster's Pod addresses for every Node.
//!
//! One worker and one table: ranges are handed out in order, those of Nodes
//! that are there are taken, and one just handed out counts as taken before
//! the Node shows it. So no two Nodes share a range.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use parking_lot::Mutex;
use serde_json::json;

use tiphys_client::Events;

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const NODE_PREFIX: u32 = 24;

/// The cluster's IPv4 network, as ranges of a /24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u32,
    ranges: u32,
}

impl Network {
    /// # Errors
    /// Not of the form `10.244.0.0/16`, or smaller than a /24.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Invalid(format!("cluster CIDR {text:?}: {why}"));
        let (address, prefix) =
            text.split_once('/').ok_or_else(|| wrong("expected an address, / and a prefix length"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| wrong("not an IPv4 address"))?;
        let prefix: u32 = prefix.parse().map_err(|_| wrong("the prefix length is no number"))?;
        if !(1..=NODE_PREFIX).contains(&prefix) {
            return Err(wrong("the prefix length must be between 1 and 24"));
        }
        let first = u32::from(address) & (u32::MAX << (32 - prefix));
        Ok(Self { first, ranges: 1 << (NODE_PREFIX - prefix) })
    }

    /// The first range that isn't taken, as `10.244.3.0/24`.
    fn free(&self, taken: impl Fn(&str) -> bool) -> Option<String> {
        (0..self.ranges).map(|number| self.range(number)).find(|range| !taken(range))
    }

    fn range(&self, number: u32) -> String {
        format!("{}/{NODE_PREFIX}", Ipv4Addr::from(self.first + (number << (32 - NODE_PREFIX))))
    }
}

struct Ipam {
    client: Client,
    events: Events,
    nodes: Watched<Node>,
    network: Network,
    /// Handed out, by UID of the Node.
    given: Mutex<HashMap<String, String>>,
}

pub fn start(context: &Context) {
    // `tiphys_controllers::start` has refused what can't be parsed.
    let Ok(network) = Network::parse(&context.config.cluster_cidr) else { return };
    let queue = Arc::new(Queue::default());
    let nodes = context.caches.nodes.clone();
    let ipam = Arc::new(Ipam {
        client: context.client.clone(),
        events: context.events.of("cidrAllocator"),
        nodes: nodes.clone(),
        network,
        given: Mutex::default(),
    });
    let (keys, table) = (queue.clone(), ipam.clone());
    nodes.subscribe(move |before, after| {
        if let Some(gone) = before
            && after.is_none_or(|after| object::uid(&**after) != object::uid(&**gone))
        {
            table.given.lock().remove(object::uid(&**gone));
        }
        after.filter(|node| range_of(node).is_none()).into_iter().for_each(|node| keys.add(Key::of(&**node)));
    });
    // One worker: the table is read and written by one hand.
    context.run(Controller {
        name: "node-ipam",
        workers: 1,
        queue,
        synced: vec![nodes.synced()],
        reconciler: ipam,
    });
}

fn range_of(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.pod_cidr.as_deref().filter(|range| !range.is_empty())
}

#[async_trait]
impl Reconciler for Ipam {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(node) = self.nodes.get(key) else { return Ok(Requeue::No) };
        if range_of(&node).is_some() {
            return Ok(Requeue::No);
        }
        let Some(range) = self.choose(&node) else {
            let message = "no range of the cluster's Pod addresses is left".to_owned();
            self.events.warning(&*node, "CIDRNotAvailable", message.clone());
            return Err(Error::NotYet(message));
        };
        let patch = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": range, "podCIDRs": [range]},
        });
        let api: Api<Node> = Api::all(self.client.clone());
        found(api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(Requeue::No)
    }
}

impl Ipam {
    fn choose(&self, node: &Node) -> Option<String> {
        let mut given = self.given.lock();
        if let Some(range) = given.get(object::uid(node)) {
            return Some(range.clone());
        }
        let nodes = self.nodes.list();
        let shown = |range: &str| nodes.iter().any(|node| range_of(node) == Some(range));
        let range = self.network.free(|range| shown(range) || given.values().any(|given| given == range))?;
        given.insert(object::uid(node).to_owned(), range.clone());
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_handed_out_in_order_until_none_is_left() {
        let network = Network::parse("10.244.7.9/23").unwrap();
        assert_eq!(network.free(|_| false).unwrap(), "10.244.6.0/24");
        assert_eq!(network.free(|range| range == "10.244.6.0/24").unwrap(), "10.244.7.0/24");
        assert_eq!(network.free(|_| true), None);
    }

    #[test]
    fn a_wrong_network_says_why() {
        for (text, why) in [
            ("10.244.0.0", "expected an address"),
            ("10.244.0/16", "not an IPv4 address"),
            ("10.244.0.0/x", "no number"),
            ("10.244.0.0/25", "between 1 and 24"),
        ] {
            let error = Network::parse(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
