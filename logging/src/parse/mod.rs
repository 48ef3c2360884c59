//! From the bytes of a log file to records.
//!
//! ```text
//! line -> cri (or docker's json-file) -> piece -> join -> body of a record -> severity
//! ```
//!
//! Pure: no clock, no files. What is no known format is still a record.

mod cri;
mod join;
mod severity;

pub use cri::{Piece, Tag, piece};
pub use join::{Joined, Joiner, Pending};
pub use severity::level;

/// The longest body that is kept; of a longer line the begin is, with a mark that says how much is missing.
pub const MAX_BODY: usize = 256 << 10;
