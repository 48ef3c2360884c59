//! Decisions about a Pod, without I/O.
//!
//! - [`plan`]: what to do next; [`status`], [`container_status`], [`conditions`]: what the Pod's status is;
//!   [`status_patch`]: how the API is told.
//! - [`backoff`]: how long a crashed container waits; [`env`]: variables; [`dns`]: resolv.conf.
//! - [`resources`]: requests and limits as the kernel's figures; [`security`]: security contexts.
//! - [`sandbox_config`], [`container_config`]: what CRI is asked to make.
//! - [`runtime`]: what CRI has, as these functions read it; [`names`]: labels and annotations that carry it.

pub mod backoff;
pub mod conditions;
pub mod container_config;
pub mod container_status;
pub mod dns;
pub mod downward;
pub mod env;
pub mod ephemeral;
pub mod names;
pub mod plan;
pub mod resources;
pub mod runtime;
pub mod sandbox_config;
pub mod security;
pub mod spec;
pub mod status;
pub mod status_patch;
