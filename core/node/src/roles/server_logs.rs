//! The server's own logs, searchable beside those of the nodes: a collector in the
//! server's process reads the file that its output goes to, and the audit log. A
//! server whose output is no file (a terminal, journald) has only the latter here.
//! Of several servers each asks the others' collectors, by their API servers. Where a later version
//! wrote the index of these logs, all else of the server runs, and answers say what is missing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tiphys_api::{names::SERVER_USER, serve::Mount};
use tiphys_lifecycle::Tasks;
use tiphys_logging::{
    collector::{self, CollectorError},
    index::IndexError,
    root::{Access, Collector},
    tail::SystemLog,
};

use crate::cli::ServerOptions;

/// The collector, for this server and for the others.
pub struct ServerLogs {
    pub collector: Collector,
    /// Absent where none runs.
    pub door: Option<Mount>,
}

/// Starts it; `None` when there is no file to read.
///
/// # Errors
/// Its index can't be opened.
pub async fn start(options: &ServerOptions, tasks: &Tasks) -> anyhow::Result<Option<ServerLogs>> {
    let Some(Own { node, index }) = found(options)? else { return Ok(None) };
    let folder = options.data_dir.join("logs");
    let token = format!("{:032x}", rand::random::<u128>());
    let mut config = collector::Config::new(&node, ([127, 0, 0, 1], 0).into(), &token);
    config.pods_dir = folder.join("pods");
    config.data_dir = index;
    config.system_logs = files(options);
    config.query_timeout = options.log_query_timeout;
    collect(config, tasks).await.map(Some)
}

async fn collect(config: collector::Config, tasks: &Tasks) -> anyhow::Result<ServerLogs> {
    let (node, access) = (config.node_name.clone(), Access::Token(config.token.clone()));
    let running = match collector::run(config, None, tasks).await {
        Ok(running) => Some(running),
        // For the sake of logs that stay where they are, no cluster stands still.
        Err(CollectorError::Index(error @ IndexError::NewerManifest { .. })) => {
            tracing::error!(%error, "the server's own logs are neither collected nor searched, all else runs");
            None
        }
        Err(error) => return Err(error).context("the server's own logs can't be collected"),
    };
    let (address, door) =
        running.map(|running| (running.address, running.behind_server(SERVER_USER))).unzip();
    Ok(ServerLogs { collector: Collector { node, address, access }, door })
}

/// The node by whose name the server's own log is known, if it is read.
///
/// # Errors
/// The host has no name.
pub fn node(options: &ServerOptions) -> anyhow::Result<Option<String>> {
    Ok(found(options)?.map(|own| own.node))
}

fn found(options: &ServerOptions) -> anyhow::Result<Option<Own>> {
    if options.no_collector || files(options).is_empty() {
        return Ok(None);
    }
    let is_one_of_several = !options.store.etcd_servers.is_empty();
    let host = if is_one_of_several { Some(hostname()?) } else { None };
    Ok(Some(own(&options.data_dir.join("logs"), host.as_deref())))
}

/// What the server is called among the nodes, and where its index is.
#[derive(Debug, PartialEq, Eq)]
struct Own {
    node: String,
    index: PathBuf,
}

/// No Node can have a name with `_`, so that none has the server's. An index that was begun
/// under the name without it keeps that: what is archived of it goes by the name.
fn own(folder: &Path, host: Option<&str>) -> Own {
    let name = host.map_or_else(|| "server".to_owned(), |host| format!("server-{host}"));
    let former = folder.join("index");
    match former.exists() {
        true => Own { node: name, index: former },
        false => Own { node: format!("_{name}"), index: folder.join("own") },
    }
}

fn files(options: &ServerOptions) -> Vec<SystemLog> {
    let output = output_file().map(|path| SystemLog { name: "tiphys".to_owned(), path });
    let audit = options.audit.audit_log_path.as_ref().filter(|path| path.as_os_str() != "-");
    let audit = audit
        .and_then(|path| Some(SystemLog { name: "audit".to_owned(), path: std::path::absolute(path).ok()? }));
    output.into_iter().chain(audit).collect()
}

/// The file that this process's log goes to, if it is one.
fn output_file() -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", nix::libc::STDERR_FILENO)).ok()?;
    is_log(&path).then_some(path)
}

/// Not a pipe, a terminal, or `/dev/null`.
fn is_log(path: &Path) -> bool {
    path.is_absolute() && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

pub fn hostname() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("the host's name can't be found")?;
    Ok(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_node_has_the_servers_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let fresh = |host| own(folder.path(), host);
        let at = folder.path().join("own");
        assert_eq!(fresh(None), Own { node: "_server".into(), index: at.clone() });
        assert_eq!(fresh(Some("a")), Own { node: "_server-a".into(), index: at });
        let former = folder.path().join("index");
        std::fs::create_dir(&former).expect("made");
        assert_eq!(fresh(None), Own { node: "server".into(), index: former });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn where_a_later_version_wrote_the_index_the_server_runs_without_it() {
        let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
        let config = |index: &str| {
            let mut config = collector::Config::new("_server", ([127, 0, 0, 1], 0).into(), "t0ken");
            config.pods_dir = folder.path().join("pods");
            config.data_dir = folder.path().join(index);
            config.container_logs = None;
            config
        };
        let path = folder.path().join("later/MANIFEST");
        std::fs::create_dir(folder.path().join("later")).expect("made");
        std::fs::write(&path, "tiphys-logs 7 of another form\n").expect("written");
        let without = collect(config("later"), &tasks).await.expect("it starts");
        assert_eq!((without.collector.node.as_str(), without.collector.address), ("_server", None));
        assert!(without.door.is_none());
        assert_eq!(std::fs::read(&path).expect("it stays"), b"tiphys-logs 7 of another form\n");

        let with = collect(config("own"), &tasks).await.expect("it starts");
        assert!(with.collector.address.is_some() && with.door.is_some());
        // What else is wrong is for the operator to mend first.
        assert!(collect(config("own"), &tasks).await.is_err(), "another has it");
        tasks.shutdown(std::time::Duration::from_secs(120)).await;
    }

    #[test]
    fn only_files_are_logs() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(is_log(file.path()));
        for other in ["/dev/null", "/", "pipe:[1]", "/no/such/file"] {
            assert!(!is_log(Path::new(other)), "{other}");
        }
    }
}
