//! The command line: one file a command, one list.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{
    Args, Parser, Subcommand,
    builder::{PathBufValueParser, TypedValueParser as _},
};

use crate::{
    failure::Outcome,
    layout::{self, Layout},
};

mod advise;
mod agent;
mod audit;
mod authentication;
mod autoscaler;
mod collector;
mod completions;
mod connect;
mod copied;
mod dashboard;
mod demo;
mod doctor;
mod down;
mod holder;
mod image;
mod kept;
mod kubeconfig;
mod log_archive;
mod logs;
mod metrics_archive;
mod metrics_retention;
mod server;
mod snapshot;
mod sql;
mod status;
mod store;
mod up;
mod why;

pub use agent::Agent as AgentOptions;
pub use collector::{Collector as CollectorOptions, DoorsTls, Syslog as SyslogOptions};
pub use server::Server as ServerOptions;
pub use store::StoreOptions;

/// A Kubernetes-compatible cluster in one binary that can see itself.
#[derive(Debug, Parser)]
#[command(name = "tiphys", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What a cluster is called that has no other name.
const CLUSTER: &str = "tiphys";

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Name of the cluster on this machine
    #[arg(long, global = true, env = "TIPHYS_CLUSTER", default_value = CLUSTER, value_parser = cluster_name)]
    pub cluster: String,
    /// Folder that holds the clusters of this machine, each in one of its name
    #[arg(
        long,
        global = true,
        env = "TIPHYS_HOME",
        default_value = layout::HOME,
        value_parser = PathBufValueParser::new().try_map(std::path::absolute::<PathBuf>)
    )]
    pub home: PathBuf,
}

impl Global {
    pub fn layout(&self) -> Layout {
        Layout::new(&self.home, &self.cluster)
    }

    /// A command on this cluster as it can be typed anywhere: by whom the variables aren't set, as for sudo.
    pub fn typed(&self, command: &str) -> String {
        let mut typed = format!("tiphys {command}");
        if self.cluster != CLUSTER {
            typed.push_str(&format!(" --cluster {}", self.cluster));
        }
        if self.home != Path::new(layout::HOME) {
            typed.push_str(&format!(" --home {}", word(&self.home)));
        }
        typed
    }

    /// What is said where the cluster isn't.
    pub fn absent(&self) -> String {
        format!("there is no cluster {:?} in {}", self.cluster, self.home.display())
    }
}

/// A path as a shell takes it for one word.
fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a cluster on this machine
    ///
    /// It takes root, and stays in the foreground: Ctrl-C takes the cluster down again, with all that is in
    /// it. With --detach it runs on until tiphys down.
    Up(up::Up),
    /// Take the cluster down: its processes, its network and its files, with all data in them
    ///
    /// It takes root. What is to be kept is saved before: tiphys snapshot save.
    Down(down::Down),
    /// Say what runs and how it is
    ///
    /// The exit code is 1 when something is wrong. The cluster's processes are shown to root only.
    Status(status::Status),
    /// Say what this machine lacks to run a cluster, and how to get it
    ///
    /// The exit code is 1 when something is missing. Nothing is changed.
    Doctor(doctor::Doctor),
    /// Run the control plane
    Server(Box<server::Server>),
    /// Run a node
    Agent(agent::Agent),
    /// Print the administrator's kubeconfig
    Kubeconfig(kubeconfig::Kubeconfig),
    /// Print a one-time link to the dashboard
    Dashboard(dashboard::Dashboard),
    // Of these four the help is the type's own: it has examples.
    Logs(Box<logs::Logs>),
    Sql(sql::Sql),
    Why(why::Why),
    Advise(advise::Advise),
    /// Save what the cluster's store holds, or restore it
    Snapshot(snapshot::Snapshot),
    /// Bring images into the cluster's nodes, or build one
    Image(image::Image),
    /// Print the completion script of a shell
    Completions(completions::Completions),
    /// Run the log collector of this node, as its DaemonSet does, or print that DaemonSet's manifest
    Collector(Box<collector::CollectorCommand>),
    /// Keep a node's namespaces
    #[command(hide = true)]
    Holder(holder::Holder),
    /// A web server that logs, computes, writes and talks on request (the sample app's program)
    #[command(hide = true)]
    Demo(demo::Demo),
}

/// Runs a command to its end.
///
/// # Errors
/// What the user is told, with the next command to try.
pub fn run(cli: Cli) -> Outcome<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        // It changes its own namespaces, so it must stay single-threaded.
        Command::Holder(command) => command.run(),
        Command::Completions(command) => command.run(),
        command => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(Box::pin(run_async(global, command))),
    }
}

async fn run_async(global: Global, command: Command) -> Outcome<ExitCode> {
    match command {
        Command::Up(command) => command.run(&global).await,
        Command::Down(command) => command.run(&global).await,
        Command::Status(command) => command.run(&global).await,
        Command::Doctor(command) => command.run(&global),
        Command::Server(command) => command.run().await,
        Command::Agent(command) => command.run().await,
        Command::Kubeconfig(command) => command.run(&global),
        Command::Dashboard(command) => command.run(&global).await,
        Command::Logs(command) => command.run(&global).await,
        Command::Sql(command) => command.run(&global).await,
        Command::Why(command) => command.run(&global).await,
        Command::Advise(command) => command.run(&global).await,
        Command::Snapshot(command) => command.run(&global).await,
        Command::Image(command) => command.run(&global).await,
        Command::Collector(command) => command.run().await,
        Command::Demo(command) => command.run().await,
        Command::Holder(_) | Command::Completions(_) => unreachable!("they run without a runtime"),
    }
}

/// A cluster's name becomes a part of paths, cgroups and links.
fn cluster_name(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 40 lower-case letters, digits and inner dashes".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_begins_with_examples_where_there_are_some() {
        for (command, example) in [("logs", "tiphys logs deploy/web"), ("sql", "match(body, '")] {
            let mut cli = Cli::command();
            let command = cli.find_subcommand_mut(command).expect("a command");
            let help = command.render_long_help().to_string();
            assert!(help.contains(example), "{help}");
            let examples = help.lines().take_while(|line| !line.starts_with("Usage"));
            assert!(examples.clone().all(|line| line.chars().count() <= 80), "{help}");
        }
    }

    #[test]
    fn help_names_the_variables_of_where_processes_export() {
        for name in ["up", "server", "agent", "collector"] {
            let mut cli = Cli::command();
            let help = cli.find_subcommand_mut(name).expect("a command").render_long_help().to_string();
            let words = ["PROTOCOL", "TRACES_ENDPOINT", "METRICS_ENDPOINT", "LOGS_ENDPOINT"];
            for word in words.map(|word| format!("OTEL_EXPORTER_OTLP_{word}")) {
                assert!(help.contains(&word), "{name} lacks {word}: {help}");
            }
        }
    }

    #[test]
    fn a_command_is_told_so_that_it_means_the_same_cluster() {
        let check = |cluster: &str, home: &str, expected: &str| {
            let cli = Cli::try_parse_from(["tiphys", "down", "--cluster", cluster, "--home", home]);
            let typed = cli.expect("a command line").global.typed("down --all");
            assert_eq!(typed, format!("tiphys down --all{expected}"), "{cluster} {home}");
        };
        check("tiphys", layout::HOME, "");
        check("demo", layout::HOME, " --cluster demo");
        check("demo", "/srv/x", " --cluster demo --home /srv/x");
        check("tiphys", "/srv/a b's", r" --home '/srv/a b'\''s'");
        // Whoever types it may stand elsewhere.
        let here = std::env::current_dir().expect("a folder").join("x");
        check("tiphys", "./x", &format!(" --home {}", word(&here)));
        assert!(Cli::try_parse_from(["tiphys", "down", "--home", ""]).is_err());
    }

    #[test]
    fn a_clusters_name_can_not_leave_its_folder() {
        for bad in ["", "..", "a/b", "A", "-a", "a-", "a b"] {
            assert!(cluster_name(bad).is_err(), "{bad:?}");
        }
        assert!(cluster_name("demo-2").is_ok());
    }
}
