//! The kubelet: the Pods of one node, made real through CRI.
//!
//! ```text
//! API watch ──┐                       ┌─> volumes, images, sandbox, containers (CRI)
//! static Pods ┼─> workers::dispatch ──┤
//! containerd ─┘    (one worker a Pod) └─> status, events (API)
//! ```
//!
//! A worker reads what the runtime has of its Pod, asks [`pod`]'s pure functions
//! what to do next, does it, and writes the status if it changed. It runs when the
//! Pod, a container, a probe or a volume's source changes; nothing is polled but
//! one list every half minute, in case an event was lost. All that must outlive
//! this process stands in labels and annotations of sandboxes and containers, so
//! a restarted kubelet finds its Pods and restarts nothing.
//!
//! - [`pod`]: decisions, without I/O: what to do next, status, back-off, env, DNS, resources.
//! - `classes`: the control groups above those of Pods, and what they weigh.
//! - `workers`: the loop of a Pod, and the acts: start, stop, terminate, clean.
//! - `probe`, `volumes`, `images`, `logs`, `node`, `server`: what their names say.
//!
//! What it must not do: decide where Pods run, or read what other nodes do.

mod arriving;
mod classes;
mod config;
mod error;
mod events;
mod images;
mod kubelet;
mod logs;
mod metric_names;
mod mirrors;
mod node;
pub mod pod;
mod probe;
mod samples;
mod server;
mod sources;
mod statics;
mod versions;
mod volumes;
mod workers;

pub use arriving::{Arrival, Arriving};
pub use config::{KubeletConfig, NodeCapacity, ServerIdentity};
pub use error::Error;
pub use kubelet::Kubelet;
