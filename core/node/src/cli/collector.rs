//! `tiphys collector`: what the DaemonSet of the log collector runs.

use std::{net::SocketAddr, process::ExitCode};

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
    /// Where searches are answered
    #[arg(long, default_value = "0.0.0.0:10260")]
    pub listen: SocketAddr,
    /// The bearer token that is asked for
    #[arg(long, env = "TIPHYS_COLLECTOR_TOKEN", hide_env_values = true)]
    pub token: String,
    /// Where records are taken: OTLP over HTTP and gRPC on each of these addresses
    #[arg(long = "listen-doors", value_delimiter = ',', default_value = "0.0.0.0:4317,0.0.0.0:4318")]
    pub doors: Vec<SocketAddr>,
    #[command(flatten)]
    pub telemetry: process::TelemetryOptions,
}

impl Collector {
    pub async fn run(self) -> Outcome<ExitCode> {
        let _guard = self.telemetry.init("tiphys-collector")?;
        process::run(|tasks| async move { roles::collector::start(self, &tasks).await })
            .await
            .or_next("kubectl -n tiphys-system describe pods")
    }
}
