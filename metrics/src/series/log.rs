//! The write-ahead log: what was taken and is not written out yet.
//!
//! ```text
//! append ─> Records ─> pending (memory) ─ each 200 ms ─> segment file ─ each second ─> fsync
//! ```
//!
//! What is written outlives the process, what is synced the machine's end; neither waits for the other
//! (`store/keeping/log.rs`).
//!
//! A segment is a file of frames, `length crc32 records`; it defines each series it has
//! samples of, so that any segment can go when its samples are written out. A frame whose checksum is
//! wrong is passed over and counted, where the next one checks out, and else ends its segment: at the end of
//! the last one a process was killed in the middle of it. One that can't be read though it is as it was
//! written is passed over and counted, too.

mod histogram;
mod records;
mod rows;
mod segments;

pub use histogram::{read as read_histogram, write as write_histogram};
pub use records::{Record, Records};
pub use segments::{Current, LogError, Passed, Segments, make_durable};
