//! Control groups: made, limited, entered, removed. Versions 1 and 2.
//!
//! A group is named by its path below the hierarchy's root, such as
//! `/kubepods/burstable/pod1234`. In version 1 that path exists once for each
//! controller; a group made here exists in all of them, because the runtime puts
//! containers below it in all of them, and a removal must find them all.
//!
//! - [`limits`]: the arithmetic between Kubernetes' figures and the kernel's.

mod hierarchy;
mod huge_pages;
pub mod limits;
mod unified;

pub use hierarchy::Hierarchy;
pub use huge_pages::HugePages;
pub use limits::Limits;
