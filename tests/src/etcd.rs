//! Members of etcd for one test: the real program on free ports of loopback, in a
//! temporary folder.
//!
//! The folder is in memory where there is plenty of it. etcd waits for the disk with each write and
//! gives a request up after six seconds, and a disk that is busy with something else takes longer.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use nix::sys::{
    signal::{Signal, kill},
    statvfs::statvfs,
};
use tempfile::TempDir;

use crate::leash::Leashed;

/// Other tests look for free ports too: one may be taken between the search and its use.
const ATTEMPTS: usize = 5;
const MEMORY: &str = "/dev/shm";
/// Bytes of memory that are plenty: a member takes 128 MiB for its log ahead.
const PLENTY: u64 = 4 << 30;
/// Before the process id in the name of a folder in memory.
const NAME: &str = "tiphys-etcd-";

/// A cluster of one or more members.
pub struct EtcdCluster {
    // They end before their folder goes.
    members: Vec<Member>,
    folder: TempDir,
    extra: Vec<String>,
    scheme: &'static str,
}

struct Member {
    name: String,
    client_port: u16,
    peer_port: u16,
    running: Option<Leashed>,
}

impl EtcdCluster {
    /// Starts members and waits until each takes connections.
    ///
    /// # Panics
    /// When etcd is not installed or doesn't start.
    pub fn start(members: usize) -> Self {
        Self::start_with(members, "http", Vec::new())
    }

    /// A single member that speaks TLS and wants certificates of an authority.
    ///
    /// # Panics
    /// When etcd is not installed or doesn't start.
    pub fn start_tls(ca: &Path, certificate: &Path, key: &Path) -> Self {
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let extra = vec![
            flag("trusted-ca-file", ca),
            flag("cert-file", certificate),
            flag("key-file", key),
            "--client-cert-auth=true".to_owned(),
        ];
        Self::start_with(1, "https", extra)
    }

    fn start_with(members: usize, scheme: &'static str, extra: Vec<String>) -> Self {
        for _ in 0..ATTEMPTS {
            let folder = folder().expect("a temporary folder");
            let members = (0..members).map(|n| Member {
                name: format!("m{n}"),
                client_port: free_port(),
                peer_port: free_port(),
                running: None,
            });
            let mut cluster = Self { members: members.collect(), folder, extra: extra.clone(), scheme };
            for n in 0..cluster.members.len() {
                cluster.launch(n);
            }
            if (0..cluster.members.len()).all(|n| cluster.answers(n)) {
                return cluster;
            }
        }
        panic!("etcd does not start: is the package etcd-server installed?");
    }

    /// Where the members are reached.
    pub fn endpoints(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| format!("{}://127.0.0.1:{}", self.scheme, member.client_port))
            .collect()
    }

    /// What is on the disks of the members.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// kill -9 of one member.
    pub fn kill(&mut self, n: usize) {
        drop(self.members[n].running.take());
    }

    /// Stops and continues one member: it keeps its connections and answers nothing.
    pub fn freeze(&self, n: usize, frozen: bool) {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        if let Some(running) = &self.members[n].running {
            kill(running.pid(), signal).expect("the member runs");
        }
    }

    /// Starts a member again on its data.
    ///
    /// # Panics
    /// When it doesn't come up.
    pub fn restart(&mut self, n: usize) {
        self.kill(n);
        self.launch(n);
        assert!(self.answers(n), "etcd does not start again: {}", self.log(n));
    }

    fn launch(&mut self, n: usize) {
        let peers = self.members.iter();
        let peers = peers.map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer_port));
        let peers = peers.collect::<Vec<_>>().join(",");
        let Member { name, client_port, peer_port, .. } = &self.members[n];
        let client = format!("{}://127.0.0.1:{client_port}", self.scheme);
        let peer = format!("http://127.0.0.1:{peer_port}");
        let log = File::create(self.folder.path().join(format!("{name}.log"))).expect("a log file");
        let mut command = Command::new("etcd");
        command.args(["--name", name]);
        command.arg("--data-dir").arg(self.folder.path().join(name));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &peers, "--logger", "zap", "--log-level", "warn"]);
        // Short, so that a dead leader is replaced and a lease ends within a test's patience.
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.args(&self.extra);
        self.members[n].running = Some(Leashed::start(&command, log).expect("a shell"));
    }

    /// Whether a member takes connections, soon; false if it ended by itself.
    fn answers(&self, n: usize) -> bool {
        let member = &self.members[n];
        member.running.as_ref().is_some_and(|running| running.comes_to_listen(member.client_port))
    }

    fn log(&self, n: usize) -> String {
        let path = self.folder.path().join(format!("{}.log", self.members[n].name));
        fs::read_to_string(path).unwrap_or_default()
    }
}

fn folder() -> io::Result<TempDir> {
    let free = statvfs(MEMORY).map_or(0, |it| it.blocks_available() * it.fragment_size());
    if free < PLENTY {
        return tempfile::tempdir();
    }
    remove_left(Path::new(MEMORY));
    tempfile::Builder::new().prefix(&format!("{NAME}{}-", std::process::id())).tempdir_in(MEMORY)
}

/// A process that was killed left its folders: the disk has room for them, memory has not.
fn remove_left(memory: &Path) {
    for entry in fs::read_dir(memory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(NAME).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            // Another test may be about to do the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_processes_that_are_gone_are_removed() {
        let memory = tempfile::tempdir().expect("a folder");
        // No process has the greatest number.
        let (own, gone) = (std::process::id(), u32::MAX);
        let names = [format!("{NAME}{gone}-x"), format!("{NAME}{own}-x"), format!("other-{gone}-x")];
        let paths = names.map(|name| memory.path().join(name));
        paths.iter().for_each(|path| fs::create_dir(path).expect("made"));
        remove_left(memory.path());
        assert_eq!(paths.map(|path| path.exists()), [false, true, true]);
    }
}
