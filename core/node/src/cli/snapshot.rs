//! `tiphys snapshot`: save everything the cluster's store holds, and make a new
//! store from it.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Subcommand;
use http_body_util::BodyExt;
use tiphys_lifecycle::Tasks;
use tiphys_store::Snapshot as Taken;

use super::{Global, StoreOptions, connect::Connect};
use crate::{
    failure::{Failure, OrNext, Outcome},
    output, snapshots, stores,
};

/// Save everything the cluster's store holds, or make a new store from it.
///
/// Examples:
///   tiphys snapshot save monday.snapshot
///   tiphys snapshot restore monday.snapshot --data-dir /var/lib/tiphys/server
///   tiphys snapshot restore monday.snapshot --etcd-servers https://10.0.0.1:2379 --etcd-cafile ca.crt
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Snapshot {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a snapshot of the running cluster to a file
    Save(Save),
    /// Make a store from a snapshot; it must be empty, and no server may run on it
    Restore(Restore),
}

#[derive(Debug, clap::Args)]
struct Save {
    /// Where to write it; it holds all Secrets of the cluster
    file: PathBuf,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, clap::Args)]
struct Restore {
    /// The snapshot
    file: PathBuf,
    /// The server's data folder
    #[arg(long, default_value = "/var/lib/tiphys/server", conflicts_with = "etcd_servers")]
    data_dir: PathBuf,
    #[command(flatten)]
    store: StoreOptions,
}

impl Snapshot {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        match self.what {
            What::Save(save) => save.run(global).await,
            What::Restore(restore) => restore.run().await,
        }
    }
}

impl Save {
    async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        let mut beside = self.file.as_os_str().to_owned();
        beside.push(".partial");
        let beside = PathBuf::from(beside);
        let taken = receive(&client, &beside).await;
        if taken.is_err() {
            // Whatever went wrong is said; what was written so far is of no use.
            let _ = fs::remove_file(&beside);
        }
        let taken = taken?;
        fs::rename(&beside, &self.file)
            .with_context(|| format!("{} can't be written", self.file.display()))?;
        output::line(&format!(
            "saved {} objects at revision {} to {}",
            taken.records.len(),
            taken.revision,
            self.file.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Takes a snapshot from the server into a file, and checks it.
async fn receive(client: &kube::Client, path: &Path) -> Outcome<Taken> {
    let request = http::Request::get(snapshots::PATH).body(kube::client::Body::empty())?;
    let response = client.send(request).await.or_next("tiphys status")?;
    let status = response.status();
    if !status.is_success() {
        let said = response.into_body().collect().await.or_next("tiphys status")?.to_bytes();
        let said = String::from_utf8_lossy(&said);
        let next = "use a kubeconfig of an administrator: tiphys snapshot save --kubeconfig";
        return Err(Failure::new(format!("the server refused with {status}: {}", said.trim()), next));
    }
    let cannot = || format!("{} can't be written", path.display());
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let file = file.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", cannot()))?;
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.or_next("tiphys status")?.into_data() {
            file.write_all(&data).with_context(cannot)?;
        }
    }
    file.sync_all().with_context(cannot)?;
    Taken::read(path).or_next("tiphys status")
}

impl Restore {
    async fn run(self) -> Outcome<ExitCode> {
        let snapshot = Taken::read(&self.file)
            .with_context(|| self.file.display().to_string())
            .or_next("tiphys snapshot save FILE")?;
        let (revision, place) = match self.store.etcd()? {
            None => {
                let folder = self.data_dir.join("store");
                let next = format!("mv {} elsewhere, or name another --data-dir", folder.display());
                (snapshot.restore_folder(&folder).or_next(next)?, folder.display().to_string())
            }
            Some(_) => (self.fill_etcd(&snapshot).await?, self.store.etcd_servers.join(", ")),
        };
        output::line(&format!(
            "restored {} objects at revision {revision} to {place}",
            snapshot.records.len()
        ));
        Ok(ExitCode::SUCCESS)
    }

    async fn fill_etcd(&self, snapshot: &Taken) -> Outcome<u64> {
        let tasks = Tasks::new();
        let restored = async {
            let store = stores::open(&self.store, &self.data_dir, &tasks).await?;
            Ok::<_, anyhow::Error>(snapshot.restore_into(&*store).await?)
        };
        let restored = restored.await;
        tasks.shutdown(Duration::from_secs(5)).await;
        restored.map_err(|error| {
            let next = stores::next_step(&error);
            let next =
                next.unwrap_or_else(|| "name an empty one with --etcd-servers or --etcd-prefix".to_owned());
            Failure::new(format!("{error:#}"), next)
        })
    }
}
