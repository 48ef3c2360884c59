//! Probes: whether a container has started, lives, and is ready.
//!
//! ```text
//! run (exec, HTTP, TCP, gRPC) ──> machine (thresholds, pure) ──> Board (by container id) ──> wakes the worker
//! ```
//!
//! One task a container instance; it ends with the instance. The startup probe
//! holds the others back until it passes.

mod board;
mod counts;
mod grpc;
mod http;
mod machine;
mod run;
mod task;

pub(crate) use board::Board;
pub(crate) use counts::{Counting, Counts};
pub(crate) use run::{Target, run_handler};
pub(crate) use task::{ProbeContext, watch};
