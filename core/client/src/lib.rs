//! How every part talks to the API: a `kube::Client`, wired to the API server in
//! memory or over TLS, [`Cache`], a watched copy of a kind ([`Shared`], those that all
//! parts of a process read; a [`LeanPod`] is a Pod there), and [`Events`], what people
//! read below an object.
//!
//! Controllers, scheduler, kubelet and the rest are ordinary clients; only the
//! wire differs. They react to [`Cache::changes`], never to a timer.

mod cache;
mod events;
mod held;
mod meta;
mod pod;
mod pool;
mod shared;
mod transport;

pub use cache::{Cache, Change};
pub use events::{Events, Reporter, Severity, reference};
pub use held::{Entries, Entry, Held, Metadata, find, in_namespace};
pub use meta::MetaOnly;
pub use pod::{Condition, DELETION_COST, LeanPod, LeanStatus, Phase, SCRAPED, WirePod};
pub use pool::{Pooled, one_word, same_owners};
pub use shared::Shared;
pub use transport::{in_memory, with_user};
