//! kill -9 of a server in a storm of writes: writers create and change objects, watchers go on from
//! the last resourceVersion they were told. Nothing acknowledged is missing afterwards, and every
//! watcher was told of every change once and in order, over all deaths.
//!
//! A server without nodes on its embedded store, driven by kube-rs over HTTPS.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Shared,
    servers::{Server, free_address},
};

const LIMIT: Duration = Duration::from_secs(120);
const WRITERS: usize = 6;
const WATCHERS: usize = 4;
/// Acknowledged writes from one death to the next.
const WRITES: usize = 150;
/// How far writers may be ahead of that: far less than a server remembers for a watcher that is slow.
const AHEAD: usize = 4 * WRITES;
/// Changes of an object before its writer makes the next one.
const CHANGES: u64 = 10;
/// The last object that is made.
const END: &str = "end";

/// A resourceVersion, and the number that was written with it.
type Written = (u64, u64);

/// What happened to objects, by their names.
type Story = BTreeMap<String, Vec<Written>>;

#[derive(Default)]
struct Storm {
    stop: AtomicBool,
    count: AtomicUsize,
    /// Nobody writes once so many are acknowledged.
    most: AtomicUsize,
    acknowledged: Mutex<Story>,
}

impl Storm {
    fn acknowledge(&self, object: &ConfigMap) -> Result<()> {
        let mut all = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(object.name_any()).or_default().push(written(object)?);
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a writer waits for what is yet to happen.
    fn is_ahead(&self) -> bool {
        let [count, most] = [&self.count, &self.most].map(|it| it.load(Ordering::Relaxed));
        count >= most && !self.stop.load(Ordering::Relaxed)
    }
}

fn written(object: &ConfigMap) -> Result<Written> {
    let version = object.resource_version().context("an object has a resourceVersion")?.parse()?;
    let number = object.data.as_ref().and_then(|data| data.get("n")).context("an object has a number")?;
    Ok((version, number.parse()?))
}

/// Whether a refusal is about the request, and not about the server's state: 410 among them.
fn is_final(code: u16) -> bool {
    code < 500 && code != 429
}

/// Writes, as long as the storm lasts. A write without an answer may have been made or not.
async fn write(maps: Api<ConfigMap>, writer: usize, storm: Arc<Storm>) -> Result<()> {
    for n in 0_u64.. {
        while storm.is_ahead() {
            sleep(Duration::from_millis(5)).await;
        }
        if storm.stop.load(Ordering::Relaxed) {
            break;
        }
        let (name, n) = (format!("w{writer}-{}", n / CHANGES), n % CHANGES);
        let done = if n == 0 {
            let object = json!({"metadata": {"name": name}, "data": {"n": "0"}});
            maps.create(&PostParams::default(), &serde_json::from_value(object)?).await
        } else {
            let change = Patch::Merge(json!({"data": {"n": n.to_string()}}));
            maps.patch(&name, &PatchParams::default(), &change).await
        };
        match done {
            Ok(object) => storm.acknowledge(&object)?,
            // The object was not made before the server died.
            Err(kube::Error::Api(refused)) if refused.code == 404 && n > 0 => {}
            Err(kube::Error::Api(refused)) if is_final(refused.code) => bail!("{name}: {refused:?}"),
            // Nobody tells when the server is there again.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
    Ok(())
}

/// What a watcher is told up to the last object, over as many connections as it takes.
async fn watch(maps: Api<ConfigMap>, mut version: String) -> Result<Story> {
    let mut story = Story::new();
    loop {
        let parameters = WatchParams::default().timeout(290);
        let mut stream = match maps.watch(&parameters, &version).await {
            Ok(stream) => stream.boxed(),
            Err(kube::Error::Api(refused)) if is_final(refused.code) => bail!("from {version}: {refused:?}"),
            Err(_) => {
                sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        // A stream that breaks goes on elsewhere.
        while let Some(Ok(event)) = stream.next().await {
            let object = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    continue;
                }
                other => bail!("from {version}: {other:?}"),
            };
            version = object.resource_version().context("an event has a version")?;
            if object.name_any() == END {
                return Ok(story);
            }
            if object.name_any().starts_with('w') {
                story.entry(object.name_any()).or_default().push(written(&object)?);
            }
        }
    }
}

async fn more_writes(storm: &Storm) -> Result<()> {
    let enough = storm.count.load(Ordering::Relaxed) + WRITES;
    storm.most.store(enough + AHEAD, Ordering::Relaxed);
    let waiting = async {
        while storm.count.load(Ordering::Relaxed) < enough {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, waiting).await.context("writes don't go on")
}

pub fn kills(_: &Shared) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let deaths = if std::env::var_os("TIPHYS_SOAK").is_some() { 50 } else { 3 };
    runtime.block_on(storm(deaths))
}

async fn storm(deaths: usize) -> Result<()> {
    let folder = TempDir::new()?;
    let addresses = [free_address()?, free_address()?];
    let start = || tokio::task::block_in_place(|| Server::start_at(folder.path(), "stormy", &addresses, &[]));
    let mut server = start()?;
    let maps = maps(&server).await?;
    let from = maps.list(&ListParams::default()).await?.metadata.resource_version.context("a version")?;
    let storm = Arc::new(Storm::default());
    let (mut watching, mut writing) = (JoinSet::new(), JoinSet::new());
    for _ in 0..WATCHERS {
        watching.spawn(watch(maps.clone(), from.clone()));
    }
    for writer in 0..WRITERS {
        writing.spawn(write(maps.clone(), writer, storm.clone()));
    }
    for _ in 0..deaths {
        more_writes(&storm).await?;
        server.kill()?;
        server = start()?;
    }
    more_writes(&storm).await?;
    storm.stop.store(true, Ordering::Relaxed);
    let ended = timeout(LIMIT, writing.join_all()).await.context("a writer doesn't end")?;
    ended.into_iter().collect::<Result<()>>()?;
    let end = json!({"metadata": {"name": END}});
    maps.create(&PostParams::default(), &serde_json::from_value(end)?).await?;
    let told = timeout(LIMIT, watching.join_all()).await.context("a watcher never came to the end")?;
    let told: Vec<Story> = told.into_iter().collect::<Result<_>>()?;
    check(&maps, &storm, &told).await
}

async fn maps(server: &Server) -> Result<Api<ConfigMap>> {
    // Others may have been first; all mean the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(&fs::read_to_string(server.kubeconfig())?)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Api::namespaced(Client::try_from(config)?, "default"))
}

async fn check(maps: &Api<ConfigMap>, storm: &Storm, told: &[Story]) -> Result<()> {
    let acknowledged = storm.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let first = told.first().context("somebody watched")?;
    for other in told {
        ensure!(other == first, "watchers were told different stories");
    }
    for (name, writes) in &acknowledged {
        let story = first.get(name).with_context(|| format!("nobody was told of {name}"))?;
        ensure!(story.is_sorted_by(|a, b| a.0 < b.0), "{name} was told twice or out of order: {story:?}");
        for write in writes {
            ensure!(story.contains(write), "of {name} at {write:?} nobody was told: {story:?}");
        }
    }
    let stored = maps.list(&ListParams::default()).await?;
    let stored: BTreeMap<String, Written> = stored
        .iter()
        .filter(|object| object.name_any().starts_with('w'))
        .map(|object| Ok((object.name_any(), written(object)?)))
        .collect::<Result<_>>()?;
    for (name, story) in first {
        // The newest state is the one that was told last, also of writes without an answer.
        ensure!(stored.get(name) == story.last(), "{name} is {:?}, told was {story:?}", stored.get(name));
    }
    ensure!(stored.len() == first.len(), "{} objects are there, of {} was told", stored.len(), first.len());
    let writes = storm.count.load(Ordering::Relaxed);
    ensure!(writes > WRITES, "only {writes} writes");
    Ok(())
}
