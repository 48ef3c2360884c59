//! `tiphys collector`: what the DaemonSet of the log collector runs.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use tiphys_logging::tail::SystemLog;

use crate::{
    failure::{OrNext, Outcome},
    roles::{self, process},
};

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
    /// Where searches are answered
    #[arg(long, default_value = "0.0.0.0:10260")]
    pub listen: SocketAddr,
    /// The bearer token that is asked for
    #[arg(long, env = "TIPHYS_COLLECTOR_TOKEN", hide_env_values = true)]
    pub token: String,
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
        let _guard = self.telemetry.init("tiphys-collector")?;
        process::run(|tasks| async move { roles::collector::start(self, &tasks).await })
            .await
            .or_next("kubectl -n tiphys-system describe pods")
    }
}
