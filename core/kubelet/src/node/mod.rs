//! The node's own object: registered, its status kept, its Lease renewed.
//!
//! - [`status`]: what the status says, pure; [`machine`]: what the machine says.
//! - [`keep`]: the loop that writes both; [`lease`]: the sign of life, each 10 s.

mod keep;
mod lease;
mod machine;
mod status;

use std::path::Path;

pub(crate) use keep::{keep, register};
pub(crate) use lease::renew;

/// Whether the disk of a folder is as short as makes it a condition of the node.
pub(crate) fn is_short_of_disk(folder: &Path) -> bool {
    status::is_short_of_disk(&machine::health(folder))
}
