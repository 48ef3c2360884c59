//! log, exec, attach, port-forward: from the client through the API server to the kubelet.
//!
//! ```text
//! client ── GET log ───────────────────────────────> plain answer, streamed
//! client ── Upgrade: SPDY/3.1 ─────────────────────> raw bytes both ways, after both sides said 101
//! client ── WebSocket v5/v4/v1.channel.k8s.io ─────> channels to streams of a small SPDY client (translate)
//! client ── WebSocket SPDY/3.1+portforward.k8s.io ─> messages to the raw bytes of a SPDY connection (unwrap)
//! client ── WebSocket v4.channel.k8s.io, ports ────> raw bytes both ways, the runtime speaks it too
//!                                                    │
//!                  kubelet of the Pod's node: TLS verified against the cluster's authority, own client certificate
//! ```
//!
//! `proxy` passes single requests on to a Node's kubelet, a Pod or a Service.
//!
//! The kubelet is asked first; the client is told 101 only when the kubelet said
//! so. Whatever else the kubelet says becomes an ordinary answer, so no client
//! ever holds a connection to a kubelet that it was not granted.
//!
//! Whether the user may is asked before this is called: by the verb of the method,
//! and by what [`authorization_verb`] names.

mod channels;
mod connect;
mod destination;
mod kubelet;
mod log;
mod options;
mod permission;
mod proxy;
mod spdy;
mod translate;
pub mod tunnel;
mod unwrap;
mod upgrade;
mod websocket;

pub use connect::close;
pub use destination::may_be_dialled;
pub use permission::authorization_verb;
pub use proxy::{service_endpoint, strip_hop_by_hop};
pub use upgrade::tokens;

use std::{net::IpAddr, sync::Arc};

use tiphys_lifecycle::Tasks;

use crate::authz::Objects;
use kubelet::Kubelets;

/// Carries streams between clients and kubelets.
pub struct Streaming {
    objects: Arc<dyn Objects>,
    kubelets: Kubelets,
    tasks: Tasks,
    /// Which addresses may be dialled.
    reachable: fn(IpAddr) -> bool,
}

impl Streaming {
    /// `tls` trusts the cluster's authority and shows the certificate that kubelets
    /// accept: [`client_tls`](crate::pki::client_tls).
    pub fn new(objects: Arc<dyn Objects>, tls: Arc<rustls::ClientConfig>, tasks: Tasks) -> Self {
        let kubelets = Kubelets::new(tls, tasks.clone());
        Self { objects, kubelets, tasks, reachable: destination::may_be_dialled }
    }
}

#[cfg(test)]
mod tests;
