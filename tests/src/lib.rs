//! The harness of the end-to-end suites: a real cluster from the real binary,
//! driven by the real tools.
//!
//! - [`Cluster`]: `tiphys up` under a name and ports of its own, taken down when dropped.
//! - [`Machine`]: what the machine holds (processes, mounts, links, tables, cgroups),
//!   to compare before and after.
//! - [`EtcdCluster`]: members of etcd on free ports of loopback, gone with the process.
//! - [`s3::S3Server`]: an S3 server on loopback, gone with the process.
//! - [`doors::Doors`]: the collectors' doors, open for a sender outside the cluster.
//! - [`otlp::Receiver`]: takes spans, metrics and log records as a collector of OTLP does.
//! - [`clients`]: kubectl in every version, Helm, Python's client: found, or made in a cache.
//! - [`eventually`]: a condition that must come true within a limit.

#![allow(clippy::print_stderr, reason = "who runs a suite reads there how it goes")]

pub mod clients;
mod cluster;
mod command;
pub mod doors;
mod etcd;
mod eventually;
mod images;
mod leash;
mod machine;
pub mod otlp;
pub mod s3;

pub use cluster::{Cluster, binary};
pub use command::{Output, run};
pub use etcd::EtcdCluster;
pub use eventually::eventually;
pub use images::{add_curl, busybox_root};
pub use machine::Machine;

/// The folder of the package whose tests run. Asked when they run, not when they are
/// compiled: a build that another clone left would look into that clone.
pub fn package_folder() -> std::path::PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests").into()
}
