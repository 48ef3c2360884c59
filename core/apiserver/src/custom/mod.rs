//! Kinds that users define, served by the same verbs as the built-in ones.
//!
//! ```text
//! CustomResourceDefinition ── follow ──> names accepted? ──> install: a Resource a served version ──> registry
//!                                  └──> deleted?         ──> finalize: instances first, then itself
//! ```
//!
//! A custom resource's [`Resource`](crate::registry::Resource) carries a [`Served`]: the verbs work on the
//! object in the served version, with that version's schema, and only the way to and from the
//! store ([`served`]) converts. Definitions are ordinary objects; what this module adds
//! is that the registry follows them.
//!
//! What it must not do: answer requests.

mod cache;
mod conversion;
mod finalize;
mod follow;
mod install;
mod served;

pub use cache::LazyCache;
pub use follow::start;
pub use install::Installed;
pub use served::Served;
