//! The watch cache: LIST, GET and watch of one stored resource, out of memory.
//!
//! ```text
//! store watch ──> feed ──> state (key -> object) + ring of recent changes ──> queues of watchers
//!                             │                        │
//!                          get, list          watch from a revision, list at a revision
//! ```
//!
//! A [`ResourceCache`] holds each object of a prefix as the very bytes that go
//! over the wire, beside what selectors need. Nothing is decoded or encoded for a
//! reader: a LIST concatenates, a watch event is encoded once for all watchers.
//!
//! **The rule of `metadata.resourceVersion`**: the API server stores JSON without
//! it; the cache puts it in, once, when the store tells it of the object
//! ([`with_resource_version`]; a stale one is replaced). The revision of the
//! store's record is the resourceVersion, in decimal.
//!
//! Bounds: the ring ([`Limits::ring_events`], [`Limits::ring_bytes`]) and each
//! watcher's queue ([`Limits::watcher_events`], [`Limits::watcher_bytes`]). A
//! reader that wants what fell off the ring, or what was before it and the store
//! has given up, gets [`CacheError::Expired`]; a watcher
//! whose queue is full is ended with [`CacheError::SlowWatcher`].

mod continue_token;
mod encode;
mod extract;
mod feed;
mod object;
mod query;
mod queue;
mod recall;
mod resource;
mod ring;
pub mod selector;
mod splice;
mod state;
#[cfg(test)]
mod tests;
mod values;
mod watcher;

pub use continue_token::ContinueToken;
pub use encode::{Items, ListChunks, ListHead};
pub use extract::{Extract, FieldPaths, Meta};
pub use object::CachedObject;
pub use query::{CacheError, Freshness, ListQuery, ListResult, WatchQuery, WatchStart};
pub use resource::{CacheConfig, Limits, ResourceCache};
pub use selector::{FieldSelector, LabelSelector, Selector, SelectorError};
pub use splice::with_resource_version;
pub use watcher::{CacheWatch, EventKind, WatchEvent};
