//! containerd: its configuration, its process, its events.
//!
//! ```text
//! Settings ──> config.toml ──> a process in its own session ──> socket answers
//!                              (or the one that already answers there)
//! ```
//!
//! containerd outlives the agent: containers, and those who wait for them, go on
//! while the agent is restarted. So it is adopted when it runs already, and
//! stopped only by [`Containerd::stop`].

mod config;
mod environment;
mod events;
mod process;

pub use config::{Settings, config_toml};
pub use events::{Event, EventKind, subscribe};
pub use process::{Containerd, version};

/// Where the CRI plug-in keeps everything.
pub const NAMESPACE: &str = "k8s.io";

/// A request to containerd's own API within [`NAMESPACE`].
pub(crate) fn request<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let value = tonic::metadata::MetadataValue::from_static(NAMESPACE);
    request.metadata_mut().insert("containerd-namespace", value);
    request
}
