//! Whether a user may: RBAC, the Node authorizer, reviews, and what all of this
//! reads of the cluster.
//!
//! ```text
//! roles, bindings (watch caches) ── rebuild ──> Table: subject -> rules, by namespace
//! question ──> system:masters | Node authorizer (node.rs) | Table ──> yes, or a sentence why not
//! ```
//!
//! [`Rbac`] is the [`Authorizer`](tiphys_api::auth::Authorizer) of the cluster;
//! whoever owns the caches calls [`Rbac::rebuild`] after any change of Roles,
//! ClusterRoles or their bindings. [`check_escalation`] keeps writers of roles from
//! granting what they do not have; [`review`] answers the access reviews;
//! [`bootstrap`] is the data every cluster starts with.
//!
//! What it must not do: block, or read the store in [`Rbac::authorize`](tiphys_api::auth::Authorizer).

pub mod bootstrap;
mod escalation;
mod node;
mod objects;
mod rbac;
mod refusal;
mod reviews;
mod rule;
mod table;
mod wording;

pub use escalation::check_escalation;
pub use objects::{Objects, Raw, find};
pub use rbac::{Decision, Rbac};
pub use refusal::Refusal;
pub use reviews::review;
pub use wording::forbidden;

/// The node that a user is the kubelet of: a member of `system:nodes` called `system:node:NAME`.
pub(crate) use node::node_of;

/// The API group of roles and bindings.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
