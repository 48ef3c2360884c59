//! Answers: objects in the asked form and shape, lists out of cached bytes,
//! errors as Status, large bodies compressed.

pub mod gzip;
pub mod list;
pub mod object;
pub mod protobuf;
pub mod shape;
pub mod table;

pub use object::{error, json, object, status_success};
