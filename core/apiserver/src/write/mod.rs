//! From a body to a stored object: what create, update, patch and the
//! subresources share.
//!
//! ```text
//! decode (schema, field validation, version) -> metadata -> defaults -> admission
//!   -> generation -> validation -> managedFields -> unchanged? -> store
//! ```

pub mod admit;
pub mod commit;
pub mod connect;
pub mod decode;
pub mod faults;
pub mod metadata;
pub mod names;
pub mod unchanged;
