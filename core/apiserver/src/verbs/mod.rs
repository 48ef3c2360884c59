//! The generic verbs, one a file, over any resource.

pub mod create;
pub mod delete;
pub mod deletecollection;
pub mod deletion;
pub mod get;
pub mod list;
pub mod observed;
pub mod patch;
pub mod update;
pub mod watch;
