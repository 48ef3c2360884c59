//! Servers without nodes: several on one etcd, where a dead leader is replaced, and each
//! shows the logs of all; a store saved and made anew; a store that can't be had.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;
use tiphys_tests::{EtcdCluster, Output, binary, eventually, run};

use crate::Shared;

const LIMIT: Duration = Duration::from_secs(120);
/// Others look for free ports too: one may be taken between the search and its use.
const ATTEMPTS: usize = 5;
const LEASES: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// One server; killed with -9 when dropped.
pub struct Server {
    process: Child,
    data: PathBuf,
}

impl Server {
    /// Starts `tiphys server` with a data folder of its own and waits until it answers.
    fn start(folder: &Path, name: &str, more: &[&str]) -> Result<Self> {
        on_free_addresses(|addresses| Self::start_at(folder, name, addresses, more))
    }

    /// Likewise, with addresses of the API and the dashboard: a server that is started again has
    /// those that its clients know.
    pub fn start_at(folder: &Path, name: &str, addresses: &[String; 2], more: &[&str]) -> Result<Self> {
        let more = [&["--no-collector"], more].concat();
        Self::launch(folder, name, addresses, Command::new(binary()?), &more)
    }

    /// Likewise, with its log collected, on a host of its own name.
    fn start_on_host(folder: &Path, name: &str, addresses: &[String; 2], more: &[&str]) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--uts", "sh", "-c", r#"hostname "$0" && exec "$@""#, name]).arg(binary()?);
        Self::launch(folder, name, addresses, command, more)
    }

    fn launch(
        folder: &Path,
        name: &str,
        addresses: &[String; 2],
        mut command: Command,
        more: &[&str],
    ) -> Result<Self> {
        let data = folder.join(name);
        let log = fs::File::create(folder.join(format!("{name}.log")))?;
        command.arg("server").arg("--data-dir").arg(&data).args(more);
        command.args(["--listen", &addresses[0], "--dashboard-listen", &addresses[1]]);
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut server = Self { process, data };
        let said = || fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        let answers = || match server.process.try_wait()? {
            Some(status) => Ok(Err(anyhow!("{name} has ended, {status}"))),
            None => server.kubectl(&["get", "--raw", "/readyz"])?.ok().map(Ok),
        };
        let (answer, took) = eventually(LIMIT, answers).with_context(said)?;
        answer.with_context(said)?;
        eprintln!("{name} answers after {:.1} s", took.as_secs_f64());
        Ok(server)
    }

    fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        command
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        run(&mut self.kubectl_command(arguments), "")
    }

    /// `tiphys logs` of this server.
    fn logs(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(binary()?);
        command.args(["logs", "-o", "json", "--since", "15m"]).args(arguments);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(["--context", "tiphys"]);
        run(&mut command, "")
    }

    /// A field of an object.
    fn field(&self, object: &[&str], path: &str) -> Result<String> {
        let output = format!("jsonpath={{{path}}}");
        self.kubectl(&[&["get"], object, &["-o", &output]].concat())?.ok()
    }

    fn holder(&self, lease: &str) -> Result<String> {
        let holder = self.field(&["lease", "-n", "kube-system", lease], ".spec.holderIdentity")?;
        ensure!(!holder.is_empty(), "{lease} is nobody's");
        Ok(holder)
    }

    /// A Deployment gets its ReplicaSet: controllers run.
    fn deploys(&self, name: &str) -> Result<()> {
        self.kubectl(&["create", "deployment", name, "--image=web:1"])?.ok()?;
        eventually(LIMIT, || {
            let sets =
                self.field(&["replicaset", "-l", &format!("app={name}")], ".items[*].metadata.name")?;
            ensure!(sets.split(' ').filter(|set| !set.is_empty()).count() == 1, "ReplicaSets: {sets:?}");
            Ok(())
        })?;
        Ok(())
    }

    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.kill();
    }
}

/// Starts what two addresses are for, on others where one of them is somebody's by then.
fn on_free_addresses<T>(start: impl Fn(&[String; 2]) -> Result<T>) -> Result<T> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let started = start(&[free_address()?, free_address()?]);
        let is_taken = |error: &anyhow::Error| format!("{error:#}").contains("can't be listened on");
        if attempts.next() == Some(ATTEMPTS) || !started.as_ref().is_err_and(is_taken) {
            return started;
        }
    }
}

pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string())
}

pub fn take_over(_: &Shared) -> Result<()> {
    let etcd = EtcdCluster::start(1);
    let folder = TempDir::new()?;
    let secret = folder.path().join("secret");
    fs::write(&secret, "the secret of both servers\n")?;
    let endpoints = etcd.endpoints().join(",");
    let options = ["--etcd-servers", &endpoints, "--cluster-secret-file", &secret.display().to_string()];
    let with = |address: &'static str| [&options[..], &["--advertise", address]].concat();
    let mut one = Server::start(folder.path(), "one", &with("172.30.0.1:6443"))?;
    let leaders = LEASES.map(|lease| eventually(LIMIT, || one.holder(lease)));
    let two = Server::start(folder.path(), "two", &with("172.30.0.2:6443"))?;
    leads_to(&one, "172.30.0.1 172.30.0.2")?;

    let mut watching = two.kubectl_command(&["get", "configmaps", "--watch", "-o", "name"]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(watching.stdout.take().context("piped")?).lines();
    // What is there already: kube-root-ca.crt. What is made from now on comes through the watch.
    lines.next().context("the list ended")??;
    one.kubectl(&["create", "configmap", "seen"])?.ok()?;
    let seen = lines.find(|line| line.as_ref().is_ok_and(|line| line.ends_with("/seen")));
    watching.kill()?;
    watching.wait()?;
    ensure!(seen.is_some(), "the watch on the other server ended");
    let versions =
        [&one, &two].map(|server| server.field(&["configmap", "seen"], ".metadata.resourceVersion"));
    let [first, second] = versions;
    ensure!(first? == second?, "servers give different versions");
    two.deploys("before")?;

    one.kill()?;
    for (lease, leader) in LEASES.into_iter().zip(leaders) {
        let (leader, _) = leader?;
        let (_, took) = eventually(LIMIT, || {
            let holder = two.holder(lease)?;
            ensure!(holder != leader, "{lease} is still held by {holder}");
            Ok(())
        })?;
        eprintln!("{lease} changed hands after {:.1} s", took.as_secs_f64());
    }
    leads_to(&two, "172.30.0.2")?;
    two.deploys("after")
}

pub fn logs(_: &Shared) -> Result<()> {
    let etcd = EtcdCluster::start(1);
    let folder = TempDir::new()?;
    let secret = folder.path().join("secret");
    fs::write(&secret, "the secret of both servers\n")?;
    let (endpoints, secret) = (etcd.endpoints().join(","), secret.display().to_string());
    let start = |name: &str| {
        on_free_addresses(|addresses| {
            let options = [
                ["--etcd-servers", &endpoints],
                ["--cluster-secret-file", &secret],
                ["--advertise", &addresses[0]],
                ["--log-archive", "none"],
            ];
            Server::start_on_host(folder.path(), name, addresses, options.as_flattened())
        })
    };
    let (petrel, mut fulmar) = (start("petrel")?, start("fulmar")?);
    for server in [&petrel, &fulmar] {
        shows_both(server)?;
    }
    // The door between servers is closed to administrators.
    let refused = petrel.kubectl(&["get", "--raw", "/tiphys.server/logs/v1/namespaces"])?;
    ensure!(refused.code != 0 && refused.stderr.contains("only the cluster's servers"), "{refused:?}");
    // One that has just died is named; what is there is shown all the same. After ten seconds it may be
    // one that is no more, of which nothing is said: a machine that stood still for so long tries again.
    let mut attempts = 1..=ATTEMPTS;
    let found = loop {
        fulmar.kill()?;
        let found = petrel.logs(&["container:tiphys"])?;
        if found.stderr.contains("_server-fulmar") || attempts.next() == Some(ATTEMPTS) {
            break found;
        }
        fulmar = start("fulmar")?;
        shows_both(&petrel)?;
    };
    ensure!(found.stderr.contains("_server-fulmar"), "nothing is said of what is missing: {}", found.stderr);
    let records: Vec<serde_json::Value> = serde_json::from_str(&found.stdout)?;
    ensure!(!records.is_empty() && records.iter().all(|record| record["node"] == "_server-petrel"));
    Ok(())
}

/// A server finds the logs of both.
fn shows_both(server: &Server) -> Result<()> {
    let shown = || {
        for other in ["_server-petrel", "_server-fulmar"] {
            let found = server.logs(&[&format!("container:tiphys node:{other}"), "--limit", "1"])?;
            let records: Vec<serde_json::Value> = serde_json::from_str(&found.ok()?)?;
            ensure!(records.len() == 1 && records[0]["node"] == other, "of {other}: {records:?}");
        }
        Ok(())
    };
    eventually(LIMIT, shown).map(drop)
}

/// Where the Service `kubernetes` leads.
fn leads_to(server: &Server, expected: &str) -> Result<()> {
    eventually(LIMIT, || {
        let found = server.field(&["endpoints", "kubernetes"], ".subsets[*].addresses[*].ip")?;
        ensure!(found == expected, "endpoints are {found:?}");
        Ok(())
    })?;
    Ok(())
}

pub fn snapshot(_: &Shared) -> Result<()> {
    let etcd = EtcdCluster::start(1);
    let folder = TempDir::new()?;
    let endpoints = etcd.endpoints().join(",");
    let server = Server::start(folder.path(), "on-etcd", &["--etcd-servers", &endpoints])?;
    server.kubectl(&["create", "configmap", "kept", "--from-literal=word=shearwater"])?.ok()?;
    let file = folder.path().join("cluster.snapshot").display().to_string();
    let admin = server.data.join("admin.kubeconfig").display().to_string();
    let tiphys = |arguments: &[&str]| run(Command::new(binary()?).args(arguments), "");
    tiphys(&["snapshot", "save", &file, "--kubeconfig", &admin, "--context", "tiphys"])?.ok()?;
    drop(server);

    let data = folder.path().join("embedded");
    let restore = ["snapshot", "restore", &file, "--data-dir", &data.display().to_string()];
    tiphys(&restore)?.ok()?;
    let again = tiphys(&restore)?;
    ensure!(again.code == 1 && again.stderr.contains("is not empty"), "{again:?}");
    let server = Server::start(folder.path(), "embedded", &[])?;
    ensure!(server.field(&["configmap", "kept"], ".data.word")? == "shearwater");
    server.deploys("on")?;

    fs::write(&file, fs::read(&file)?.split_last().context("not empty")?.1)?;
    let damaged = tiphys(&["snapshot", "restore", &file, "--data-dir", "/nowhere"])?;
    ensure!(damaged.code == 1 && damaged.stderr.contains("damaged"), "{damaged:?}");
    Ok(())
}

pub fn not_there(_: &Shared) -> Result<()> {
    let folder = TempDir::new()?;
    let data = folder.path().join("data").display().to_string();
    let server = |more: &[&str]| {
        let mut command = Command::new(binary()?);
        command.args(["server", "--data-dir", &data, "--listen", "127.0.0.1:0"]);
        run(command.args(["--dashboard-listen", "127.0.0.1:0"]).args(more), "")
    };
    let nobody = format!("http://{}", free_address()?);
    let away = server(&["--etcd-servers", &nobody])?;
    let words = [&*format!("etcd at {nobody} can't be reached"), "next:", "etcdctl --endpoints"];
    ensure!(away.code == 1 && words.iter().all(|word| away.stderr.contains(word)), "{away:?}");
    fs::create_dir_all(folder.path().join("data/store/db"))?;
    fs::write(folder.path().join("data/store/acknowledged"), "7\n")?;
    let damaged = server(&[])?;
    let words = ["is damaged", "revision 7 had been acknowledged", "tiphys snapshot restore"];
    ensure!(damaged.code == 1 && words.iter().all(|word| damaged.stderr.contains(word)), "{damaged:?}");
    Ok(())
}
