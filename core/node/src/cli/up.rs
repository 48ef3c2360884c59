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

use super::{Global, copied, word};
use crate::{
    cluster::{
        children::{in_own_session, own_binary},
        lost::{self, Elsewhere},
        state::{ClusterState, Lock, context_name},
        supervisor::{self, Built, Plan},
    },
    doctor::{self, Finding},
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
    /// Return when the cluster is ready, and leave it running until tiphys down
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
    /// Deploy a sample app too: a Deployment, a Service and an autoscaler that are called hello
    #[arg(long)]
    sample: bool,
    /// Leave the user's kubeconfig alone; tiphys kubeconfig prints the cluster's
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
        let missing: Vec<_> = doctor::examine().into_iter().filter(|finding| !finding.is_ok()).collect();
        if let Some(failure) = lacking(&missing, global) {
            return Err(failure);
        }
        let layout = global.layout();
        let Some(lock) = Lock::try_take(&layout.lock())? else {
            return already_up(&layout, global);
        };
        if let Some(state) = ClusterState::load(&layout)? {
            return Err(taken(&state, global));
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
        let plan = match alone(&layout, global).and_then(|()| self.plan(global, layout.clone())) {
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
            _ = interrupt.recv() => return take_back(built, progress, global).await,
            _ = terminate.recv() => return take_back(built, progress, global).await,
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
        let end = if self.background { global.typed("down") } else { "Ctrl-C".to_owned() };
        output::line(&welcome(&built.state(), global, &end));
        if self.background {
            leave_terminal(&plan.layout)?;
        }
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let progress = Progress::start();
        progress.step("taking the cluster down");
        built.take_down().await.or_next(global.typed("down"))?;
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
            api_port: free_port(self.api_port, "--api-port", global)?,
            dashboard_port: free_port(self.dashboard_port, "--dashboard-port", global)?,
            postgres_port: port_or_free(self.postgres_port, global)?,
            sample: self.sample,
            kubeconfig,
            context_before: context_before.or_next(global.typed("up --no-kubeconfig"))?.flatten(),
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
        match status.code() {
            // Its own error was passed on above.
            Some(1 | 2) => Ok(ExitCode::from(1)),
            _ => Err(Failure::new(
                format!("the cluster's supervisor ended before the cluster was ready: {status}"),
                global.typed("down"),
            )),
        }
    }
}

/// Stopped before it was ready: that is no failure to look into.
async fn take_back(built: Built, progress: Progress, global: &Global) -> Outcome<ExitCode> {
    progress.step("interrupted; taking back what was built");
    built.take_down().await.or_next(global.typed("down"))?;
    progress.step("nothing is left");
    Err(Failure::new("interrupted before the cluster was ready", global.typed("up")))
}

/// Why no cluster can be started with these missing. Pure.
fn lacking(missing: &[Finding], global: &Global) -> Option<Failure> {
    let things = missing.iter().filter(|finding| finding.what != doctor::ROOT);
    let remedy = |finding: &Finding| finding.remedy.clone().unwrap_or_default();
    let things: Vec<_> = things.map(|finding| format!("{} ({})", finding.what, remedy(finding))).collect();
    // With rights alone it would not start either.
    if !things.is_empty() {
        return Some(Failure::new(format!("this machine lacks {}", things.join(", ")), "tiphys doctor"));
    }
    let sudo = format!("sudo {}", global.typed("up"));
    (!missing.is_empty()).then(|| Failure::new("starting a cluster needs root", sudo))
}

/// Nobody else's cluster has the name, and with it the network.
///
/// # Errors
/// One runs, of another home.
fn alone(layout: &Layout, global: &Global) -> Outcome<()> {
    // What can't be looked at stands in nobody's way here: nothing is taken away.
    let Ok(Some(Elsewhere::Folder(other))) = lost::elsewhere(layout, &global.cluster) else { return Ok(()) };
    let (name, place) = (&global.cluster, other.display());
    Err(Failure::new(
        format!("a cluster {name:?} runs already, in {place}, and two of a name would have one network"),
        "tiphys up --cluster NAME, with another name",
    ))
}

/// The port, when nobody listens there; any free one for 0.
fn free_port(port: u16, option: &str, global: &Global) -> Outcome<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
        let next = format!("{} {option} 0, which takes a free one", global.typed("up"));
        Failure::new(format!("port {port} on 127.0.0.1 can't be used: {error}"), next)
    })?;
    Ok(listener.local_addr()?.port())
}

/// The port that was asked for; else the usual one, or any free one where that is taken.
fn port_or_free(asked: Option<u16>, global: &Global) -> Outcome<u16> {
    let free = |port: u16| free_port(port, "--postgres-port", global);
    asked.map_or_else(|| free(POSTGRES_PORT).or_else(|_| free(0)), free)
}

fn already_up(layout: &Layout, global: &Global) -> Outcome<ExitCode> {
    let cluster = &global.cluster;
    match ClusterState::load(layout)? {
        Some(state) if state.ready => {
            let nodes = match state.nodes.len() {
                1 => "1 node".to_owned(),
                nodes => format!("{nodes} nodes"),
            };
            output::line(&format!("cluster {cluster:?} is up already, with {nodes}"));
            output::line(&welcome(&state, global, &global.typed("down")));
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure::new(
            format!("another command is just starting or stopping the cluster {cluster:?}"),
            global.typed("status"),
        )),
    }
}

/// Why nothing is started where a folder has a state already. For who holds the folder's lock.
fn taken(state: &ClusterState, global: &Global) -> Failure {
    if state.cluster != global.cluster {
        return copied::refused(global, &state.cluster, None);
    }
    if !state.supervisor.is_alive() {
        return half_dead(state, global);
    }
    // Who supervises this folder's cluster would hold its lock. Where that one is, may be hard to look at.
    let other = lost::elsewhere(&global.layout(), &global.cluster).ok().flatten();
    copied::refused(global, &state.cluster, Some(&other.unwrap_or(Elsewhere::Unseen)))
}

fn half_dead(state: &ClusterState, global: &Global) -> Failure {
    let alive =
        state.processes().into_iter().filter(|(_, process)| process.as_ref().is_some_and(|p| p.is_alive()));
    let alive: Vec<_> = alive.map(|(name, _)| name).collect();
    let left = if alive.is_empty() { "its files".to_owned() } else { alive.join(", ") };
    let (down, up) = (global.typed("down"), global.typed("up"));
    Failure::new(
        format!("an earlier cluster {:?} died and left {left}", state.cluster),
        format!("{down}, which takes its data away too; then {up}"),
    )
}

/// What is said of a cluster that is ready: what to try, and how it ends. Pure.
fn welcome(state: &ClusterState, global: &Global, end: &str) -> String {
    let context = context_name(&global.cluster);
    let kubectl = match &state.kubeconfig {
        Some(_) => "kubectl".to_owned(),
        None => format!("kubectl --kubeconfig {}", word(&global.layout().admin_kubeconfig())),
    };
    let (dashboard, logs, sql) = (global.typed("dashboard"), global.typed("logs"), global.typed("sql"));
    let lines = [
        String::new(),
        format!("  dashboard  {}  (sign in: {dashboard})", state.dashboard_url()),
        format!("  API        {}  (kubectl context {context:?})", state.api_url()),
        String::new(),
        format!("  {kubectl} get nodes,pods -A"),
        format!("  {logs} -A --since 5m"),
        format!("  {sql} 'select node, count(*) from pod group by node'"),
        String::new(),
        format!("  {end} takes all of it down, its data too"),
        String::new(),
    ];
    lines.join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::process::Process, layout::HOME};

    fn global() -> Global {
        Global { cluster: "demo".to_owned(), home: HOME.into() }
    }

    #[test]
    fn root_alone_is_not_enough_where_programs_are_missing() {
        let lacks = |what: &'static str| Finding { what, why: "", remedy: Some("get it".to_owned()) };
        let told = |missing: &[Finding]| {
            lacking(missing, &global()).map(|told| (told.message(), told.next().to_owned()))
        };
        let expect = |message: &str, next: &str| Some((message.to_owned(), next.to_owned()));
        assert_eq!(told(&[]), None);
        let root = expect("starting a cluster needs root", "sudo tiphys up --cluster demo");
        assert_eq!(told(&[lacks(doctor::ROOT)]), root);
        let runc = expect("this machine lacks runc (get it)", "tiphys doctor");
        assert_eq!(told(&[lacks(doctor::ROOT), lacks("runc")]), runc);
        assert_eq!(told(&[lacks("runc")]), runc);
    }

    #[test]
    fn whoever_has_no_context_is_told_which_file_has_it() {
        let state = ClusterState::empty("demo");
        let with = ClusterState { kubeconfig: Some("/home/a/.kube/config".into()), ..state.clone() };
        let told = welcome(&with, &global(), "Ctrl-C");
        assert!(told.contains("\n  kubectl get nodes,pods -A\n"), "{told}");
        assert!(told.contains("\n  tiphys logs --cluster demo -A --since 5m\n"), "{told}");
        assert!(told.contains("\n  Ctrl-C takes all of it down, "), "{told}");
        let told = welcome(&state, &global(), &global().typed("down"));
        let kubectl = format!("\n  kubectl --kubeconfig {HOME}/demo/admin.kubeconfig get nodes");
        assert!(told.contains(&kubectl), "{told}");
        assert!(told.contains("\n  tiphys down --cluster demo takes all of it down, "), "{told}");
    }

    #[test]
    fn a_name_that_runs_elsewhere_is_not_given_twice() {
        let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let cluster = format!("second-{}", std::process::id());
        let [first, second] =
            homes.each_ref().map(|home| Global { cluster: cluster.clone(), home: home.path().to_owned() });
        let lock = |global: &Global| Lock::try_take(&global.layout().lock()).expect("made").expect("free");
        let (held, _own) = (lock(&first), lock(&second));
        let refused = alone(&second.layout(), &second).expect_err("the other one runs");
        assert!(refused.message().contains("runs already, in /"), "{}", refused.message());
        drop(held);
        alone(&second.layout(), &second).expect("nobody else has the name");
    }

    #[test]
    fn a_copy_is_not_said_to_have_died() {
        let homes = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let cluster = format!("origin-{}", std::process::id());
        let [first, copy] = homes.each_ref().map(|home| Global {
            cluster: cluster.clone(),
            home: home.path().canonicalize().expect("it is there"),
        });
        let lock = |global: &Global| Lock::try_take(&global.layout().lock()).expect("made").expect("free");
        let (_held, _own) = (lock(&first), lock(&copy));
        let supervisor = Process::current().expect("it runs");
        let state = ClusterState { supervisor, ..ClusterState::empty(&cluster) };
        state.save(&copy.layout()).expect("written");
        let told = taken(&state, &copy).message();
        let place = first.layout().root().display().to_string();
        assert!(told.contains(&format!("is of the cluster {cluster:?} that runs in {place}, ")), "{told}");
        let told = taken(&ClusterState::empty("other"), &copy).message();
        assert!(told.ends_with("is of the cluster \"other\", which is not touched"), "{told}");
    }

    #[test]
    fn an_earlier_cluster_is_said_to_go_with_its_data() {
        let told = taken(&ClusterState::empty("demo"), &global());
        assert_eq!(told.message(), "an earlier cluster \"demo\" died and left its files");
        let next = "tiphys down --cluster demo, which takes its data away too; then tiphys up --cluster demo";
        assert_eq!(told.next(), next);
    }
}
