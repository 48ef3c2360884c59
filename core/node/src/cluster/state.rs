//! What a cluster on this machine consists of, as recorded on disk.

use std::{
    fs::{File, OpenOptions},
    io,
    net::Ipv4Addr,
    path::Path,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use tiphys_network::topology::NetState;

use super::{process::Process, remains::Namespaces};
use crate::{files, layout::Layout};

/// The state file. Written whole after every change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClusterState {
    pub cluster: String,
    pub version: String,
    pub supervisor: Process,
    pub server: Option<Process>,
    pub api_port: u16,
    pub dashboard_port: u16,
    #[serde(default)]
    pub postgres_port: u16,
    /// The kubeconfig that was merged into, to be cleaned by `down`.
    pub kubeconfig: Option<std::path::PathBuf>,
    /// What was its current context before.
    #[serde(default)]
    pub context_before: Option<String>,
    /// What the network set-up changed on the host.
    pub network: Option<NetState>,
    pub nodes: Vec<NodeState>,
    /// Set when every node was Ready.
    pub ready: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeState {
    pub name: String,
    /// Its place in the network: the key of [`NetState::nodes`].
    pub number: u8,
    pub address: Ipv4Addr,
    /// Below every cgroup controller: `/tiphys-demo/node-1`.
    pub cgroup: String,
    /// What its holder made; known once that runs.
    pub namespaces: Option<Namespaces>,
    /// When the holder started, in clock ticks since boot.
    pub since: u64,
    pub agent: Option<Process>,
}

impl ClusterState {
    /// The recorded state; `None` when there is no such cluster.
    ///
    /// # Errors
    /// A file that can't be read or understood.
    pub fn load(layout: &Layout) -> anyhow::Result<Option<Self>> {
        let path = layout.state();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} can't be read", path.display())),
        }
    }

    /// # Errors
    /// The file system's.
    pub fn save(&self, layout: &Layout) -> anyhow::Result<()> {
        let path = layout.state();
        files::write_atomically(&path, &serde_json::to_vec_pretty(self)?, 0o600)
            .with_context(|| format!("{} can't be written", path.display()))
    }

    pub fn api_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    pub fn dashboard_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.dashboard_port)
    }

    /// The node of this number.
    ///
    /// # Panics
    /// There is none; nodes are recorded before anything is done with them.
    pub fn node(&mut self, number: u8) -> &mut NodeState {
        self.nodes.iter_mut().find(|node| node.number == number).expect("nodes are recorded first")
    }

    /// The processes that should run, by name.
    pub fn processes(&self) -> Vec<(String, Option<Process>)> {
        let holder = |number: u8| {
            let holder = self.network.as_ref()?.nodes.get(&number)?;
            Some(Process { pid: holder.pid.cast_signed(), started: holder.started })
        };
        let nodes = self.nodes.iter().flat_map(|node| {
            [
                (format!("{} holder", node.name), holder(node.number)),
                (format!("{} agent", node.name), node.agent.clone()),
            ]
        });
        [("supervisor".to_owned(), Some(self.supervisor.clone())), ("server".to_owned(), self.server.clone())]
            .into_iter()
            .chain(nodes)
            .collect()
    }
}

#[cfg(test)]
impl ClusterState {
    /// Of a cluster of which nothing was built, and whose supervisor is gone.
    pub fn empty(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            version: String::new(),
            supervisor: Process { pid: 0, started: 0 },
            server: None,
            api_port: 0,
            dashboard_port: 0,
            postgres_port: 0,
            kubeconfig: None,
            context_before: None,
            network: None,
            nodes: Vec::new(),
            ready: false,
        }
    }
}

/// The kubeconfig context of a cluster: `tiphys`, or `tiphys-<name>` for others.
pub fn context_name(cluster: &str) -> String {
    if cluster == "tiphys" { cluster.to_owned() } else { format!("tiphys-{cluster}") }
}

/// Held while a command changes the cluster; freed by the kernel at any death.
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl Lock {
    /// Gives it up when nothing was built: the folder made for it goes too.
    pub fn abandon(self, layout: &Layout) {
        // What can't be removed holds something, and that is not ours.
        let _ = std::fs::remove_file(layout.lock()).and_then(|()| std::fs::remove_dir(layout.root()));
    }

    /// `None` when somebody else holds it.
    ///
    /// # Errors
    /// The file system's.
    pub fn try_take(path: &Path) -> anyhow::Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(lock))),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error).with_context(|| format!("{} can't be locked", path.display())),
        }
    }
}
