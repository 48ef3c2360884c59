//! `tiphys server`: the control plane.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use super::StoreOptions;
use crate::{
    failure::{Failure, Outcome},
    roles::{self, process},
    stores,
};

#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// Folder for keys, objects, metrics and archived logs
    #[arg(long, default_value = "/var/lib/tiphys/server")]
    pub data_dir: PathBuf,
    /// Where the API is served, by HTTPS; may be given several times
    #[arg(long, default_value = "0.0.0.0:6443")]
    pub listen: Vec<SocketAddr>,
    /// Where nodes and Pods reach the API
    #[arg(long)]
    pub advertise: Option<SocketAddr>,
    /// More names or addresses for the API server's certificate
    #[arg(long)]
    pub tls_san: Vec<String>,
    /// The range of Pod addresses
    #[arg(long, default_value = "10.244.0.0/16")]
    pub cluster_cidr: String,
    /// The range of Service addresses
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cidr: String,
    /// Admission plug-ins beside those that are always on: DenyServiceExternalIPs
    #[arg(long, value_delimiter = ',')]
    pub enable_admission_plugins: Vec<String>,
    /// How many requests are worked on at once, together with --max-mutating-requests-inflight
    #[arg(long, default_value_t = 400)]
    pub max_requests_inflight: usize,
    /// Added to --max-requests-inflight; priority levels share the sum
    #[arg(long, default_value_t = 200)]
    pub max_mutating_requests_inflight: usize,
    /// Where the dashboard is served, by HTTP; keep it on loopback
    #[arg(long, default_value = "127.0.0.1:6480")]
    pub dashboard_listen: SocketAddr,
    /// Where SQL is answered to clients of Postgres, by TLS, with a token as password; nowhere if absent
    #[arg(long, value_name = "ADDRESS")]
    pub postgres_listen: Option<SocketAddr>,
    /// Leave the log collector to somebody else
    #[arg(long)]
    pub no_collector: bool,
    /// The most time that a search of logs may ask for; each collector has its own
    #[arg(
        long,
        value_name = "SPAN",
        default_value = "60s",
        value_parser = super::log_archive::query_timeout
    )]
    pub log_query_timeout: std::time::Duration,
    #[command(flatten)]
    pub log_archive: super::log_archive::LogArchiveOptions,
    #[command(flatten)]
    pub metrics_retention: super::metrics_retention::MetricsRetentionOptions,
    #[command(flatten)]
    pub metrics_archive: super::metrics_archive::MetricsArchiveOptions,
    #[command(flatten)]
    pub kept: super::kept::KeptOptions,
    #[command(flatten)]
    pub authentication: super::authentication::AuthenticationOptions,
    #[command(flatten)]
    pub audit: super::audit::AuditOptions,
    #[command(flatten)]
    pub autoscaler: super::autoscaler::AutoscalerOptions,
    #[command(flatten)]
    pub store: StoreOptions,
    /// File with a secret that all servers of the cluster are given: the cluster's keys are kept
    /// in etcd, encrypted with it, so that servers share them
    #[arg(long, value_name = "FILE", requires = "etcd_servers")]
    pub cluster_secret_file: Option<PathBuf>,
    /// EncryptionConfiguration of apiserver.config.k8s.io/v1: what is encrypted in the store, and
    /// with which keys; after a change and a restart everything is written with the first key
    #[arg(long, value_name = "FILE")]
    pub encryption_provider_config: Option<PathBuf>,
    #[command(flatten)]
    pub telemetry: process::TelemetryOptions,
}

impl Server {
    pub async fn run(self) -> Outcome<ExitCode> {
        let _guard = self.telemetry.init("tiphys-server", None)?;
        let outcome = process::run(|tasks| async move { roles::server::start(self, &tasks).await }).await;
        outcome.map_err(|error| {
            let next = stores::next_step(&error).unwrap_or_else(|| "tiphys status".to_owned());
            Failure::new(format!("{error:#}"), next)
        })
    }
}
