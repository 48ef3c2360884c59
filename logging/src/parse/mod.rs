//! From the bytes of a log file to records.
//!
//! ```text
//! format of the file -> line -> piece -> join -> whole line -> severity, group -> body of a record
//! ```
//!
//! Pure: no clock, no files. What is no known format is still a record.

mod cri;
mod group;
mod held;
mod join;
mod severity;
mod stamp;
mod trace;

pub use cri::{Format, Piece, Tag};
pub use group::{Grouped, Grouper};
pub use join::{Completed, Joined, Joiner, Pending, as_part, left_out, part, parts};
pub use severity::{level, of_syslog as severity_of_syslog};
pub use stamp::stamp;

/// The most bytes of a line in one record; a longer line is several: see [`part`].
pub const MAX_BODY: usize = 256 << 10;
