//! The loop of each Pod, and who wakes it.
//!
//! ```text
//! dispatch ──(Desired, wake)──> worker: look ─> plan ─> act ─> status
//!                                        └─ deletion: terminate
//! ```
//!
//! - [`registry`]: which Pods have a worker, and what it last saw.
//! - [`dispatch`]: API watch, containerd's events, static Pods; [`relist`]: the slow look at everything.
//! - [`worker`]: the loop; [`look`]: reading the runtime; [`act`], [`start`]: doing;
//!   [`terminate`]: the end of a Pod; [`report`]: status to the API.

mod act;
mod dispatch;
#[cfg(test)]
pub(crate) mod fixture;
mod last_words;
mod look;
mod probing;
mod registry;
mod relist;
mod report;
mod start;
mod terminate;
mod worker;

use std::path::PathBuf;

pub(crate) use dispatch::dispatch;
use k8s_openapi::api::core::v1::Service;
pub(crate) use registry::{Desired, Mirrors, PodView, Registry};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;
use tiphys_runtime::{cgroup::Hierarchy, cri::Cri};

use crate::{
    KubeletConfig, classes::Classes, events::Recorder, metric_names::Metrics, pod::downward::NodeFacts,
    sources::Sources, volumes::Volumes,
};

/// What every worker shares.
pub(crate) struct Context {
    pub config: KubeletConfig,
    pub client: kube::Client,
    pub cri: Cri,
    pub socket: PathBuf,
    pub hierarchy: Hierarchy,
    pub classes: Classes,
    pub events: Recorder,
    pub sources: Sources,
    pub services: Cache<Service>,
    pub volumes: Volumes,
    pub metrics: Metrics,
    pub registry: Registry,
    pub tasks: Tasks,
}

impl Context {
    /// The node's share of the downward API, with a Pod's addresses.
    pub(crate) fn node_facts(&self, pod_ips: Vec<String>) -> NodeFacts {
        NodeFacts {
            node_name: self.config.node_name.clone(),
            host_ips: self.config.node_ips.clone(),
            pod_ips,
            cpu_millis: self.config.capacity.cpu_millis,
            memory_bytes: self.config.capacity.memory_bytes,
        }
    }
}
