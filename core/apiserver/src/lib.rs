//! The Kubernetes API: generic verbs over any kind.
//!
//! ```text
//! front (TLS, authentication, span) -> authz -> verbs / subresources -> write (decode, admission, validation)
//!                                                     │                          │
//!                                          cache (LIST, watch, GET) <── store <──┘
//! ```
//!
//! - [`ApiServer`] is all of it: [`ApiServer::handler`] in memory, [`ApiServer::serve`] behind TLS.
//! - `request`: what is asked; `respond`: how it is answered; [`status`]: how it fails.
//! - `verbs`, `subresources`: one a file, over any resource; `write`: what those that store have in common.
//! - `custom`: kinds that come and go with their definitions; [`aggregation`]: groups that extension servers answer.
//! - `cel`: expressions of policies; [`cache`], [`patch`], [`authn`], [`authz`], [`admission`], [`audit`], [`streaming`], [`pki`]: parts with a contract of their own.
//!
//! What it must not do: know a kind. What differs between kinds stands in core/api.

pub mod admission;
pub mod aggregation;
pub mod audit;
pub mod authn;
pub mod authz;
mod bootstrap;
pub mod cache;
mod cel;
mod certificates;
mod components;
mod config;
mod context;
mod custom;
mod discovery;
pub mod encryption;
mod flow;
mod front;
mod metrics;
mod mounts;
mod nesting;
mod openapi;
pub mod patch;
pub mod pki;
mod protobuf;
mod registry;
mod request;
mod respond;
mod served_versions;
mod server;
mod service;
mod state;
pub mod status;
mod status_from;
mod storage;
pub mod streaming;
mod subresources;
mod verbs;
mod webhook;
mod write;

pub use components::HealthCheck;
pub use config::{Config, ConfigError};
pub use discovery::Elsewhere;
pub use mounts::{MountedGroup, MountedResource};
pub use server::{ApiServer, StartError};
pub use service::addresses::{Cidr, CidrError};

#[cfg(test)]
mod tests;
