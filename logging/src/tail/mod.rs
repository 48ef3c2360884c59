//! Following the log files of all containers of the node.
//!
//! ```text
//! inotify -> watch (what changed) -> tailer: scan a directory, queue files that have more
//!         -> file: one chunk a turn, round robin over containers -> parse -> records of a stream
//! ```
//!
//! Found at once: a new directory is watched first and listed second. Lost
//! never: a file is known by its inode, so a rename moves nothing; a rotated file
//! is read to its end, a deleted one through the open descriptor; one that a kubelet, docker or
//! logrotate has compressed meanwhile is known by the begin of its text ([`packed`]), and so is one
//! that was set aside by a copy. Backpressure is
//! not reading: the caller just doesn't ask for the next chunk. A symbolic link is
//! never followed, on no step of the way ([`dir`]); what docker's links name is opened from
//! docker's own folder ([`links`]). What is there and can't be opened waits and is tried again
//! ([`again`]); that descriptors run out is kept from happening ([`room`]).
//!
//! The logs of the node's own parts ([`SystemLog`]) are read the same way, from the
//! files where they are.
//!
//! Where reading stands is a [`StreamCheckpoint`] a stream, which the index commits
//! together with the records before it. After a crash reading goes on there.

mod again;
mod behind;
mod checkpoint;
pub mod dir;
mod file;
mod held;
mod links;
mod name;
mod packed;
mod room;
mod stream;
mod system;
mod tailer;
mod watch;

pub use checkpoint::{FileCheckpoint, StreamCheckpoint};
pub use held::{Owner, PodName};
pub use stream::Batch;
pub use system::{NAMESPACE as SYSTEM_NAMESPACE, SystemLog};
pub use tailer::{Tailer, Turn};
pub use watch::{Change, Place, Watch, Watcher};

/// The xattr of a log file that says how many of its bytes are durably indexed, in decimal.
pub const ACKED: &str = "user.tiphys.acked";

/// The xattr of a Pod's directory that says what the Pod says of its logs: its annotations below
/// `logs.tiphys.io/`, as a JSON object of whole names.
pub const SAYS: &str = "user.tiphys.logs";

#[cfg(test)]
mod tests;
