//! Pods and Pod templates: what their specs default to, what is wrong with them, how a table shows them.
//!
//! - [`defaults`]: what is filled in; [`validate`] with `container`, `probe`, [`placing`] and `volume`: what is wrong.
//! - [`update`]: what may change in a Pod that exists; [`qos`]: its class.
//! - [`summary`]: READY, STATUS and RESTARTS of a table.

mod container;
pub mod defaults;
pub mod placing;
mod probe;
pub mod qos;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod update;
pub mod validate;
mod volume;

pub const RESTART_POLICIES: &[&str] = &["Always", "OnFailure", "Never"];
