//! A Node with the Pods on it and their sums, kept up to date Pod by Pod.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Node, Taint};
use tiphys_api::quantity;

use crate::{
    pod_info::{HostPort, LabelTree, PodInfo},
    resources::Resources,
};

#[derive(Debug)]
pub struct NodeInfo {
    pub node: Arc<Node>,
    pub name: String,
    pub allocatable: Resources,
    /// How many Pods the Node takes.
    pub allowed_pods: i64,
    pub requested: Resources,
    /// Sums of [`PodInfo::counted`].
    pub counted: Resources,
    pub pods: Vec<Arc<PodInfo>>,
    pub ports: Vec<HostPort>,
    /// Pods of a controller, going ones left out.
    pub by_owner: HashMap<u64, u32>,
    /// Pods with any inter-Pod affinity.
    pub with_affinity: Vec<Arc<PodInfo>>,
    /// Sizes in bytes, by every name of the image.
    pub images: HashMap<String, i64>,
}

impl NodeInfo {
    pub fn new(node: Arc<Node>) -> Self {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        let allowed = allocatable.and_then(|amounts| quantity::units(&amounts.get("pods")?.0));
        let mut images = HashMap::new();
        for image in status.and_then(|status| status.images.as_ref()).into_iter().flatten() {
            for name in image.names.iter().flatten() {
                images.insert(name.clone(), image.size_bytes.unwrap_or(0));
            }
        }
        Self {
            name: node.metadata.name.clone().unwrap_or_default(),
            allocatable: Resources::parse(allocatable),
            allowed_pods: allowed.unwrap_or(0),
            requested: Resources::default(),
            counted: Resources::default(),
            pods: Vec::new(),
            ports: Vec::new(),
            by_owner: HashMap::new(),
            with_affinity: Vec::new(),
            images,
            node,
        }
    }

    pub fn labels(&self) -> &LabelTree {
        static NONE: LabelTree = BTreeMap::new();
        self.node.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels().get(key).map(String::as_str)
    }

    pub fn taints(&self) -> &[Taint] {
        self.node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
    }

    pub fn unschedulable(&self) -> bool {
        self.node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
    }

    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.requests);
        self.counted.add(&pod.counted);
        self.ports.extend(pod.ports.iter().cloned());
        if let Some(owner) = pod.owner
            && !pod.deleting()
        {
            *self.by_owner.entry(owner).or_default() += 1;
        }
        if !pod.affinity.is_empty() {
            self.with_affinity.push(pod.clone());
        }
        self.pods.push(pod);
    }

    /// Takes the Pod with this UID off, if it is here.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let position = self.pods.iter().position(|pod| &*pod.uid == uid)?;
        let pod = self.pods.swap_remove(position);
        self.requested.subtract(&pod.requests);
        self.counted.subtract(&pod.counted);
        for port in &pod.ports {
            if let Some(position) = self.ports.iter().position(|taken| taken == port) {
                self.ports.swap_remove(position);
            }
        }
        if let Some(owner) = pod.owner
            && !pod.deleting()
            && let Some(count) = self.by_owner.get_mut(&owner)
        {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(&owner);
            }
        }
        self.with_affinity.retain(|other| &*other.uid != uid);
        Some(pod)
    }

    /// Pods of this controller here.
    pub fn owned(&self, owner: u64) -> u32 {
        self.by_owner.get(&owner).copied().unwrap_or(0)
    }
}
