//! Controllers and scheduler together against a whole API server, in memory.
//! [`kubelet`] plays the nodes: it says that Pods run, and lets deleted ones go.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod certificates;
mod collection;
mod collection_of_pods;
mod daemons;
mod disruptions;
mod harness;
mod kubelet;
mod nodes;
mod protection;
mod quota_lives;
mod quotas;
mod replication;
mod rollouts;
mod roots;
mod scheduling;
mod services;
mod stateful;
mod tokens;
