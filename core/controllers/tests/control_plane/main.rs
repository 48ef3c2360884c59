//! Controllers and scheduler together against a whole API server, in memory.
//! [`kubelet`] plays the nodes: it says that Pods run, and lets deleted ones go.

mod collection;
mod daemons;
mod harness;
mod kubelet;
mod nodes;
mod rollouts;
mod scheduling;
mod services;
