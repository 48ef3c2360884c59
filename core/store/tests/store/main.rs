//! Tests of the store: the contract of every implementation, and what is the
//! embedded one's own (damage, reopening) or etcd's (members, other servers).

#![allow(clippy::unwrap_used)]

mod contract;
mod crash;
mod damage;
mod etcd;
mod history;
mod members;
mod model;
mod reopen;
mod snapshot;
mod testbed;
