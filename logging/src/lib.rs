//! Logs: any line of any node, found the moment it was written, none lost.
//!
//! ```text
//! on every node, `collector`:  tail, journal -> parse -> block -> index -> search -> serve
//! on the server, `root`:       authorize, ask every collector and the archive, merge
//!                `archive`:    takes the nodes' splits, keeps and searches them
//! on the command line:         client, render
//! ```
//!
//! It meets the kubelet only through the CRI log files under /var/log/pods, so it
//! runs beside any kubelet. `query` is the language; `wire` the JSON shapes.

pub mod archive;
pub mod block;
pub mod client;
pub mod collector;
pub mod deletion;
pub mod doors;
pub mod follow;
mod grid;
pub mod grpc;
mod handover;
pub mod index;
mod inert;
pub mod journal;
pub mod loki;
pub mod metric_names;
pub mod parse;
pub mod policy;
pub mod query;
pub mod record;
pub mod render;
pub mod root;
pub mod search;
mod serve;
pub mod tail;
pub mod time;
pub mod wal;
pub mod wire;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod own_process;
#[cfg(test)]
mod small_disk;

// The bench's generator of lines serves the tests of blocks too, under the name it knows.
#[cfg(test)]
extern crate self as tiphys_logging;
