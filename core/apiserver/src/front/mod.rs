//! From a connection or an in-memory call to a verb, and back.
//!
//! ```text
//! listen (TLS, HTTP/1.1 and 2) -> authenticate -> observe (span, metrics) -> route -> authorize -> verb
//! handler() (in memory, user in extensions) ------^
//! ```

pub mod listen;
pub mod observe;
pub mod paths;
pub mod resources;
pub mod route;
mod unread;
