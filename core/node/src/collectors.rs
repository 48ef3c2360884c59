//! Where the collectors are: the Pods of the DaemonSet, one for each node, and the
//! server's own.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tiphys_api::names::{COLLECTOR_APP, COLLECTOR_PORT, SYSTEM_NAMESPACE};
use tiphys_client::{Cache, Shared};
use tiphys_lifecycle::Tasks;
use tiphys_logging::root::{Collector, Collectors};

pub struct CollectorPods {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    token: String,
    /// The server's own logs, from its own process.
    server: Option<Collector>,
}

impl CollectorPods {
    pub fn start(
        client: &Client,
        shared: &Shared,
        token: String,
        server: Option<Collector>,
        tasks: &Tasks,
    ) -> Self {
        let own = watcher::Config::default().labels(&format!("app={COLLECTOR_APP}"));
        Self {
            nodes: shared.nodes.clone(),
            pods: Cache::start(tasks, Api::namespaced(client.clone(), SYSTEM_NAMESPACE), own),
            token,
            server,
        }
    }
}

#[async_trait]
impl Collectors for CollectorPods {
    async fn list(&self) -> Vec<Collector> {
        // A node that is not known yet is not one that is gone.
        self.nodes.ready().await;
        self.pods.ready().await;
        let pods = self.pods.list();
        self.nodes
            .list()
            .iter()
            .map(|node| {
                let node = node.name_any();
                let address = pods.iter().find_map(|pod| address(pod, &node));
                Collector { node, address, token: self.token.clone() }
            })
            .chain(self.server.clone())
            .collect()
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let (nodes, pods) = (self.nodes.changes().map(drop), self.pods.changes().map(drop));
        futures::stream::select(nodes, pods).boxed()
    }
}

/// Where the collector on `node` listens, if this is it and it runs.
fn address(pod: &Pod, node: &str) -> Option<SocketAddr> {
    if pod.spec.as_ref()?.node_name.as_deref() != Some(node) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(ip, COLLECTOR_PORT))
}
