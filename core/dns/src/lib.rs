//! Cluster DNS: names of Services and Pods, by the Kubernetes DNS specification
//! 1.1, and everything else from the machine's own resolvers.
//!
//! ```text
//! Services, EndpointSlices ──> zone (records by Service, kept incrementally)
//! query ──> answer ──> name (what is asked) ──> zone ──> records, or NXDOMAIN, or no data
//!              └──> forward (UDP, TCP when truncated) ──> upstream resolvers
//! ```
//!
//! Every node runs one and answers its own Pods. Names are compared without case;
//! records live [`TTL`] seconds.

mod answer;
mod follow;
mod forward;
mod metrics;
mod name;
mod records;
mod resolvers;
mod zone;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use hickory_server::Server;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use parking_lot::RwLock;
use tiphys_client::Cache;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_telemetry::Component;
use tokio::net::{TcpListener, UdpSocket};

use crate::{answer::Answerer, forward::Forwarder, metrics::Metrics, zone::Zone};

/// Seconds that a record of the cluster, or the lack of one, may be remembered.
pub const TTL: u32 = 5;
/// How long a TCP client may be silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Answers that wait for a slow TCP client.
const TCP_ANSWERS: usize = 16;

/// How a DNS server works.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// Where it listens, by UDP and TCP: 10.96.0.10:53 on a node.
    pub listen: SocketAddr,
    /// The zone of the cluster, `cluster.local`.
    pub cluster_domain: String,
    /// The file that names the upstream resolvers: /etc/resolv.conf. Read again when it changes.
    pub resolv_conf: PathBuf,
}

/// What keeps a DNS server from starting.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("cannot listen for DNS on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("{0} is no domain name")]
    Domain(String),
}

/// A running DNS server.
pub struct Dns {
    address: SocketAddr,
}

impl Dns {
    /// Binds and starts. Until the caches are complete, names of the cluster get
    /// SERVFAIL, so that nobody takes a name for missing; clients ask again.
    pub async fn start(
        config: DnsConfig,
        services: Cache<Service>,
        slices: Cache<EndpointSlice>,
        tasks: &Tasks,
        component: &Component,
    ) -> Result<Self, DnsError> {
        let (udp, tcp, address) = bind(config.listen).await?;
        let zone = Zone::new(&config.cluster_domain, own_address(address))
            .ok_or_else(|| DnsError::Domain(config.cluster_domain.clone()))?;
        let zone = Arc::new(RwLock::new(zone));
        let forwarder = Forwarder::new(config.resolv_conf, address);
        let metrics = Metrics::register(component, &config.cluster_domain);
        let answerer = Answerer::new(zone.clone(), forwarder, metrics);
        let mut server = Server::new(answerer);
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS);
        tasks.spawn("dns server", OnError::Stop, async move { server.block_until_done().await });
        tasks.spawn("dns names", OnError::Log, async move {
            follow::follow(zone, services, slices).await;
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Self { address })
    }

    /// Where it listens: the port that was chosen when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// UDP and TCP on the same port.
async fn bind(listen: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), DnsError> {
    let failed = |source| DnsError::Listen { address: listen, source };
    let tcp = TcpListener::bind(listen).await.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    let udp = UdpSocket::bind(address).await.map_err(failed)?;
    Ok((udp, tcp, address))
}

/// The address that the name of the DNS server itself resolves to.
fn own_address(address: SocketAddr) -> Option<IpAddr> {
    Some(address.ip()).filter(|ip| !ip.is_unspecified())
}
