//! `tiphys up`: a cluster on this machine, in the foreground or detached.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{ExitCode, Stdio},
};

use anyhow::Context as _;
use nix::{sys::signal::Signal, unistd::Pid};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    signal::unix::{SignalKind, signal},
};

use super::Global;
use crate::{
    cluster::{
        children::{in_own_session, own_binary},
        state::{ClusterState, Lock, context_name},
        supervisor::{self, Built, Plan},
    },
    doctor,
    failure::{Failure, OrNext, Outcome},
    kubeconfig,
    layout::Layout,
    output::{self, Progress},
};

/// Beside Postgres' own, which a database on the machine may have.
const POSTGRES_PORT: u16 = 6432;

#[derive(Debug, clap::Args)]
pub struct Up {
    /// Number of nodes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    nodes: u8,
    /// Return when the cluster is ready, and leave it running
    #[arg(long)]
    detach: bool,
    /// Port of the API server on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 6443)]
    api_port: u16,
    /// Port of the dashboard on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 6480)]
    dashboard_port: u16,
    /// Port on 127.0.0.1 where SQL is answered to clients of Postgres; by default 6432, or a free one
    #[arg(long)]
    postgres_port: Option<u16>,
    /// Deploy the sample app too
    #[arg(long)]
    sample: bool,
    /// Leave the user's kubeconfig alone
    #[arg(long)]
    no_kubeconfig: bool,
    /// Where logs of all nodes are archived: see tiphys server --help
    #[arg(long, value_name = "PLACE", value_parser = super::log_archive::parse)]
    log_archive: Option<super::log_archive::Place>,
    /// Where server and nodes export their own traces, metrics and logs by OTLP, such as
    /// http://127.0.0.1:4317; OpenTelemetry's variables hold: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf for
    /// HTTP, and then a URL for one signal in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    /// OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    /// An option for every node's agent, such as --agent-arg=--container-log-max-size=20Mi; may be given several times
    #[arg(long = "agent-arg", value_name = "OPTION", allow_hyphen_values = true)]
    agent_args: Vec<String>,
    /// An option for the server, such as --server-arg=--audit-log-path=/tmp/audit.log; may be given several times
    #[arg(long = "server-arg", value_name = "OPTION", allow_hyphen_values = true)]
    server_args: Vec<String>,
    /// Set by --detach on the process that stays
    #[arg(long, hide = true)]
    background: bool,
}

impl Up {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        check_machine()?;
        let layout = global.layout();
        let Some(lock) = Lock::try_take(&layout.lock())? else {
            return already_up(&layout, &global.cluster);
        };
        if let Some(state) = ClusterState::load(&layout)? {
            return Err(half_dead(&state));
        }
        if self.detach {
            drop(lock);
            return self.detached(global, &layout).await;
        }
        self.foreground(global, layout, lock).await
    }

    async fn foreground(self, global: &Global, layout: Layout, lock: Lock) -> Outcome<ExitCode> {
        let telemetry = tiphys_telemetry::TelemetryConfig {
            service: "tiphys-up".to_owned(),
            filter: std::env::var("TIPHYS_LOG").unwrap_or_else(|_| "warn".to_owned()),
            ..Default::default()
        };
        let _guard = tiphys_telemetry::init(&telemetry)?;
        let plan = match self.plan(global, layout.clone()) {
            Ok(plan) => plan,
            Err(error) => {
                lock.abandon(&layout);
                return Err(error);
            }
        };
        let progress = Progress::start();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let built = supervisor::begin(&plan, lock)?;
        let raised = tokio::select! {
            raised = built.raise(&plan, progress) => raised,
            _ = interrupt.recv() => return take_back(built, progress).await,
            _ = terminate.recv() => return take_back(built, progress).await,
        };
        if let Err(error) = raised {
            progress.step("it failed; taking back what was built");
            let log = keep_logs(&plan.layout);
            if let Err(second) = built.take_down().await {
                output::warning(&format!("not all of it could be taken back: {second:#}"));
            }
            return Err(error).or_next(log.unwrap_or_else(|| "tiphys doctor".to_owned()));
        }
        progress.step("cluster is ready");
        welcome(&built.state(), &global.cluster);
        if self.background {
            leave_terminal(&plan.layout)?;
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let progress = Progress::start();
        progress.step("taking the cluster down");
        built.take_down().await.or_next("tiphys down")?;
        progress.step("nothing is left");
        Ok(ExitCode::SUCCESS)
    }

    fn plan(&self, global: &Global, layout: Layout) -> Outcome<Plan> {
        let kubeconfig = (!self.no_kubeconfig).then(kubeconfig::user_file);
        let context_before = kubeconfig.as_deref().map(kubeconfig::current_context).transpose();
        Ok(Plan {
            layout,
            cluster: global.cluster.clone(),
            nodes: self.nodes,
            api_port: free_port(self.api_port, "--api-port")?,
            dashboard_port: free_port(self.dashboard_port, "--dashboard-port")?,
            postgres_port: port_or_free(self.postgres_port, POSTGRES_PORT, "--postgres-port")?,
            sample: self.sample,
            kubeconfig,
            context_before: context_before.or_next("tiphys up --no-kubeconfig")?.flatten(),
            otlp_endpoint: self.otlp_endpoint.clone(),
            agent_args: self.agent_args.clone(),
            server_args: self.server_args.clone(),
            log_archive: self.log_archive.as_ref().map(ToString::to_string),
        })
    }

    /// Runs this command again in a session of its own and passes on what it
    /// says, until it is ready (its stderr then leaves for the log) or ends.
    async fn detached(self, global: &Global, layout: &Layout) -> Outcome<ExitCode> {
        let mut command = own_binary()?;
        command
            .args(std::env::args_os().skip(1).filter(|argument| argument != "--detach"))
            .arg("--background")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        in_own_session(&mut command);
        let mut child = command.spawn().context("the supervisor can't be started")?;
        let stderr = child.stderr.take().context("stderr was piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    Some(line) => output::line(&line),
                    None => break,
                },
                // It leads a session of its own, so a Ctrl-C reaches it only from here.
                _ = interrupt.recv() => if let Some(pid) = child.id() {
                    nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
                },
            }
        }
        let ready = ClusterState::load(layout)?.is_some_and(|state| state.ready);
        if ready {
            return Ok(ExitCode::SUCCESS);
        }
        let status = child.wait().await?;
        // Its own error was passed on above.
        tracing::debug!(cluster = %global.cluster, %status, "supervisor ended");
        Ok(ExitCode::from(1))
    }
}

/// Stopped before it was ready: that is no failure to look into.
async fn take_back(built: Built, progress: Progress) -> Outcome<ExitCode> {
    progress.step("interrupted; taking back what was built");
    built.take_down().await.or_next("tiphys down")?;
    progress.step("nothing is left");
    Err(Failure::new("interrupted before the cluster was ready", "tiphys up"))
}

fn check_machine() -> Outcome<()> {
    let missing: Vec<_> = doctor::examine().into_iter().filter(|finding| !finding.is_ok()).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let next = match first.what {
        "root" => "sudo tiphys up".to_owned(),
        _ => "tiphys doctor".to_owned(),
    };
    let list: Vec<_> = missing
        .iter()
        .map(|finding| format!("{} ({})", finding.what, finding.remedy.as_deref().unwrap_or_default()))
        .collect();
    Err(Failure::new(format!("this machine lacks {}", list.join(", ")), next))
}

/// The port, when nobody listens there; any free one for 0.
fn free_port(port: u16, option: &str) -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        Failure::new(
            format!("port {port} on 127.0.0.1 can't be used: {error}"),
            format!("tiphys up {option} 0"),
        )
    })?;
    Ok(listener.local_addr()?.port())
}

/// The port that was asked for; else the usual one, or any free one where that is taken.
fn port_or_free(asked: Option<u16>, usual: u16, option: &str) -> Outcome<u16> {
    match asked {
        Some(port) => free_port(port, option),
        None => free_port(usual, option).or_else(|_| free_port(0, option)),
    }
}

fn already_up(layout: &Layout, cluster: &str) -> Outcome<ExitCode> {
    match ClusterState::load(layout)? {
        Some(state) if state.ready => {
            let nodes = match state.nodes.len() {
                1 => "1 node".to_owned(),
                nodes => format!("{nodes} nodes"),
            };
            output::line(&format!("cluster {cluster:?} is up already, with {nodes}"));
            welcome(&state, cluster);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure::new(
            format!("another command is just starting or stopping the cluster {cluster:?}"),
            "tiphys status",
        )),
    }
}

fn half_dead(state: &ClusterState) -> Failure {
    let alive =
        state.processes().into_iter().filter(|(_, process)| process.as_ref().is_some_and(|p| p.is_alive()));
    let alive: Vec<_> = alive.map(|(name, _)| name).collect();
    let left = if alive.is_empty() { "its files".to_owned() } else { alive.join(", ") };
    Failure::new(format!("an earlier cluster {:?} died and left {left}", state.cluster), "tiphys down")
}

fn welcome(state: &ClusterState, cluster: &str) {
    let context = context_name(cluster);
    let option = if cluster == "tiphys" { String::new() } else { format!(" --cluster {cluster}") };
    output::line("");
    output::line(&format!("  dashboard  {}  (sign in: tiphys dashboard{option})", state.dashboard_url()));
    output::line(&format!("  API        {}  (kubectl context {context:?})", state.api_url()));
    output::line("");
    output::line("  kubectl get nodes,pods -A");
    output::line(&format!("  tiphys logs{option} -A --since 5m"));
    output::line(&format!("  tiphys sql{option} 'select node, count(*) from pod group by node'"));
    output::line(&format!("  tiphys down{option}"));
    output::line("");
}

/// Saves the processes' logs of a cluster that failed; gives the command that shows them.
fn keep_logs(layout: &Layout) -> Option<String> {
    let folder = std::env::temp_dir().join(format!("tiphys-failed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).ok()?;
    for entry in std::fs::read_dir(layout.root()).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            std::fs::copy(&path, folder.join(entry.file_name())).ok()?;
        }
    }
    for node in std::fs::read_dir(layout.nodes()).into_iter().flatten().flatten() {
        let name = node.file_name().to_string_lossy().into_owned();
        // One that never started has none.
        let _ = std::fs::copy(layout.node_log(&name), folder.join(format!("{name}.log")));
    }
    Some(format!("tail {}/*.log", folder.display()))
}

/// From here on stderr is the log; whoever waits at the other end of the pipe goes on.
fn leave_terminal(layout: &Layout) -> anyhow::Result<()> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(layout.log("supervisor"))?;
    nix::unistd::dup2_stderr(&log)?;
    Ok(())
}
