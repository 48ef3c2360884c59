//! `tiphys collector`: what the DaemonSet of the log collector runs, and `collector manifest`,
//! which brings that DaemonSet to other clusters.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{ArgMatches, Args, FromArgMatches};
use tiphys_logging::{index::Retention, tail::SystemLog};

use super::log_archive::{bytes, query_timeout, span};
use crate::{
    failure::{OrNext, Outcome},
    roles::{self, process},
};

mod manifest;

use manifest::Manifest;

/// The collector runs, or its subcommand does. Written out, since the collector has options that
/// it must be given, and the derive would want them of the subcommand too.
#[derive(Debug)]
pub enum CollectorCommand {
    Collect(Box<Collector>),
    Manifest(Manifest),
}

const MANIFEST: &str = "manifest";

impl CollectorCommand {
    pub async fn run(self) -> Outcome<ExitCode> {
        match self {
            Self::Collect(collector) => collector.run().await,
            Self::Manifest(manifest) => manifest.run(),
        }
    }
}

impl Args for CollectorCommand {
    fn augment_args(command: clap::Command) -> clap::Command {
        let manifest = Manifest::augment_args(clap::Command::new(MANIFEST)).about(manifest::ABOUT);
        Collector::augment_args(command)
            .subcommand(manifest)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CollectorCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand_matches(MANIFEST) {
            Some(matches) => Manifest::from_arg_matches(matches).map(Self::Manifest),
            None => Collector::from_arg_matches(matches).map(|collector| Self::Collect(Box::new(collector))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[derive(Debug, Clone, clap::Args)]
pub struct Collector {
    /// The node's name, as records show it
    #[arg(long, env = "TIPHYS_NODE_NAME")]
    pub node_name: String,
    /// A log of the node's own parts to collect too, as NAME=PATH; may be given several times
    #[arg(long = "system-log", value_name = "NAME=PATH")]
    pub system_logs: Vec<SystemLog>,
    /// Where docker keeps its containers, as links in /var/log/pods spell it, or `off`: only there are links followed to
    #[arg(
        long,
        env = "TIPHYS_CONTAINER_LOGS",
        value_name = "PATH|off",
        default_value = "/var/lib/docker/containers"
    )]
    pub container_logs: PathBuf,
    /// Where the journal of systemd is, or `off`; may be given several times
    #[arg(
        long = "journal",
        value_name = "PATH|off",
        value_delimiter = ',',
        default_value = "/var/log/journal,/run/log/journal"
    )]
    pub journals: Vec<PathBuf>,
    /// Where the index of the node's logs is kept
    #[arg(long, value_name = "PATH", default_value = "/var/log/tiphys/logs")]
    pub data_dir: PathBuf,
    /// Where searches are answered
    #[arg(long, default_value = "0.0.0.0:10260")]
    pub listen: SocketAddr,
    /// The bearer token that is asked for
    #[arg(long, env = "TIPHYS_COLLECTOR_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The most time that a search may ask for
    #[arg(
        long,
        env = "TIPHYS_LOG_QUERY_TIMEOUT",
        value_name = "SPAN",
        default_value = "60s",
        value_parser = query_timeout
    )]
    pub log_query_timeout: Duration,
    #[command(flatten)]
    pub kept: Kept,
    /// Where records are taken: OTLP, Loki and Elasticsearch's bulk over HTTP, OTLP over gRPC, on each of these addresses
    #[arg(long = "listen-doors", value_delimiter = ',', default_value = "0.0.0.0:4317,0.0.0.0:4318")]
    pub doors: Vec<SocketAddr>,
    #[command(flatten)]
    pub tls: DoorsTls,
    #[command(flatten)]
    pub syslog: Syslog,
    #[command(flatten)]
    pub telemetry: process::TelemetryOptions,
}

// What a node keeps of its logs, whatever a namespace says.
#[derive(Debug, Clone, clap::Args)]
pub struct Kept {
    /// How long the node keeps its logs
    #[arg(long, env = "TIPHYS_LOG_RETENTION", value_name = "SPAN", default_value = "7d", value_parser = age)]
    pub log_retention: Duration,
    /// How much of them it keeps on its disk; the oldest go first
    #[arg(
        long,
        env = "TIPHYS_LOG_RETENTION_BYTES",
        value_name = "BYTES",
        default_value = "10Gi",
        value_parser = size
    )]
    pub log_retention_bytes: u64,
}

impl Kept {
    pub fn retention(&self) -> Retention {
        Retention { age: self.log_retention, bytes: self.log_retention_bytes }
    }
}

/// As the annotation of a namespace has it, but more than nothing: that would delete all logs.
fn age(text: &str) -> Result<Duration, String> {
    let age = span(text)?;
    if age.is_zero() {
        Err("that keeps no log at all; a span such as 7d is wanted".to_owned())
    } else {
        Ok(age)
    }
}

/// The same of bytes. Who wants less than this has mistaken the unit: `500m` is half a byte.
fn size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        0..0x10_0000 => Err("that is less than 1Mi; a size such as 10Gi is wanted".to_owned()),
        size => Ok(size),
    }
}

// What the doors show to senders that speak TLS.
#[derive(Debug, Clone, clap::Args)]
pub struct DoorsTls {
    /// The certificate of the doors, in PEM, with those that lead to its authority; read again when it changes
    #[arg(long, env = "TIPHYS_DOORS_TLS_CERT", requires = "doors_tls_key")]
    pub doors_tls_cert: Option<PathBuf>,
    /// Its key, in PEM
    #[arg(long, env = "TIPHYS_DOORS_TLS_KEY", requires = "doors_tls_cert")]
    pub doors_tls_key: Option<PathBuf>,
    /// Take no plain text at the HTTP and gRPC doors
    #[arg(long, env = "TIPHYS_DOORS_TLS_ONLY", requires = "doors_tls_cert")]
    pub doors_tls_only: bool,
}

// Syslog from machines that have no token.
#[derive(Debug, Clone, clap::Args)]
pub struct Syslog {
    /// Where syslog is taken over TCP
    #[arg(long, env = "TIPHYS_SYSLOG_TCP")]
    pub syslog_tcp: Option<SocketAddr>,
    /// Where syslog is taken over UDP
    #[arg(long, env = "TIPHYS_SYSLOG_UDP")]
    pub syslog_udp: Option<SocketAddr>,
    /// Where syslog is taken over TLS, usually at port 6514
    #[arg(long, env = "TIPHYS_SYSLOG_TLS")]
    pub syslog_tls: Option<SocketAddr>,
    /// The namespace of syslog's records
    #[arg(long, env = "TIPHYS_SYSLOG_NAMESPACE")]
    pub syslog_namespace: Option<String>,
    /// Networks that syslog is taken from, such as 10.0.0.0/8
    #[arg(long, env = "TIPHYS_SYSLOG_FROM", value_delimiter = ',')]
    pub syslog_from: Vec<ipnet::IpNet>,
}

impl Collector {
    pub async fn run(self) -> Outcome<ExitCode> {
        let _guard = self.telemetry.init("tiphys-collector", Some(&self.node_name))?;
        process::run(|tasks| async move { roles::collector::start(self, &tasks).await })
            .await
            .or_next("kubectl -n tiphys-system describe pods")
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        kept: Kept,
    }

    #[test]
    fn a_search_is_given_time() {
        let parsed = |arguments: &[&str]| -> Result<Duration, String> {
            let words = ["tiphys", "collector", "--node-name=a", "--token=t"];
            let words = words.iter().chain(arguments).copied();
            match crate::cli::Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
                crate::cli::Command::Collector(command) => match *command {
                    CollectorCommand::Collect(collector) => Ok(collector.log_query_timeout),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(parsed(&[]), Ok(Duration::from_secs(60)));
        assert_eq!(parsed(&["--log-query-timeout=2m"]), Ok(Duration::from_secs(120)));
        for wrong in ["0s", "soon"] {
            let error = parsed(&[&format!("--log-query-timeout={wrong}")]).expect_err(wrong);
            assert!(error.contains("--log-query-timeout") && error.contains("span"), "{error}");
        }
    }

    #[test]
    fn only_who_collects_must_say_for_which_node() {
        let parsed = |arguments: &[&str]| {
            let words = ["tiphys", "collector"].iter().chain(arguments).copied();
            crate::cli::Cli::try_parse_from(words).map(|cli| cli.command)
        };
        let collects = parsed(&["--node-name", "a", "--token", "t", "--data-dir", "/srv/logs"]);
        let Ok(crate::cli::Command::Collector(command)) = collects else { panic!("{collects:?}") };
        let CollectorCommand::Collect(collector) = *command else { panic!("{command:?}") };
        assert_eq!(collector.node_name, "a");
        assert_eq!(collector.data_dir, PathBuf::from("/srv/logs"));
        let prints = parsed(&["manifest", "--namespace", "logging"]);
        let Ok(crate::cli::Command::Collector(command)) = prints else { panic!("{prints:?}") };
        assert!(matches!(*command, CollectorCommand::Manifest(_)), "{command:?}");
        let missing = parsed(&["--token", "t"]).expect_err("a node is missing");
        assert!(missing.to_string().contains("--node-name"), "{missing}");
    }

    fn kept(arguments: &[&str]) -> Result<Retention, String> {
        let line = Line::try_parse_from(["collector"].iter().chain(arguments).copied());
        line.map(|line| line.kept.retention()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_node_keeps_can_be_said() {
        assert_eq!(kept(&[]), Ok(Retention::default()));
        let said = kept(&["--log-retention=1d12h", "--log-retention-bytes=1.5Gi"]);
        assert_eq!(said, Ok(Retention { age: Duration::from_secs(36 * 3600), bytes: 3 << 29 }));
        let command = Line::command();
        let variables: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_env).collect();
        assert_eq!(variables, ["TIPHYS_LOG_RETENTION", "TIPHYS_LOG_RETENTION_BYTES"]);
    }

    #[test]
    fn what_can_not_be_kept_is_refused_with_the_option_and_the_reason() {
        let check = |option: &str, value: &str, why: &str| {
            let error = kept(&[&format!("{option}={value}")]).expect_err("it is refused");
            assert!(error.contains(&format!("'{value}' for '{option} <")) && error.contains(why), "{error}");
        };
        for value in ["7", "seven days", "-1d"] {
            check("--log-retention", value, &format!("`{value}` is no span of time, such as 30d or 12h"));
        }
        check("--log-retention", "0s", "keeps no log at all");
        for value in ["10 GiB", "much"] {
            let why = format!("`{value}` is no number of bytes, such as 10Gi");
            check("--log-retention-bytes", value, &why);
        }
        check("--log-retention-bytes", "-1Gi", "`-1Gi` is negative");
        for value in ["0", "500m", "1023Ki"] {
            check("--log-retention-bytes", value, "less than 1Mi");
        }
    }
}
