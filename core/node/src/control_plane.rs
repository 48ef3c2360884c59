//! The servers of a cluster that share a store: each says that it is there, and the
//! Service `kubernetes` leads to all that are.
//!
//! ```text
//! this server ──> /masterleases/<address> in the store, with a lease of 15 s that it keeps alive
//! /masterleases/, watched by each server ──> Endpoints and EndpointSlice `kubernetes`
//!                                        └─> Members, whose logs are asked for: collectors.rs
//! ```
//!
//! A server that dies is out when its lease ends. What the servers write is the
//! same, so it doesn't matter which of them writes it.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use k8s_openapi::api::{core::v1::Endpoints, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_store::{LeaseId, Range, Record, Store, StoreError, Txn};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const PREFIX: &str = "/masterleases/";
const ALIVE: Duration = Duration::from_secs(15);
const EVERY: Duration = Duration::from_secs(5);
/// For the last word to the store.
const GOODBYE: Duration = Duration::from_secs(2);

/// A server that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub address: SocketAddr,
    /// The node by whose name its own log is known; none of a server that reads none.
    pub logs: Option<String>,
}

/// The servers that are there, in order of their addresses; this one is among them.
pub type Members = watch::Receiver<Vec<Member>>;

/// What a server says of itself beside its address.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Said {
    logs: Option<String>,
}

/// Tells of this server and follows the others, until `tasks` stops.
pub fn join(store: Arc<dyn Store>, client: Client, own: Member, tasks: &Tasks) -> Members {
    let (members, followed) = watch::channel(Vec::new());
    let (telling, members) = (store.clone(), Arc::new(members));
    tasks.spawn_draining("control plane member", OnError::Log, move |stop| tell(telling, own, stop));
    tasks.spawn_restarting("control plane endpoints", move || {
        follow(store.clone(), client.clone(), members.clone())
    });
    followed
}

/// Of a server that shares its store with none.
pub fn alone() -> Members {
    watch::channel(Vec::new()).1
}

/// Keeps the own address in the store.
async fn tell(store: Arc<dyn Store>, own: Member, stop: CancellationToken) -> Result<(), StoreError> {
    let mut lease = None;
    loop {
        match tell_once(&*store, &own, lease).await {
            Ok(kept) => lease = Some(kept),
            Err(error) => {
                tracing::warn!(%error, "this server can't tell that it is there");
                lease = None;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => break,
        }
    }
    if let Some(lease) = lease {
        // The store may be closed already; then the lease runs out.
        let _ = tokio::time::timeout(GOODBYE, store.revoke(lease)).await;
    }
    Ok(())
}

async fn tell_once(store: &dyn Store, own: &Member, lease: Option<LeaseId>) -> Result<LeaseId, StoreError> {
    if let Some(lease) = lease {
        match store.keep_alive(lease).await {
            Err(StoreError::LeaseNotFound(_)) => {}
            kept => return kept.map(|()| lease),
        }
    }
    let lease = store.grant(ALIVE).await?;
    let put = tiphys_store::Op::Put {
        key: format!("{PREFIX}{}", own.address),
        value: own.said().into(),
        lease: Some(lease),
    };
    store.transact(Txn { success: vec![put], ..Txn::default() }).await?;
    Ok(lease)
}

/// Writes the endpoints whenever the servers change.
async fn follow(
    store: Arc<dyn Store>,
    client: Client,
    members: Arc<watch::Sender<Vec<Member>>>,
) -> anyhow::Result<()> {
    loop {
        let page = store.range(Range::prefix(PREFIX)).await?;
        let mut watch = store.watch(PREFIX, page.revision + 1).await?;
        let mut found: Vec<_> = page.records.iter().filter_map(Member::read).collect();
        found.sort_by_key(|member| member.address);
        let addresses = found.iter().map(|member| member.address).collect();
        // None at all are servers that can't be seen at the moment.
        if !found.is_empty() {
            members.send_if_modified(|known| std::mem::replace(known, found.clone()) != found);
        }
        write(&client, &addresses).await?;
        loop {
            let batch = watch.next().await.context("the store was closed")??;
            if !batch.events.is_empty() {
                break;
            }
        }
    }
}

impl Member {
    /// `None` where that is no server's address.
    fn read(record: &Record) -> Option<Self> {
        let address = record.key.strip_prefix(PREFIX)?.parse::<SocketAddr>();
        let address = address.inspect_err(|_| tracing::warn!(key = record.key, "no address of a server"));
        // Servers of an earlier version repeat their address there.
        let said: Said = serde_json::from_slice(&record.value).unwrap_or_default();
        Some(Self { address: address.ok()?, logs: said.logs })
    }

    fn said(&self) -> Vec<u8> {
        json!(Said { logs: self.logs.clone() }).to_string().into_bytes()
    }
}

async fn write(client: &Client, servers: &BTreeSet<SocketAddr>) -> anyhow::Result<()> {
    // A cluster without a server is one whose servers can't be seen at the moment.
    if servers.is_empty() {
        return Ok(());
    }
    let how = PatchParams::apply("tiphys-apiserver").force();
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), "default");
    endpoints.patch("kubernetes", &how, &Patch::Apply(&as_endpoints(servers))).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    slices.patch("kubernetes", &how, &Patch::Apply(&as_slice(servers))).await?;
    Ok(())
}

fn as_endpoints(servers: &BTreeSet<SocketAddr>) -> Value {
    let ports: BTreeSet<u16> = servers.iter().map(SocketAddr::port).collect();
    let subset = |port: &u16| {
        let at = servers.iter().filter(|server| server.port() == *port);
        json!({
            "addresses": at.map(|server| json!({ "ip": server.ip().to_string() })).collect::<Vec<_>>(),
            "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
        })
    };
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            // The mirroring controller leaves it alone: the slice is written here too.
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": ports.iter().map(subset).collect::<Vec<_>>(),
    })
}

/// One slice has one set of ports: the port of the first server is the one that
/// all are reached at, as behind one Service.
fn as_slice(servers: &BTreeSet<SocketAddr>) -> Value {
    let port = servers.first().map_or(443, SocketAddr::port);
    let at = servers.iter().filter(|server| server.port() == port);
    let ipv4 = servers.first().is_some_and(SocketAddr::is_ipv4);
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": "kubernetes", "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": if ipv4 { "IPv4" } else { "IPv6" },
        "endpoints": at
            .filter(|server| server.is_ipv4() == ipv4)
            .map(|server| json!({ "addresses": [server.ip().to_string()], "conditions": { "ready": true } }))
            .collect::<Vec<_>>(),
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_where_its_log_is() {
        let record = |address: &str, value: &[u8]| Record {
            key: format!("{PREFIX}{address}"),
            value: value.to_vec().into(),
            create_revision: 1,
            mod_revision: 1,
            version: 1,
            lease: None,
        };
        for logs in [None, Some("_server-a".to_owned())] {
            let member = Member { address: ([10, 0, 0, 1], 6443).into(), logs };
            assert_eq!(Member::read(&record("10.0.0.1:6443", &member.said())), Some(member));
        }
        let earlier = Member::read(&record("10.0.0.1:6443", b"10.0.0.1:6443")).expect("a server");
        assert_eq!(earlier.logs, None);
        assert_eq!(Member::read(&record("x", b"{}")), None);
    }

    #[test]
    fn servers_become_endpoints() {
        let servers = ["10.0.0.2:6443", "10.0.0.1:6443", "10.0.0.3:7443"];
        let servers = servers.map(|server| server.parse().expect("an address")).into();
        let endpoints = as_endpoints(&servers);
        let addresses = json!([{ "ip": "10.0.0.1" }, { "ip": "10.0.0.2" }]);
        assert_eq!(endpoints["subsets"][0]["addresses"], addresses);
        assert_eq!(endpoints["subsets"][1]["ports"][0]["port"], 7443);
        let slice = as_slice(&servers);
        assert_eq!(slice["endpoints"].as_array().map(Vec::len), Some(2));
        assert_eq!(slice["ports"][0]["port"], 6443);
    }
}
