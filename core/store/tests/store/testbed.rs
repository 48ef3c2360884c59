//! A store for one test, in a folder that goes with it, and short ways to use it.

use std::{future::Future, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tiphys_lifecycle::Tasks;
use tiphys_store::{
    Embedded, Etcd, EtcdOptions, Event, Options, Range, Record, Revision, Store, StoreError, Txn, Watch,
};
use tiphys_tests::EtcdCluster;

/// An upper bound for anything that is waited for.
pub const LIMIT: Duration = Duration::from_secs(120);

pub struct Bed {
    pub store: Arc<dyn Store>,
    tasks: Tasks,
    folder: TempDir,
    /// Where an etcd store keeps its data.
    pub cluster: Option<EtcdCluster>,
}

impl Bed {
    /// On an etcd of its own.
    pub async fn etcd() -> Self {
        Self::on(EtcdCluster::start(1), &|_| {}).await
    }

    /// On these members, with options that `change` changed.
    pub async fn on(cluster: EtcdCluster, change: &dyn Fn(&mut EtcdOptions)) -> Self {
        let tasks = Tasks::new();
        let store = etcd(&cluster, &tasks, change).await.unwrap();
        Self { store, tasks, folder: tempfile::tempdir().unwrap(), cluster: Some(cluster) }
    }

    pub async fn embedded() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        Self::at(tempfile::tempdir().unwrap(), options).await
    }

    async fn at(folder: TempDir, options: Options) -> Self {
        let tasks = Tasks::new();
        let store = Embedded::open_with(folder.path(), options, &tasks).await.unwrap();
        Self { store, tasks, folder, cluster: None }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Shuts the store down and leaves its folder.
    pub async fn close(self) -> TempDir {
        assert_eq!(self.tasks.shutdown(LIMIT).await, Vec::<String>::new());
        self.folder
    }

    /// Shuts down and opens the same folder after something was done to it.
    pub async fn reopen_after(self, options: Options, damage: impl FnOnce(&Path)) -> Self {
        let folder = self.close().await;
        damage(folder.path());
        Self::at(folder, options).await
    }

    /// Shuts down and opens the same folder, or connects to the same cluster, again.
    pub async fn reopen(mut self, options: Options) -> Self {
        let cluster = self.cluster.take();
        let folder = self.close().await;
        match cluster {
            Some(cluster) => Self::on(cluster, &|_| {}).await,
            None => Self::at(folder, options).await,
        }
    }
}

/// One more store on a cluster.
pub async fn etcd(
    cluster: &EtcdCluster,
    tasks: &Tasks,
    change: &dyn Fn(&mut EtcdOptions),
) -> Result<Arc<dyn Store>, StoreError> {
    // Else a busy machine takes revisions for signs of progress that no test counts with.
    let (compact_every, event_within, patience) = (Duration::ZERO, LIMIT / 2, LIMIT);
    let usual = EtcdOptions::new(cluster.endpoints());
    let mut options = EtcdOptions { compact_every, event_within, patience, ..usual };
    change(&mut options);
    Ok(Etcd::connect(options, tasks).await?)
}

/// Why an etcd is refused. A busy machine may be slow to find out.
pub async fn refusal(cluster: &EtcdCluster, tasks: &Tasks, change: &dyn Fn(&mut EtcdOptions)) -> StoreError {
    let at_once = |options: &mut EtcdOptions| {
        options.patience = Duration::ZERO;
        change(options);
    };
    within(async {
        loop {
            let refused = etcd(cluster, tasks, &at_once).await.err().unwrap();
            if !refused.to_string().contains("no answer in time") {
                return refused;
            }
        }
    })
    .await
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("done in time")
}

pub async fn put(store: &dyn Store, key: &str, value: &str) -> Revision {
    store.transact(Txn::put(key, value.to_owned())).await.unwrap().revision
}

pub async fn delete(store: &dyn Store, key: &str) -> Revision {
    store.transact(Txn::delete(key)).await.unwrap().revision
}

pub async fn value(store: &dyn Store, key: &str, revision: Option<Revision>) -> Option<String> {
    let record = store.get(key, revision).await.unwrap();
    record.map(|record| text(&record))
}

pub fn text(record: &Record) -> String {
    String::from_utf8(record.value.to_vec()).unwrap()
}

/// Keys of a whole range.
pub async fn keys(store: &dyn Store, prefix: &str, revision: Option<Revision>) -> Vec<String> {
    let range = Range { revision, ..Range::prefix(prefix) };
    store.range(range).await.unwrap().records.into_iter().map(|record| record.key).collect()
}

/// Reads a watch until it has told of everything up to `revision`.
pub async fn events_until(watch: &mut Watch, revision: Revision) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    loop {
        let batch = within(watch.next()).await.expect("the watch goes on")?;
        assert!(batch.events.iter().all(|event| event.revision <= batch.revision));
        events.extend(batch.events);
        if batch.revision >= revision {
            return Ok(events);
        }
    }
}

/// An event in short: `+/a@2=v` for a creation, `~` for a change, `-` for a deletion.
pub fn short(event: &Event) -> String {
    let sign = match (&event.previous, &event.current) {
        (None, Some(_)) => '+',
        (Some(_), Some(_)) => '~',
        (Some(_), None) => '-',
        (None, None) => '?',
    };
    let shown = event.current.as_ref().or(event.previous.as_ref());
    format!("{sign}{}@{}={}", event.key, event.revision, shown.map(text).unwrap_or_default())
}

pub fn shorts(events: &[Event]) -> Vec<String> {
    events.iter().map(short).collect()
}
