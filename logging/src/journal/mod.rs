//! The journal of systemd as streams: one a unit, on nodes whose parts write there.
//!
//! ```text
//! inotify -> a folder's files by their id -> file: entries behind the last one read
//!         -> entry: unit, level, body with fields -> records of that unit's stream: units
//! ```
//!
//! The files are read as their documentation describes them (systemd, Journal File Format),
//! by the kernel's reads and not by a mapping: who rotates them truncates them. How far a file
//! was read is a count of its entries, by the file's own id, so it holds over a rename and over
//! a clock that is set; the manifest has it beside the streams' checkpoints. A file that is
//! deleted is read to its end through its descriptor. What journald copies from one folder to
//! the other when the disk is there is read once ([`span`]).

mod entry;
mod file;
mod files;
mod span;
mod units;

pub use files::{Journal, JournalCheckpoint};

#[cfg(test)]
pub(crate) mod tests;
