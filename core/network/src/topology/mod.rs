//! The cluster that `tiphys up` lays out on one machine.
//!
//! ```text
//! host ── bridge tph-<hash> (172.30.K.1/24, masquerades what leaves)
//!            ├── tph-<hash>-0 ── eth0 of node 0 (172.30.K.10, namespaces kept by its holder)
//!            ├── tph-<hash>-1 ── eth0 of node 1 (172.30.K.11)
//!            └── ...
//! ```
//!
//! Order: [`setup`], then for each node [`Holder::spawn`] and [`attach`]; processes
//! of the node start through [`Namespaces::enter_on_exec`]. All of it may be
//! repeated. [`teardown`] takes away whatever is there, also of a cluster that
//! died half-way: every name follows from the cluster's name, and what cannot be
//! derived (was forwarding on?) stands in the bridge's alias as well as in [`NetState`].

mod build;
mod firewall;
mod forwarding;
mod found;
mod holder;
mod lock;
mod mount_points;
mod mounts;
mod namespaces;
mod plan;
mod resolver;
mod state;

pub use build::{attach, setup, teardown};
pub use found::found;
pub use holder::{Holder, HolderSpec, holder_main};
pub use namespaces::Namespaces;
pub use plan::ClusterNet;
pub use state::NetState;
