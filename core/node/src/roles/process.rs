//! The life of a role's process: start, tell that it is ready, wait for a signal
//! or a fatal error, drain with a limit.

use std::{process::ExitCode, time::Duration};

use tiphys_lifecycle::{OnError, Tasks, allow_many_files};
use tiphys_telemetry::{Guard, LogFormat, TelemetryConfig, TelemetryError};
use tokio::signal::unix::{SignalKind, signal};

use super::{own_log, server_logs};
use crate::{notify, settle};

/// What is logged unless asked otherwise: crates that tell of each of their steps are held back.
const QUIET: &str = "info,fjall=warn,lsm_tree=warn,tantivy=warn,hickory_server=warn";

const DRAIN: Duration = Duration::from_secs(10);

/// How a long-running process tells of itself.
#[derive(Debug, Clone, clap::Args)]
pub struct TelemetryOptions {
    /// What is logged, such as info or info,tiphys_kubelet=debug
    #[arg(long, env = "TIPHYS_LOG", default_value = QUIET)]
    log: String,
    /// Log JSON lines
    #[arg(long)]
    log_json: bool,
    /// Where to export its own traces, metrics and logs by OTLP, such as http://127.0.0.1:4317;
    /// OpenTelemetry's variables hold: OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf for HTTP, and then a URL for
    /// one signal in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or
    /// OTEL_EXPORTER_OTLP_LOGS_ENDPOINT
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
}

impl TelemetryOptions {
    /// Sets up what the process tells of itself, as the one on this node, or else on this host.
    ///
    /// # Errors
    /// A filter or an endpoint that can't be used.
    pub fn init(&self, service: &str, node: Option<&str>) -> Result<Guard, TelemetryError> {
        let host = || server_logs::hostname().unwrap_or_default();
        tiphys_telemetry::init(&TelemetryConfig {
            service: service.to_owned(),
            instance: node.map_or_else(host, str::to_owned),
            format: if self.log_json { LogFormat::Json } else { LogFormat::Text },
            filter: self.log.clone(),
            otlp_endpoint: self.otlp_endpoint.clone(),
        })
    }
}

/// Runs a role until SIGTERM, SIGINT or a fatal error.
///
/// # Errors
/// The role could not start, or a part failed without which it can't go on.
pub async fn run<F>(start: impl FnOnce(Tasks) -> F) -> anyhow::Result<ExitCode>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if let Err(error) = allow_many_files() {
        tracing::warn!(%error, "the limit of open files can't be raised and stays as it was: give the process a higher one (LimitNOFILE, ulimit -n)");
    }
    let tasks = Tasks::new();
    own_log::keep(&tasks);
    let outcome = tokio::select! {
        started = Box::pin(start(tasks.clone())) => match started {
            Ok(()) => {
                notify::ready();
                tasks.spawn("settle", OnError::Log, async {
                    tokio::time::sleep(settle::AFTER).await;
                    settle::drop_code()
                });
                tokio::select! {
                    _ = terminate.recv() => Ok(()),
                    _ = interrupt.recv() => Ok(()),
                    failure = tasks.failed() => Err(anyhow::anyhow!(failure)),
                }
            }
            Err(error) => Err(error),
        },
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    let stragglers = tasks.shutdown(DRAIN).await;
    if !stragglers.is_empty() {
        tracing::warn!(tasks = ?stragglers, "tasks did not end in time");
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sys::resource::{Resource, getrlimit};

    use super::*;

    /// In a process of its own, which begins with a low limit.
    #[tokio::test]
    async fn a_role_may_open_as_many_files_as_it_may_allow_itself() {
        const INSIDE: &str = "TIPHYS_TEST_ROLE_FILES";
        if std::env::var_os(INSIDE).is_none() {
            let output = Command::new("sh")
                .args(["-c", "ulimit -S -n 256 && exec \"$0\" --exact \"$1\""])
                .arg(std::env::current_exe().expect("this test"))
                .arg("roles::process::tests::a_role_may_open_as_many_files_as_it_may_allow_itself")
                .env(INSIDE, "1")
                .output()
                .expect("a shell");
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let limits = || getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        assert_eq!(limits().0, 256);
        let ended = run(|_| async { Err(anyhow::anyhow!("enough")) }).await;
        assert!(ended.is_err());
        let (soft, hard) = limits();
        assert!(soft == hard && hard > 256, "{soft} {hard}");
    }
}
