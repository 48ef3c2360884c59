//! Tasks with a name and an error policy, and their ordered shutdown; how many files the process
//! may have open.
//!
//! Every task of the process is spawned through [`Tasks`], never by a bare
//! `tokio::spawn`: so each has a name in the log, a decision about what its
//! error means, and an end that shutdown waits for. Groups nest: a child group
//! stops with its parent, or before it.
//!
//! What it must not do: know about any role or component.

mod backoff;
mod open_files;
mod tasks;

pub use backoff::Backoff;
pub use open_files::{allow_many_files, limit_files_as_before};
pub use tasks::{BoxError, OnError, Tasks};
pub use tokio_util::sync::CancellationToken;
