//! The log collector of a node, as its DaemonSet runs it.

use anyhow::Context as _;
use kube::Client;
use tiphys_lifecycle::Tasks;
use tiphys_logging::{
    collector,
    doors::{DoorConfig, SyslogConfig, TlsFiles},
};

use crate::cli::{CollectorOptions, DoorsTls, SyslogOptions};

/// Which doors are open; syslog only with all that must be known of it.
fn doors(
    http: Vec<std::net::SocketAddr>,
    tls: DoorsTls,
    syslog: SyslogOptions,
) -> anyhow::Result<DoorConfig> {
    let SyslogOptions { syslog_tcp: tcp, syslog_udp: udp, syslog_tls, syslog_namespace, syslog_from: from } =
        syslog;
    let namespace = syslog_namespace.unwrap_or_default();
    let syslog = SyslogConfig { tcp, udp, tls: syslog_tls, namespace, from };
    if syslog.is_open() && (syslog.namespace.is_empty() || syslog.from.is_empty()) {
        anyhow::bail!(
            "syslog has no tokens: say by --syslog-namespace where its records go, and by --syslog-from from which networks they may come"
        );
    }
    let files = tls.doors_tls_cert.zip(tls.doors_tls_key);
    let files = files.map(|(certificate, key)| TlsFiles { certificate, key });
    let beside = metrics_doors()?;
    Ok(DoorConfig { http, tls: files, tls_only: tls.doors_tls_only, syslog, beside })
}

/// Metrics that are sent to this node go on to the server, with their senders' tokens and no other.
fn metrics_doors() -> anyhow::Result<axum::Router> {
    let Ok(mut config) = kube::Config::incluster() else { return Ok(axum::Router::new()) };
    config.auth_info = kube::config::AuthInfo::default();
    let client = Client::try_from(config).context("the API's client can't be made")?;
    Ok(tiphys_metrics::forward(client))
}

/// Starts the collector; it ends with `tasks`.
///
/// # Errors
/// The log directory can't be followed, the index can't be opened, the port is taken.
pub async fn start(options: CollectorOptions, tasks: &Tasks) -> anyhow::Result<()> {
    // Without the API it collects all the same; records then lack labels.
    let client = match kube::Config::incluster() {
        Ok(config) => Some(Client::try_from(config).context("the API's client can't be made")?),
        Err(error) => {
            tracing::warn!(%error, "not in a cluster: records carry no labels, and nobody can send any");
            None
        }
    };
    let mut config = collector::Config::new(options.node_name, options.listen, options.token);
    config.data_dir = options.data_dir;
    config.system_logs = options.system_logs;
    config.container_logs = Some(options.container_logs).filter(|path| path.as_os_str() != "off");
    config.journal = options.journals.into_iter().filter(|path| path.as_os_str() != "off").collect();
    config.retention = options.kept.retention();
    config.query_timeout = options.log_query_timeout;
    config.doors = doors(options.doors, options.tls, options.syslog)?;
    let running = collector::run(config, client, tasks).await?;
    tracing::info!(address = %running.address, "collector answers");
    Ok(())
}
