//! `tiphys agent`: a node.

use std::{net::Ipv4Addr, path::PathBuf, process::ExitCode};

use crate::{
    failure::{OrNext, Outcome},
    roles::{self, process},
};

#[derive(Debug, Clone, clap::Args)]
pub struct Agent {
    /// The Node's name
    #[arg(long, env = "TIPHYS_NODE_NAME")]
    pub node_name: String,
    /// The address under which other nodes and the server reach this one
    #[arg(long)]
    pub node_ip: Ipv4Addr,
    /// Kubeconfig with the node's credentials (user system:node:<name>, group system:nodes)
    #[arg(long)]
    pub kubeconfig: PathBuf,
    /// Folder for the node's own files; kubelet.crt and kubelet.key in it are its serving certificate
    #[arg(long, default_value = "/var/lib/tiphys/agent")]
    pub data_dir: PathBuf,
    /// The cgroup that all of the node's Pods are below
    #[arg(long, default_value = "/")]
    pub cgroup_root: String,
    /// The range of Service addresses
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cidr: String,
    /// The range of all Pod addresses of the cluster
    #[arg(long, default_value = "10.244.0.0/16")]
    pub cluster_cidr: String,
    /// The address on which every node answers DNS
    #[arg(long, default_value = "10.96.0.10")]
    pub cluster_dns: Ipv4Addr,
    /// The zone of the cluster
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// How traffic of Services is forwarded
    #[arg(long, default_value = "nftables")]
    pub proxy_mode: String,
    /// Size at which a container's log file is set aside
    #[arg(long, default_value = "10Mi", value_parser = bytes)]
    pub container_log_max_size: u64,
    /// Log files kept of a container, the current one included
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..))]
    pub container_log_max_files: u32,
    /// How often the sizes of log files are looked at, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub container_log_monitor_interval: u64,
    /// Folder of static Pods: the node runs the Pod of each file in it, whether the API is there or not; given twice, the last counts
    #[arg(long, value_name = "DIR", overrides_with = "pod_manifest_path")]
    pub pod_manifest_path: Option<PathBuf>,
    /// Where the kernel's messages are written for the log collector; "none" leaves them where they are
    #[arg(long, default_value = "/var/log/tiphys/kernel.log")]
    pub kernel_log: PathBuf,
    #[command(flatten)]
    pub telemetry: process::TelemetryOptions,
}

/// A size as Kubernetes writes it.
fn bytes(text: &str) -> Result<u64, String> {
    let size = tiphys_api::quantity::units(text).and_then(|size| u64::try_from(size).ok());
    size.filter(|size| *size > 0).ok_or_else(|| "a size in bytes, such as 10Mi, is wanted".to_owned())
}

impl Agent {
    pub async fn run(self) -> Outcome<ExitCode> {
        let _guard = self.telemetry.init("tiphys-agent", Some(&self.node_name))?;
        process::run(|tasks| async move { roles::agent::start(self, &tasks).await })
            .await
            .or_next("tiphys doctor")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        agent: Agent,
    }

    /// `tiphys up` gives each node a folder, and `--agent-arg` another one behind it.
    #[test]
    fn of_two_folders_of_static_pods_the_last_counts() {
        let check = |more: &[&str], expected: Option<&str>| {
            let always = ["agent", "--node-name=n", "--node-ip=10.0.0.1", "--kubeconfig=k"];
            let line = Line::try_parse_from(always.iter().chain(more).copied()).expect("an agent's options");
            assert_eq!(line.agent.pod_manifest_path, expected.map(PathBuf::from), "{more:?}");
        };
        check(&[], None);
        check(&["--pod-manifest-path=/a"], Some("/a"));
        check(&["--pod-manifest-path=/a", "--pod-manifest-path=/b"], Some("/b"));
    }
}
