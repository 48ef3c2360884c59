//! The log files of containers: what a line is, reading, rotation, retention.
//!
//! ```text
//! /var/log/pods/<namespace>_<name>_<uid>/<container>/<restart>.log             written by the runtime
//!                                                   /<restart>.log.<time>      rotated away
//! ```
//!
//! Whoever takes the lines over says so by the extended attribute
//! `user.tiphys.acked`: the number of bytes that are safe. A file that is beyond its turn
//! goes when all of it is; what goes before, [`surplus`] says.

mod acked;
mod collected;
mod follow;
pub(crate) mod line;
mod open;
mod options;
mod retention;
mod rotate;
mod says;
mod surplus;
mod tail;

pub(crate) use follow::{Request, stream};
pub(crate) use open::open;
pub(crate) use options::Options;
pub(crate) use retention::keep_house;
pub(crate) use says::say;
