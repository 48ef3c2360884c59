//! Syslog: RFC 5424 and RFC 3164, over TCP, UDP and TLS (RFC 5425).
//!
//! ```text
//! tcp   bytes -> frames (octet counting or lines) -> parse -> draft -> durable -> read on
//! udp   datagram -> parse -> queue -> draft -> durable
//! ```
//!
//! It has no token: the configuration says from which networks records are taken
//! and which namespace they go to. A connection is not read on before what came is
//! durable. A datagram can't be held back by its sender: what doesn't fit the
//! queue is lost, and counted as refused. A message too long for one record is held to its
//! end and becomes several; what is cut off one without end is counted as capped.

mod frames;
mod parse;
mod sockets;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

#[cfg(test)]
pub use frames::Frames;
#[cfg(test)]
pub use parse::Message;
pub use sockets::open;

use super::draft::{Draft, Group, Line};
use crate::record::Level;

/// Where syslog is taken, from whom, and whose it is.
#[derive(Debug, Clone, Default)]
pub struct SyslogConfig {
    pub tcp: Option<SocketAddr>,
    pub udp: Option<SocketAddr>,
    /// With the doors' certificate.
    pub tls: Option<SocketAddr>,
    pub namespace: String,
    /// Networks of the senders.
    pub from: Vec<IpNet>,
}

impl SyslogConfig {
    pub fn is_open(&self) -> bool {
        self.tcp.is_some() || self.udp.is_some() || self.tls.is_some()
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.iter().any(|network| network.contains(&address))
    }
}

/// Messages of one sender, as streams by host and app.
fn draft(messages: impl IntoIterator<Item = parse::Message>, peer: IpAddr) -> Draft {
    let peer = peer.to_canonical().to_string();
    let mut draft = Draft::default();
    for message in messages {
        let mut group = Group::default();
        let host = message.host.as_deref().unwrap_or(&peer).to_owned();
        group.origin.container = message.app.clone();
        (group.origin.pod, group.origin.node) = (Some(host.clone()), Some(host));
        if let Some(facility) = message.facility {
            group.label("facility", facility);
        }
        let level = message.level.unwrap_or(Level::Unknown);
        let time = message.time;
        let body = message.body(&mut group.capped);
        group.lines.push(Line { item: 0, time, level, body });
        draft.groups.push(group);
    }
    draft
}

#[cfg(test)]
mod tests;
