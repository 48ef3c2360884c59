//! Pods and Pod templates: what their specs default to, what is wrong with them, how a table shows them.
//!
//! - [`defaults`]: what is filled in; [`validate`], and the files it names, for what is wrong with a spec.
//! - [`update`], [`resize`]: what may change in a Pod that exists; [`status`]: in what its node says.
//! - [`placing`]: where it may run; [`qos`]: its class; [`references`]: what of the API it needs.
//! - [`summary`]: READY, STATUS and RESTARTS of a table.

mod container;
pub mod defaults;
mod env;
mod mounts;
pub mod placing;
mod probe;
mod projected;
pub mod qos;
pub mod references;
pub mod resize;
mod resources;
mod security;
pub mod status;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod update;
pub mod validate;
pub mod volume;

pub const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
