//! A cluster from the real binary.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{Output, eventually, run};

/// A cluster with a name, ports and a kubeconfig of its own; down when dropped.
pub struct Cluster {
    binary: PathBuf,
    name: String,
    folder: tempfile::TempDir,
    started: Duration,
    said: String,
    variables: Vec<(String, String)>,
}

impl Cluster {
    /// `tiphys up --detach`; returns when it is ready.
    pub fn up(name: &str, nodes: u8, more: &[&str]) -> Result<Self> {
        Self::up_with(name, nodes, more, Vec::new())
    }

    /// The same, with more in the environment.
    pub fn up_with(name: &str, nodes: u8, more: &[&str], variables: Vec<(String, String)>) -> Result<Self> {
        let mut cluster = Self {
            binary: binary()?,
            name: Self::name_of(name),
            folder: tempfile::tempdir()?,
            started: Duration::ZERO,
            said: String::new(),
            variables,
        };
        let nodes = nodes.to_string();
        let mut arguments =
            vec!["up", "--nodes", &nodes, "--detach", "--api-port", "0", "--dashboard-port", "0"];
        arguments.extend(more);
        let started = Instant::now();
        // As in a login by ssh: nodes have a /run of their own, without such a folder.
        let mut up = cluster.tiphys_command(&arguments);
        let output = run(up.env("XDG_RUNTIME_DIR", "/run/user/of-a-session"), "")?;
        eprintln!("{}", output.stderr);
        ensure!(output.code == 0, "tiphys up failed: {}\n{}", output.stderr, cluster.server_log());
        cluster.started = started.elapsed();
        cluster.said = output.stderr;
        Ok(cluster)
    }

    /// What a cluster of this suite is called: no two runs have the same.
    pub fn name_of(name: &str) -> String {
        format!("{name}-{}", std::process::id())
    }

    /// How long `up` took.
    pub fn start_time(&self) -> Duration {
        self.started
    }

    /// When the last node was Ready, from the begin of the building and in tenths, by what `up` said: `   2.5s  node-1 is Ready (172.30.2.10)`.
    pub fn ready_time(&self) -> Result<Duration> {
        let lines = self.said.lines().filter(|line| line.contains(" is Ready"));
        let times = lines.filter_map(|line| line.trim_start().split_once("s ")?.0.parse().ok());
        times.reduce(f64::max).map(Duration::from_secs_f64).context("`up` named no Ready node")
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Where the cluster keeps its files.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("home").join(&self.name)
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("TIPHYS_CLUSTER", &self.name)
            .env("TIPHYS_HOME", self.folder.path().join("home"))
            .env("KUBECONFIG", self.kubeconfig())
            .env("NO_COLOR", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    pub fn tiphys_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        self.environment(&mut command);
        command.args(arguments);
        command
    }

    /// Runs `tiphys ...` on this cluster.
    pub fn tiphys(&self, arguments: &[&str]) -> Result<Output> {
        run(&mut self.tiphys_command(arguments), "")
    }

    pub fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        self.environment(&mut command);
        command.args(arguments);
        command
    }

    /// Runs `kubectl ...` on this cluster; its stdout.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run(&mut self.kubectl_command(arguments), "")?.ok().with_context(|| format!("kubectl {arguments:?}"))
    }

    /// `kubectl apply -f -`.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        run(&mut self.kubectl_command(&["apply", "-f", "-"]), manifest)?.ok()
    }

    /// `kubectl get ... -o json`.
    pub fn get(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend(arguments);
        Ok(serde_json::from_str(&self.kubectl(&all)?)?)
    }

    /// Waits for a rollout; fails with the state of its Pods.
    pub fn rolled_out(&self, what: &str) -> Result<()> {
        let arguments = ["rollout", "status", what, "--timeout=300s"];
        let output = run(&mut self.kubectl_command(&arguments), "")?;
        if output.code != 0 {
            let pods = self.kubectl(&["get", "pods", "-A", "-o", "wide"]).unwrap_or_default();
            let events = self.kubectl(&["get", "events"]).unwrap_or_default();
            bail!("{what} did not roll out: {}\n{pods}\n{events}", output.stderr);
        }
        Ok(())
    }

    /// Rows of `tiphys sql -o json`.
    pub fn sql(&self, statement: &str) -> Result<Vec<Value>> {
        let text = self.tiphys(&["sql", "-o", "json", statement])?.ok()?;
        serde_json::from_str(&text).with_context(|| format!("not an array of rows: {text}"))
    }

    /// Records of `tiphys logs -o json`.
    pub fn logs(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let mut all = vec!["logs", "-o", "json"];
        all.extend(arguments);
        let text = self.tiphys(&all)?.ok()?;
        serde_json::from_str(&text).with_context(|| format!("not an array of records: {text}"))
    }

    /// The recorded state: pids, ports, network.
    pub fn state(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(self.root().join("cluster.json"))?)?)
    }

    pub fn server_log(&self) -> String {
        let text = std::fs::read_to_string(self.root().join("server.log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Brings a busybox image of this name into every node.
    pub fn import_busybox(&self, name: &str) -> Result<()> {
        let root = self.folder.path().join("busybox");
        if !root.exists() {
            crate::busybox_root(&root)?;
        }
        self.import(name, &root)
    }

    /// Brings an image of this name with busybox and curl into every node.
    pub fn import_curl(&self, name: &str) -> Result<()> {
        let root = self.folder.path().join("curl");
        if !root.exists() {
            crate::busybox_root(&root)?;
            crate::add_curl(&root)?;
        }
        self.import(name, &root)
    }

    fn import(&self, name: &str, root: &Path) -> Result<()> {
        let from = root.to_string_lossy().into_owned();
        self.tiphys(&["image", "build", "--from", &from, "--name", name])?.ok().map(drop)
    }

    /// Waits until no object of these arguments is listed.
    pub fn gone(&self, arguments: &[&str], limit: Duration) -> Result<()> {
        eventually(limit, || {
            let items = self.get(arguments)?["items"].as_array().map_or(0, Vec::len);
            ensure!(items == 0, "{items} of {arguments:?} are left");
            Ok(())
        })
        .map(drop)
    }

    /// `tiphys down`.
    pub fn down(&self) -> Result<()> {
        self.tiphys(&["down"])?.ok().map(drop)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.down() {
            eprintln!("cluster {} is not down: {error:#}", self.name);
        }
    }
}

/// The binary beside the suites' own: <target>/debug/deps/e2e-... -> <target>/debug/tiphys.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TIPHYS_BINARY") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("the suite runs from the target folder")?;
    let binary = folder.join("tiphys");
    ensure!(binary.exists(), "{} is not there: cargo build -p tiphys-node", binary.display());
    Ok(binary)
}
