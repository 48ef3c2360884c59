//! Follows each node's stream of samples: one task a node, from the moment the
//! node has an address until it is gone.
//!
//! The stream is NDJSON over HTTPS from the kubelet. After a break it is taken up
//! where memory ends (`?since=`), so a restart of either side loses nothing that
//! the kubelet still has.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use prometheus_client::metrics::counter::Counter;
use rustls_pki_types::ServerName;
use tiphys_api::{names::KUBELET_PORT, samples::NodeSamples};
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::{BoxError, OnError, Tasks};
use tokio::{net::TcpStream, time::timeout};

use crate::{disks::Disks, memory::Memory, names::Names, volumes::Volumes};

/// A line longer than this is no second of any node.
const LONGEST_LINE: usize = 64 << 20;
/// A kubelet that says nothing for so long is asked anew.
const SILENCE: Duration = Duration::from_secs(10);

/// How kubelets are reached.
#[derive(Clone)]
pub struct FollowConfig {
    /// With the client certificate that kubelets ask for.
    pub tls: Arc<rustls::ClientConfig>,
}

/// Who gets what nodes say.
#[derive(Clone)]
pub struct Takers {
    pub memory: Arc<Memory>,
    pub names: Arc<Names>,
    pub volumes: Arc<Volumes>,
    pub disks: Arc<Disks>,
}

impl Takers {
    /// One second of a node.
    pub fn take(&self, samples: &NodeSamples) {
        self.memory.ingest(samples);
        self.names.take(samples);
        self.volumes.ingest(samples);
        self.disks.ingest(samples);
    }
}

/// Starts the followers; they end with `tasks`.
pub fn start(config: FollowConfig, nodes: Cache<Node>, takers: Takers, seconds: Counter, tasks: &Tasks) {
    let group = tasks.clone();
    tasks.spawn("follow nodes", OnError::Log, async move {
        let mut followed: HashMap<String, (IpAddr, Tasks)> = HashMap::new();
        let mut changes = Box::pin(nodes.changes());
        loop {
            let current: HashMap<_, _> =
                nodes.list().iter().filter_map(|node| Some((node.name_any(), address(node)?))).collect();
            followed.retain(|name, (ip, tasks)| {
                let stays = current.get(name) == Some(ip);
                if !stays {
                    tasks.token().cancel();
                }
                if !current.contains_key(name) {
                    takers.names.gone(name);
                }
                stays
            });
            for (name, ip) in current {
                followed.entry(name.clone()).or_insert_with(|| {
                    let tasks = group.child();
                    let follower = Follower {
                        config: config.clone(),
                        name,
                        ip,
                        takers: takers.clone(),
                        seconds: seconds.clone(),
                    };
                    tasks.spawn_restarting(format!("follow {}", follower.name), move || {
                        follower.clone().follow()
                    });
                    (ip, tasks)
                });
            }
            // Status changes of a node come every few seconds; only its address and its end matter.
            match changes.next().await {
                Some(Change::Applied(_) | Change::Deleted(_) | Change::Resync) => {}
                None => return Ok::<(), BoxError>(()),
            }
        }
    });
}

fn address(node: &Node) -> Option<IpAddr> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    addresses.iter().find(|address| address.type_ == "InternalIP")?.address.parse().ok()
}

#[derive(Clone)]
struct Follower {
    config: FollowConfig,
    name: String,
    ip: IpAddr,
    takers: Takers,
    seconds: Counter,
}

impl Follower {
    /// Reads one stream to its end, which is always an error: it has none.
    async fn follow(self) -> Result<(), BoxError> {
        let address = SocketAddr::new(self.ip, KUBELET_PORT);
        let socket = timeout(SILENCE, TcpStream::connect(address)).await??;
        let name = ServerName::IpAddress(self.ip.into());
        let tls = tokio_rustls::TlsConnector::from(self.config.tls.clone());
        let stream = timeout(SILENCE, tls.connect(name, socket)).await??;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let since = self.takers.memory.newest_of(&self.name).unwrap_or(0);
        let request = Request::get(format!("/tiphys/v1/samples?since={since}"))
            .header(hyper::header::HOST, address.to_string())
            .body(Empty::<bytes::Bytes>::new())?;
        let reading = async {
            let answer = sender.send_request(request).await?;
            if !answer.status().is_success() {
                return Err(format!("the kubelet answered {}", answer.status()).into());
            }
            self.read(answer.into_body()).await
        };
        tokio::select! {
            result = reading => result,
            ended = connection => Err(ended.err().map_or_else(|| "the kubelet closed the connection".into(), Into::into)),
        }
    }

    async fn read(&self, mut body: hyper::body::Incoming) -> Result<(), BoxError> {
        let mut buffer = Vec::new();
        loop {
            let frame = timeout(SILENCE, body.frame()).await?;
            let Some(frame) = frame.transpose()? else {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            };
            let Ok(data) = frame.into_data() else { continue };
            buffer.extend_from_slice(&data);
            let mut start = 0;
            while let Some(length) = buffer[start..].iter().position(|byte| *byte == b'\n') {
                let mut samples: NodeSamples = serde_json::from_slice(&buffer[start..start + length])?;
                // A node speaks for itself only.
                samples.node.clone_from(&self.name);
                self.takers.take(&samples);
                self.seconds.inc();
                start += length + 1;
            }
            buffer.drain(..start);
            if buffer.len() > LONGEST_LINE {
                return Err(format!("a line of more than {LONGEST_LINE} bytes").into());
            }
        }
    }
}
