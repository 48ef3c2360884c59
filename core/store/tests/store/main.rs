//! Tests of the store: the contract of every implementation, and what is the
//! embedded one's own.

#![allow(clippy::unwrap_used)]

mod contract;
mod crash;
mod damage;
mod model;
mod reopen;
mod testbed;
