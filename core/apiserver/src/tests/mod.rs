//! Scenarios against a whole API server on a store of its own, driven through
//! the in-memory handler: one file a subject.

mod admission;
mod apply;
mod deletion;
mod discovery;
pub(crate) mod harness;
mod hostile;
mod identities;
mod lists;
mod protobuf;
mod services;
mod subresources;
mod tls;
mod watches;
mod writes;
