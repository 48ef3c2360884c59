//! The node's own object: registered, its status kept, its Lease renewed.
//!
//! - [`status`]: what the status says, pure; [`machine`]: what the machine says.
//! - [`keep`]: the loop that writes both; [`lease`]: the sign of life, each 10 s.

mod keep;
mod lease;
mod machine;
mod status;

pub(crate) use keep::{keep, register};
pub(crate) use lease::renew;
