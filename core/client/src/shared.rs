//! Watched copies that nearly every part of a server reads, held once a process.
//!
//! Four parts with copies of their own would cost more than all else that a server
//! holds of its objects. Who reads here reads
//! what the identity of the copies' client may; writes go by each part's own client.

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, runtime::watcher};
use tiphys_lifecycle::Tasks;

use crate::{Cache, LeanPod};

/// Clones share the copies.
#[derive(Clone)]
pub struct Shared {
    pub pods: Cache<LeanPod>,
    pub nodes: Cache<Node>,
}

impl Shared {
    /// Watches until `tasks` stops.
    pub fn start(client: &Client, tasks: &Tasks) -> Self {
        let everything = watcher::Config::default();
        Self {
            pods: Cache::start(tasks, Api::all(client.clone()), everything.clone()),
            nodes: Cache::start(tasks, Api::all(client.clone()), everything),
        }
    }
}
