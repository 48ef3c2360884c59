//! The network of a node, and of a whole cluster on one machine.
//!
//! - [`topology`]: what `tiphys up` builds on the machine: a bridge, a network
//!   and mount namespace a node, and how all of it is taken away again.
//! - [`cni`]: the configuration that containerd gives the CNI plug-ins.
//! - [`NodeRoutes`]: routes to the other nodes' Pods.
//! - [`proxy`]: Services, by nftables.
//!
//! Decisions (which subnet, which routes, which rules) are pure functions;
//! [`netlink`] and [`nft`] are the edges that act.

pub mod cni;
mod coalesce;
mod error;
pub mod netlink;
pub mod nft;
mod node;
pub mod proxy;
mod routes;
pub mod topology;

pub use error::Error;
pub use node::{add_dns_address, prepare_node, remove_dns_address};
pub use routes::{NodeRoutes, RoutesConfig};
