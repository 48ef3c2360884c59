//! Nodes and Pods to try things on: real namespaces, taken away with the case.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Stdio,
    thread::JoinHandle,
    time::Duration,
};

use tiphys_lifecycle::Tasks;
use tiphys_network::topology::{self, Holder, HolderSpec, NetState};
use tokio::{process::Command, sync::oneshot};

/// An end of waiting.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Takes away what a run of before left that was killed: this one would find its networks in use.
pub async fn remove_left() {
    for name in topology::found().await.unwrap() {
        let pid = name.starts_with("test-").then(|| name.rsplit('-').next()?.parse::<u32>().ok()).flatten();
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            topology::teardown(&name, None).await.unwrap();
        }
    }
}

pub async fn hold(node: &str, data: &Path) -> Holder {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(crate::HOLD);
    let spec = HolderSpec { node: node.to_owned(), data: data.join(node) };
    Holder::spawn(command, &spec).await.unwrap()
}

/// Runs a shell line in the node and gives what it printed.
pub async fn inside(holder: &Holder, line: &str) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stderr(Stdio::inherit());
    holder.namespaces().unwrap().enter_on_exec(command.as_std_mut());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "`{line}` failed");
    String::from_utf8(output.stdout).unwrap()
}

/// A TCP connection from a node (or the host) to `address`, which another has.
pub fn reaches(from: Option<&Holder>, to: Option<&Holder>, address: Ipv4Addr) {
    let listener = on(to, || TcpListener::bind((address, 0)).unwrap());
    let target = listener.local_addr().unwrap();
    on(from, || TcpStream::connect_timeout(&target, LIMIT).unwrap());
}

/// Runs `act` on a thread in the node's network namespace.
pub fn on<T: Send>(node: Option<&Holder>, act: impl FnOnce() -> T + Send) -> T {
    let namespaces = node.map(|holder| holder.namespaces().unwrap());
    let acting = || {
        if let Some(namespaces) = namespaces {
            namespaces.enter_network().unwrap();
        }
        act()
    };
    std::thread::scope(|scope| scope.spawn(acting).join().unwrap())
}

/// Parts of an agent that run in a node's network namespace until dropped: all
/// threads of their runtime are there, and so is what they execute.
pub struct InNode {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl InNode {
    /// `start` starts the parts in the group of tasks it is given.
    pub fn run<F: Future<Output = ()> + Send>(
        node: &Holder,
        start: impl FnOnce(Tasks) -> F + Send + 'static,
    ) -> Self {
        let namespaces = node.namespaces().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            namespaces.enter_network().unwrap();
            crate::run(async move {
                let tasks = Tasks::new();
                start(tasks.clone()).await;
                let _ = stopped.await;
                assert_eq!(tasks.shutdown(LIMIT).await, [""; 0]);
            });
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for InNode {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its panic has been printed; the case fails by its own assertion.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A cluster that is taken away also when the case fails.
pub struct Cluster {
    pub state: NetState,
}

impl Cluster {
    pub async fn set_up(case: &str) -> Self {
        let name = format!("test-{case}-{}", std::process::id());
        Self { state: topology::setup(&name).await.unwrap() }
    }

    /// With the nodes `one` and `two`.
    pub async fn with_nodes(case: &str, data: &Path) -> Self {
        let mut cluster = Self::set_up(case).await;
        for (number, node) in ["one", "two"].into_iter().enumerate() {
            let holder = hold(node, data).await;
            topology::attach(&mut cluster.state, number as u8, &holder).await.unwrap();
        }
        cluster
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let state = self.state.clone();
        let teardown = move || {
            crate::run(async move {
                topology::teardown(&state.cluster.name, Some(&state)).await.unwrap();
            })
        };
        std::thread::spawn(teardown).join().unwrap();
    }
}
