//! Where a cluster keeps its files.
//!
//! ```text
//! <home>/<cluster>/cluster.json      what runs (pids, network, ports); see cluster::state
//!                  admin.kubeconfig  the administrator's credentials
//!                  supervisor.log, server.log
//!                  server/           pki, store, metrics, archive
//!                  nodes/<node>/     run, log, kubelet, containerd, ...: bound over the standard paths;
//!                                    manifests: the node's static Pods
//! ```

use std::path::{Path, PathBuf};

/// The default home of all clusters of a machine.
pub const HOME: &str = "/var/lib/tiphys";

/// The paths of one cluster.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn new(home: &Path, cluster: &str) -> Self {
        Self { root: home.join(cluster) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn state(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.root.join("admin.kubeconfig")
    }

    pub fn log(&self, process: &str) -> PathBuf {
        self.root.join(format!("{process}.log"))
    }

    /// What a node's agent says, in the node's own `/var/log`: there its collector reads it.
    pub fn node_log(&self, node: &str) -> PathBuf {
        self.node(node).join("log/tiphys/kubelet.log")
    }

    pub fn server(&self) -> PathBuf {
        self.root.join("server")
    }

    pub fn node(&self, node: &str) -> PathBuf {
        self.nodes().join(node)
    }

    /// Where a node looks for static Pods: each has a folder of its own.
    pub fn node_manifests(&self, node: &str) -> PathBuf {
        self.node(node).join("manifests")
    }

    pub fn nodes(&self) -> PathBuf {
        self.root.join("nodes")
    }
}
