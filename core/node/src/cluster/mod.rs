//! A whole cluster on one machine: `tiphys up` and `tiphys down`.
//!
//! ```text
//! supervisor (tiphys up) ── server
//!      │                └─ node-1: holder (its namespaces) + agent ── containerd ── containers
//!      └ state file: pids with their start times, network, ports; enough for `down` after any death
//! ```
//!
//! The supervisor starts a process again when it dies. Everything it makes is
//! in the state file before it is made, so that whatever is half done can be
//! taken away. What its processes start in turn is known by a mark (`strays`).

pub mod children;
pub mod down;
pub mod lost;
pub mod process;
pub mod remains;
pub mod state;
pub mod strays;
pub mod supervisor;
pub mod wait;
