//! Container runtimes, as the kubelet needs them.
//!
//! - [`containerd`]: writes containerd's configuration, starts or adopts it, and listens to its events.
//! - [`cri`]: the Container Runtime Interface over a unix socket, with typed calls.
//! - [`image`]: images built without any other program, and archives imported into containerd.
//! - [`cgroup`]: control groups of Pods and their limits, version 1 and 2.
//! - [`stats`]: what containers, Pods and the node use, read each second.
//!
//! What it must not do: know Kubernetes objects. Those are the kubelet's.

pub mod cgroup;
pub mod containerd;
pub mod cri;
mod error;
pub mod image;
pub mod stats;

pub use error::{Error, Result};
