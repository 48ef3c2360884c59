//! Where the collectors are: the Pods of the DaemonSet, one for each node, the
//! server's own, and those of the cluster's other servers, behind their API servers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tiphys_api::names::{COLLECTOR_APP, COLLECTOR_PORT, SYSTEM_NAMESPACE};
use tiphys_client::{Cache, Shared};
use tiphys_lifecycle::Tasks;
use tiphys_logging::root::{Access, Collector, Collectors};

use crate::control_plane::{Member, Members};

pub struct CollectorPods {
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    token: String,
    /// The server's own logs, from its own process.
    server: Option<Collector>,
    others: Others,
}

/// The other servers, and how to ask them.
pub struct Others {
    pub members: Members,
    /// This server among them.
    pub own: Option<SocketAddr>,
    /// Shows the other API servers that a server asks.
    pub tls: Arc<rustls::ClientConfig>,
}

impl CollectorPods {
    pub fn start(
        client: &Client,
        shared: &Shared,
        token: String,
        server: Option<Collector>,
        others: Others,
        tasks: &Tasks,
    ) -> Self {
        let own = watcher::Config::default().labels(&format!("app={COLLECTOR_APP}"));
        Self {
            nodes: shared.nodes.clone(),
            pods: Cache::start(tasks, Api::namespaced(client.clone(), SYSTEM_NAMESPACE), own),
            token,
            server,
            others,
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
                Collector { node, address, access: Access::Token(self.token.clone()) }
            })
            .chain(self.server.clone())
            .chain(of_members(&self.others.members.borrow(), self.others.own, self.server.as_ref()))
            .collect()
    }

    fn tls(&self) -> Option<Arc<rustls::ClientConfig>> {
        Some(self.others.tls.clone())
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let (nodes, pods) = (self.nodes.changes().map(drop), self.pods.changes().map(drop));
        let mut members = self.others.members.clone();
        members.mark_unchanged();
        let members = stream::unfold(members, |mut members| async move {
            members.changed().await.ok()?;
            Some(((), members))
        });
        stream::select(stream::select(nodes, pods), members).boxed()
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

/// The collectors of the other servers. Of several with one name the first counts: records and
/// the archive tell them apart by it.
fn of_members(members: &[Member], own: Option<SocketAddr>, server: Option<&Collector>) -> Vec<Collector> {
    let mut found: Vec<Collector> = Vec::new();
    for member in members.iter().filter(|member| Some(member.address) != own) {
        let Some(node) = &member.logs else { continue };
        if found.iter().chain(server).all(|other| other.node != *node) {
            let address = Some(member.address);
            found.push(Collector { node: node.clone(), address, access: Access::Server });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_are_asked_behind_their_doors() {
        let member = |port: u16, logs: Option<&str>| Member {
            address: ([10, 0, 0, 1], port).into(),
            logs: logs.map(str::to_owned),
        };
        let members = [
            member(1, Some("_server-a")),
            member(2, Some("_server-b")),
            // Reads no logs, or is of a version that tells of none.
            member(3, None),
            member(4, Some("_server-b")),
            member(5, Some("_server-c")),
        ];
        let own = Collector {
            node: "_server-a".into(),
            address: Some(([127, 0, 0, 1], 7).into()),
            access: Access::Token("t".into()),
        };
        let found = |at: Option<u16>, own| {
            let at = at.map(|port| ([10, 0, 0, 1], port).into());
            let found = of_members(&members, at, own);
            assert!(found.iter().all(|other| other.access == Access::Server));
            found.into_iter().map(|other| (other.node, other.address)).collect::<Vec<_>>()
        };
        let at = |name: &str, port: u16| (name.to_owned(), Some(([10, 0, 0, 1], port).into()));
        assert_eq!(found(Some(1), Some(&own)), [at("_server-b", 2), at("_server-c", 5)]);
        assert_eq!(found(Some(3), None), [at("_server-a", 1), at("_server-b", 2), at("_server-c", 5)]);
    }
}
