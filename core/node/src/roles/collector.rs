//! The log collector of a node, as its DaemonSet runs it.

use anyhow::Context as _;
use kube::Client;
use tiphys_lifecycle::Tasks;
use tiphys_logging::collector;

use crate::cli::CollectorOptions;

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
    config.system_logs = options.system_logs;
    config.doors.http = options.doors;
    let running = collector::run(config, client, tasks).await?;
    tracing::info!(address = %running.address, "collector answers");
    Ok(())
}
