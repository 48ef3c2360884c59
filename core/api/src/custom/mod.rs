//! Custom resources: what a CustomResourceDefinition says, made ready for the verbs. Pure.
//!
//! ```text
//! definition ──> Version (one a served version): names as a Kind, schema compiled
//! object     ──> shape (types of metadata, unknown fields away) ──> default ──> check (schema, lists, rules)
//! ```
//!
//! - [`version`]: one version of a definition; [`kind`]: its names as a [`Kind`](crate::kind::Kind).
//! - [`structural`]: the schema as a tree, over which [`prune`], [`default`] and [`check`] walk.
//! - [`cel`]: rules in the Common Expression Language.
//! - [`columns`], [`jsonpath`]: printed columns; [`openapi`]: the schema as documents show it.
//!
//! What it must not do: read or write anything, or know where objects are kept.

pub mod cel;
pub mod check;
pub mod columns;
pub mod default;
pub mod embedded;
pub mod formats;
pub mod jsonpath;
pub mod kind;
pub mod lists;
pub mod openapi;
pub mod path;
pub mod prune;
pub mod structural;
#[cfg(test)]
mod tests;
pub mod version;

pub use structural::Structural;
pub use version::{ScaleSpec, Version};
