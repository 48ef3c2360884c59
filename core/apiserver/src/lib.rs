//! The Kubernetes API: generic verbs over any kind.

pub mod admission;
pub mod authn;
pub mod authz;
pub mod patch;
pub mod pki;
pub mod streaming;
