//! The cluster as the scheduler sees it now: Nodes with their Pods, and sums
//! over Nodes.
//!
//! It is changed in place, by watch events and by what the scheduler assumes
//! (a chosen Pod counts on its Node before the binding is written). Nothing is
//! copied for a decision: one task owns it and decides between changes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Node;

use crate::{
    node_info::NodeInfo,
    pod_info::{LabelTree, PodInfo},
};

pub const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Debug, Default)]
pub struct Snapshot {
    pub nodes: Vec<NodeInfo>,
    positions: HashMap<String, usize>,
    /// Every placed Pod, and the name of its Node (which may not be known yet).
    placed: HashMap<String, (String, Arc<PodInfo>)>,
    /// Pods of a controller by zone.
    zones: HashMap<String, HashMap<u64, i64>>,
    /// On how many Nodes an image is.
    image_nodes: HashMap<String, u32>,
    /// Pods with any inter-Pod affinity.
    pub affinity_pods: usize,
    /// The labels of all namespaces.
    pub namespaces: BTreeMap<String, LabelTree>,
    /// Where the next search for Nodes starts, so that all get their turn.
    pub start: usize,
}

impl Snapshot {
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(*self.positions.get(name)?)
    }

    /// Adds the Node or takes over its change; its Pods stay.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let mut info = NodeInfo::new(node);
        let name = info.name.clone();
        self.count_images(&info, true);
        match self.positions.get(&name).copied() {
            Some(position) => {
                let pods = self.empty(position);
                let old = std::mem::replace(&mut self.nodes[position], info);
                self.count_images(&old, false);
                pods.into_iter().for_each(|pod| self.put(position, pod));
            }
            None => {
                info.pods.reserve(16);
                let position = self.nodes.len();
                self.nodes.push(info);
                self.positions.insert(name.clone(), position);
                let here: Vec<_> = self.placed.values().filter(|(node, _)| *node == name).cloned().collect();
                here.into_iter().for_each(|(_, pod)| self.put(position, pod));
            }
        }
    }

    /// Its Pods stay known: they come back with the Node.
    pub fn remove_node(&mut self, name: &str) {
        let Some(position) = self.positions.remove(name) else { return };
        drop(self.empty(position));
        let gone = self.nodes.swap_remove(position);
        self.count_images(&gone, false);
        if let Some(moved) = self.nodes.get(position) {
            self.positions.insert(moved.name.clone(), position);
        }
    }

    /// Puts the Pod on its Node, or replaces it there; also moves it.
    pub fn place(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove(&pod.uid);
        self.placed.insert(pod.uid.to_string(), (node.to_owned(), pod.clone()));
        if let Some(position) = self.positions.get(node).copied() {
            self.put(position, pod);
        }
    }

    /// Takes the Pod off its Node. Gives it if it was placed.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let (node, pod) = self.placed.remove(uid)?;
        if let Some(position) = self.positions.get(&node).copied() {
            self.take(position, uid);
        }
        Some(pod)
    }

    /// The Node that this Pod is placed on, and the Pod as placed.
    pub fn placed(&self, uid: &str) -> Option<(&str, &Arc<PodInfo>)> {
        self.placed.get(uid).map(|(node, pod)| (node.as_str(), pod))
    }

    pub fn placed_uids(&self) -> impl Iterator<Item = &String> {
        self.placed.keys()
    }

    pub fn node_names(&self) -> impl Iterator<Item = &String> {
        self.positions.keys()
    }

    /// Pods of this controller in a zone.
    pub fn owned_in_zone(&self, zone: &str, owner: u64) -> i64 {
        self.zones.get(zone).and_then(|owners| owners.get(&owner)).copied().unwrap_or(0)
    }

    /// Zones that have or had Pods.
    pub fn zone_count(&self) -> usize {
        self.zones.len()
    }

    /// On how many Nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> u32 {
        self.image_nodes.get(image).copied().unwrap_or(0)
    }

    fn put(&mut self, position: usize, pod: Arc<PodInfo>) {
        self.affinity_pods += usize::from(!pod.affinity.is_empty());
        self.count_zone(position, &pod, 1);
        self.nodes[position].add(pod);
    }

    fn take(&mut self, position: usize, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.nodes[position].remove(uid)?;
        self.affinity_pods -= usize::from(!pod.affinity.is_empty());
        self.count_zone(position, &pod, -1);
        Some(pod)
    }

    fn empty(&mut self, position: usize) -> Vec<Arc<PodInfo>> {
        let uids: Vec<String> = self.nodes[position].pods.iter().map(|pod| pod.uid.to_string()).collect();
        uids.iter().filter_map(|uid| self.take(position, uid)).collect()
    }

    fn count_zone(&mut self, position: usize, pod: &PodInfo, by: i64) {
        let (Some(owner), Some(zone)) = (pod.owner, self.nodes[position].label(ZONE)) else { return };
        if pod.deleting() {
            return;
        }
        let owners = self.zones.entry(zone.to_owned()).or_default();
        let count = owners.entry(owner).or_default();
        *count += by;
        if *count == 0 {
            owners.remove(&owner);
        }
    }

    fn count_images(&mut self, node: &NodeInfo, add: bool) {
        for name in node.images.keys() {
            let count = self.image_nodes.entry(name.clone()).or_default();
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                self.image_nodes.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{node, pod};
    use serde_json::json;

    #[test]
    fn sums_follow_pods_and_nodes() {
        let mut snapshot = Snapshot::default();
        snapshot.set_node(node("a", json!({})));
        snapshot.set_node(node("b", json!({})));
        let one = pod("one", json!({"cpu": "500m"}));
        snapshot.place(one.clone(), "a");
        snapshot.place(pod("two", json!({"cpu": "1"})), "a");
        assert_eq!(snapshot.node("a").unwrap().requested.cpu, 1500);
        snapshot.place(one.clone(), "b");
        assert_eq!(snapshot.node("a").unwrap().requested.cpu, 1000);
        assert_eq!(snapshot.node("b").unwrap().requested.cpu, 500);
        snapshot.set_node(node("a", json!({"labels": {"x": "y"}})));
        assert_eq!(snapshot.node("a").unwrap().requested.cpu, 1000, "a change of the node keeps its pods");
        snapshot.remove_node("a");
        assert_eq!(snapshot.node("b").unwrap().pods.len(), 1);
        snapshot.set_node(node("a", json!({})));
        assert_eq!(snapshot.node("a").unwrap().requested.cpu, 1000, "pods come back with their node");
        assert!(snapshot.remove("two").is_some() && snapshot.remove("two").is_none());
        assert_eq!(snapshot.node("a").unwrap().requested, crate::resources::Resources::default());
    }

    #[test]
    fn pods_of_an_owner_are_counted_by_zone() {
        let mut snapshot = Snapshot::default();
        snapshot.set_node(node("a", json!({"labels": {ZONE: "z1"}})));
        let owned = pod("one", json!({"owner": "set"}));
        let owner = owned.owner.unwrap();
        snapshot.place(owned, "a");
        assert_eq!(snapshot.owned_in_zone("z1", owner), 1);
        snapshot.set_node(node("a", json!({"labels": {ZONE: "z2"}})));
        assert_eq!((snapshot.owned_in_zone("z1", owner), snapshot.owned_in_zone("z2", owner)), (0, 1));
    }
}
