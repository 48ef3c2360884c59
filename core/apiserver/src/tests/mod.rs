//! Scenarios against a whole API server on a store of its own, driven through
//! the in-memory handler: one file a subject. Which store that is, `backing` knows.

mod admission;
mod aggregation;
mod apply;
mod backing;
mod certificate_requests;
mod components;
mod connections;
mod custom;
mod deletion;
mod discovery;
mod encryption;
mod fuzz;
pub(crate) mod harness;
mod hostile;
mod identities;
mod kinds;
mod lists;
mod on_etcd;
mod ownership;
mod policies;
mod protobuf;
mod refused_bodies;
mod reviewer;
mod scenarios;
mod services;
mod subresources;
mod tls;
mod watches;
mod webhooks;
mod writes;
