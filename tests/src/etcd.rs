//! Members of etcd for one test: the real program on free ports of loopback, in a
//! temporary folder.
//!
//! Each member hangs on a pipe of this process, so that none outlives it, however
//! it ends.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);
/// Other tests look for free ports too: one may be taken between the search and its use.
const ATTEMPTS: usize = 5;
/// Runs a program until the standard input ends.
const LEASH: &str = r#""$@" & echo $!; read -r _; kill -9 $!; wait $!"#;

/// A cluster of one or more members.
pub struct EtcdCluster {
    folder: TempDir,
    members: Vec<Member>,
    extra: Vec<String>,
    scheme: &'static str,
}

struct Member {
    name: String,
    client_port: u16,
    peer_port: u16,
    running: Option<Running>,
}

struct Running {
    pid: Pid,
    leash: Child,
    _input: ChildStdin,
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
            let folder = tempfile::tempdir().expect("a temporary folder");
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
        if let Some(running) = self.members[n].running.take() {
            running.end();
        }
    }

    /// Stops and continues one member: it keeps its connections and answers nothing.
    pub fn freeze(&self, n: usize, frozen: bool) {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        if let Some(running) = &self.members[n].running {
            kill(running.pid, signal).expect("the member runs");
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
        let mut command = Command::new("sh");
        command.args(["-c", LEASH, "sh", "etcd", "--name", name]);
        command.arg("--data-dir").arg(self.folder.path().join(name));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &peers, "--logger", "zap", "--log-level", "warn"]);
        // Short, so that a dead leader is replaced and a lease ends within a test's patience.
        command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
        command.args(&self.extra).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut leash = command.spawn().expect("a shell");
        let mut pid = String::new();
        BufReader::new(leash.stdout.take().expect("piped")).read_line(&mut pid).expect("the process id");
        let input = leash.stdin.take().expect("piped");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
        self.members[n].running = Some(Running { pid, leash, _input: input });
    }

    /// Whether a member takes connections, soon; false if it ended by itself.
    fn answers(&self, n: usize) -> bool {
        let member = &self.members[n];
        let Some(running) = &member.running else { return false };
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, member.client_port)).is_ok() {
                return true;
            }
            if kill(running.pid, None).is_err() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn log(&self, n: usize) -> String {
        let path = self.folder.path().join(format!("{}.log", self.members[n].name));
        fs::read_to_string(path).unwrap_or_default()
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for n in 0..self.members.len() {
            self.kill(n);
        }
    }
}

impl Running {
    fn end(mut self) {
        // It may have ended by itself.
        let _ = kill(self.pid, Signal::SIGKILL);
        drop(self._input);
        let _ = self.leash.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
