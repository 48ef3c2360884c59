//! Nodes with a real store behind the real door, and a server's root over them and an
//! archive in memory.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::BodyExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use parking_lot::Mutex;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::{OnError, Tasks};

use crate::{
    archive::{Archive, Config, Moment, Objects, pull},
    collector,
    index::{Keep, Retention, Store},
    metric_names::Metrics,
    record::{Level, Record, Source, StreamInfo},
    root::{self, Access, Collector, Collectors, LogRoot},
    search::{self, Request},
    serve,
    tail::Batch,
    wire::{FacetsRequest, HistogramRequest, NodeRequest, SearchAnswer, SearchRequest},
};

pub const TOKEN: &str = "t0ken";
/// What questions may take: as much as there is, since all is to be answered on a busy machine, too.
pub const WITHIN: Option<&str> = Some("60s");
/// Records of all nodes have different times.
static CLOCK: AtomicU64 = AtomicU64::new(1);

struct Line {
    namespace: String,
    time: i64,
    body: String,
}

pub struct Node {
    pub name: String,
    store: Arc<Store>,
    collector: Collector,
    seq: AtomicU64,
    written: Mutex<Vec<Line>>,
    folder: tempfile::TempDir,
}

impl Node {
    /// One that nobody asks over the network.
    pub fn of_store(name: &str, store: Arc<Store>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let collector = Collector { node: name.into(), address: None, access: Access::Token(TOKEN.into()) };
        let (seq, written) = (AtomicU64::new(0), Mutex::default());
        Self { name: name.into(), store, collector, seq, written, folder }
    }

    /// The door's answer to a GET, with the token or without.
    pub async fn get(&self, path: &str, token: &str) -> (u16, Bytes) {
        let collector = Collector { access: Access::Token(token.into()), ..self.collector.clone() };
        let sent = root::send(&root::http(None), &collector, path, None::<&()>).await.expect("an answer");
        let status = sent.status().as_u16();
        (status, sent.into_body().collect().await.expect("a body").to_bytes())
    }

    /// What its own store finds.
    pub fn found(&self, query: &str) -> Vec<String> {
        let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
        let request = Request::new(&request, Duration::from_secs(60)).expect("a query");
        let answer = search::search(&self.store, &request, 100_000, &self.name);
        answer.records.into_iter().map(|record| record.body).collect()
    }

    pub fn splits(&self) -> std::path::PathBuf {
        self.folder.path().join("splits")
    }

    /// Its folder, as a crash at this moment would leave it.
    pub fn crash_copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().expect("a folder");
        std::fs::copy(self.folder.path().join("MANIFEST"), copy.path().join("MANIFEST")).expect("copied");
        copy
    }

    /// Lines of a namespace are not expected any more.
    pub fn forget(&self, namespace: &str) {
        self.forget_before(namespace, i64::MAX);
    }

    pub fn forget_before(&self, namespace: &str, time: i64) {
        self.written.lock().retain(|line| line.namespace != namespace || line.time >= time);
    }

    /// All but the first so many lines are not expected any more.
    pub fn forget_unarchived(&self, archived: usize) {
        self.written.lock().truncate(archived);
    }

    pub async fn start(name: &str, tasks: &Tasks) -> Self {
        Self::keeping(Retention { age: Duration::MAX, bytes: 0 }, name, tasks).await
    }

    pub async fn keeping(retention: Retention, name: &str, tasks: &Tasks) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path(), retention).expect("a store").0);
        let config = collector::Config::new(name, ([127, 0, 0, 1], 0).into(), TOKEN);
        let service = serve::Service::new(store.clone(), Arc::default(), Metrics::new(), &config, tasks);
        let listener = tokio::net::TcpListener::bind(config.listen).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tasks.spawn("door", OnError::Log, async move { axum::serve(listener, service.router()).await });
        let collector =
            Collector { node: name.into(), address: Some(address), access: Access::Token(TOKEN.into()) };
        let (seq, written) = (AtomicU64::new(0), Mutex::default());
        Self { name: name.into(), store, collector, seq, written, folder }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lines, by turns of two namespaces.
    pub fn write(&self, count: u64) {
        for _ in 0..count {
            let seq = self.seq.fetch_add(1, Ordering::Relaxed);
            let namespace = if seq.is_multiple_of(2) { "shop" } else { "bank" };
            self.say(namespace, &format!("line {seq} of {}", self.name));
        }
    }

    pub fn say(&self, namespace: &str, body: &str) {
        self.say_at(namespace, body, CLOCK.fetch_add(1, Ordering::Relaxed) as i64 * 1_000_000);
    }

    /// A line of this time.
    pub fn say_at(&self, namespace: &str, body: &str, time: i64) {
        let info = StreamInfo {
            namespace: namespace.into(),
            pod: "web".into(),
            uid: format!("uid-{namespace}-{}", self.folder.path().display()),
            container: "app".into(),
            restart: 0,
            node: self.name.clone(),
        };
        let (level, source) = (Level::Info, Source::Stdout);
        let seq = time as u64;
        let record = Record { time, seq, level, source, body: Bytes::from(body.to_owned()) };
        self.store.append(Batch { info: Arc::new(info), records: vec![record] }).expect("appended");
        let (namespace, body) = (namespace.to_owned(), body.to_owned());
        self.written.lock().push(Line { namespace, time, body });
    }

    /// All lines with their times, oldest first.
    pub fn written(&self) -> Vec<(i64, String)> {
        self.written.lock().iter().map(|line| (line.time, line.body.clone())).collect()
    }

    pub fn commit(&self) {
        let pending = self.store.begin_commit(vec![]).expect("begun");
        self.store.finish_commit(&pending).expect("durable");
    }

    /// Retention takes all splits.
    pub fn expire(&self) {
        self.store.expire().expect("expired");
        assert_eq!(self.store.sizes().0, 0);
    }
}

#[derive(Default)]
struct Listed(Mutex<Vec<Collector>>);

#[async_trait]
impl Collectors for Listed {
    async fn list(&self) -> Vec<Collector> {
        self.0.lock().clone()
    }
}

/// The master may do everything, others what they like in the namespace of their name.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        let may = user.groups.iter().any(|group| group == "system:masters") || user.name == *namespace;
        if may { Ok(()) } else { Err("no rule allows it".into()) }
    }
}

pub struct Cluster {
    listed: Arc<Listed>,
    pub objects: Arc<dyn ObjectStore>,
    archive: Archive,
    folder: tempfile::TempDir,
    tasks: Tasks,
    pub cache_bytes: u64,
    pub retention: Retention,
    /// What namespaces say.
    pub keeps: Keeps,
}

type Keeps = Arc<Mutex<BTreeMap<String, Keep>>>;

impl Cluster {
    pub fn new(tasks: &Tasks) -> Self {
        Self::over(Arc::new(InMemory::new()), tasks)
    }

    pub fn over(objects: Arc<dyn ObjectStore>, tasks: &Tasks) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cache_bytes = 1 << 30;
        let keeps = Keeps::default();
        let retention = Retention { age: Duration::from_secs(86_400), bytes: u64::MAX };
        let archive = open(&objects, folder.path(), cache_bytes, retention, &keeps, tasks);
        Self {
            listed: Arc::default(),
            objects,
            archive,
            folder,
            tasks: tasks.clone(),
            cache_bytes,
            retention,
            keeps,
        }
    }

    /// As another process would.
    pub fn reopen(&mut self) {
        self.archive = open(
            &self.objects,
            self.folder.path(),
            self.cache_bytes,
            self.retention,
            &self.keeps,
            &self.tasks,
        );
    }

    pub fn live(&self, nodes: &[&Node]) {
        *self.listed.0.lock() = nodes.iter().map(|node| node.collector.clone()).collect();
    }

    pub fn live_without_collector(&self, names: &[&str]) {
        let lonely = |name: &&str| Collector {
            node: name.to_string(),
            address: None,
            access: Access::Token(TOKEN.into()),
        };
        self.listed.0.lock().extend(names.iter().map(lonely));
    }

    pub fn collectors(&self) -> Arc<dyn Collectors> {
        self.listed.clone()
    }

    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Takes in what the live nodes have now.
    pub async fn pull(&self) {
        self.try_pull().await.expect("archived");
    }

    pub async fn try_pull(&self) -> Result<(), crate::archive::ArchiveError> {
        pull::once(&self.archive, self.listed.clone()).await
    }

    /// Takes in what a node has now, and what it has after `meanwhile`.
    pub async fn pull_twice(&self, node: &Node, meanwhile: impl FnOnce()) {
        let pulled = pull::twice(&self.archive, self.listed.clone(), &node.name, meanwhile);
        pulled.await.expect("archived");
    }

    pub fn root(&self) -> LogRoot {
        let root = LogRoot::new(self.listed.clone(), Arc::new(ByName)).with_archive(self.archive.clone());
        root.with_deadline(Duration::from_secs(120))
    }

    async fn ask(&self, user: &UserInfo, request: SearchRequest) -> SearchAnswer {
        let request = SearchRequest { within: WITHIN.map(str::to_owned), ..request };
        self.root().search(user, &request).await.expect("an answer")
    }

    pub async fn search(&self, query: &str, limit: usize) -> SearchAnswer {
        let request = SearchRequest { query: query.into(), limit: Some(limit), ..SearchRequest::default() };
        self.ask(&UserInfo::master("m"), request).await
    }

    pub async fn search_as(&self, user: &str, query: &str) -> SearchAnswer {
        let request = SearchRequest { query: query.into(), ..SearchRequest::default() };
        self.ask(&UserInfo::named(user, &[]), request).await
    }

    pub async fn search_until(&self, query: &str, until: i64) -> SearchAnswer {
        let until = Some(crate::time::format(until));
        let request = SearchRequest { query: query.into(), until, ..SearchRequest::default() };
        self.ask(&UserInfo::master("m"), request).await
    }

    pub async fn page(&self, query: &str, limit: usize, cursor: Option<String>) -> SearchAnswer {
        let request =
            SearchRequest { query: query.into(), limit: Some(limit), cursor, ..SearchRequest::default() };
        self.ask(&UserInfo::master("m"), request).await
    }

    pub async fn histogram_count(&self, query: &str) -> u64 {
        let (since, until) = (Some("1970-01-01T00:00:00Z".into()), Some("1971-01-01T00:00:00Z".into()));
        let within = WITHIN.map(str::to_owned);
        let request =
            HistogramRequest { query: query.into(), since, until, within, ..HistogramRequest::default() };
        let answer = self.root().histogram(&UserInfo::master("m"), &request).await.expect("an answer");
        assert_eq!(answer.partial, []);
        answer.buckets.iter().map(|bucket| bucket.count).sum()
    }

    pub async fn facets_count(&self, query: &str) -> u64 {
        let within = WITHIN.map(str::to_owned);
        let request = FacetsRequest { query: query.into(), within, ..FacetsRequest::default() };
        let answer = self.root().facets(&UserInfo::master("m"), &request).await.expect("an answer");
        assert_eq!(answer.partial, []);
        answer.count
    }

    /// As [`Cluster::facets_count`], where nodes are missing.
    pub async fn facets_count_partial(&self, query: &str) -> u64 {
        let request = FacetsRequest { query: query.into(), ..FacetsRequest::default() };
        self.root().facets(&UserInfo::master("m"), &request).await.expect("an answer").count
    }

    /// Copies all objects into a folder.
    pub async fn copy_to(&self, folder: &Path) {
        for name in self.names().await {
            let path = folder.join(&name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let got = self.objects.get(&object_store::path::Path::from(name.as_str())).await.expect("there");
            std::fs::write(path, got.bytes().await.expect("read")).expect("written");
        }
    }

    /// What is archived now. A look that is late on a busy machine is none; the next one has it.
    pub async fn moment(&self) -> Moment {
        let known = async {
            loop {
                let moment = self.archive.moment().await;
                if moment.fault().is_none() {
                    return moment;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(120), known).await.expect("the archive says what it has")
    }

    /// Bytes of all archived splits.
    pub async fn bytes(&self) -> u64 {
        let moment = self.moment().await;
        let nodes = moment.nodes();
        let indexes = nodes.iter().filter_map(|node| moment.index(node));
        indexes.flat_map(|index| &index.splits).map(|split| split.bytes()).sum()
    }

    /// How many splits of a node are archived.
    pub async fn archived(&self, node: &str) -> usize {
        let moment = self.moment().await;
        moment.index(node).map_or(0, |index| index.splits.len())
    }

    /// How many records of a node are archived, all of whose objects are there.
    pub async fn archived_records(&self, node: &str) -> u64 {
        let moment = self.moment().await;
        let listed: Vec<_> = self.objects.list(None).try_collect().await.expect("listed");
        let sizes: BTreeMap<String, u64> =
            listed.into_iter().map(|meta| (meta.location.to_string(), meta.size)).collect();
        let splits = moment.index(node).map_or(&[][..], |index| &index.splits);
        for split in splits {
            for file in &split.files {
                let name = format!("c/nodes/{node}/{}/{}", split.folder(), file.name);
                assert_eq!(sizes.get(&name), Some(&file.size), "{name}");
            }
        }
        splits.iter().map(|split| split.records).sum()
    }

    /// Names of all objects.
    pub async fn names(&self) -> Vec<String> {
        let listed: Vec<_> = self.objects.list(None).try_collect().await.expect("listed");
        listed.into_iter().map(|meta| meta.location.to_string()).collect()
    }

    /// Flips a bit in the middle of the object whose name ends so.
    pub async fn damage(&self, ending: &str) {
        let names = self.names().await;
        let name = names.iter().find(|name| name.ends_with(ending)).expect("such an object");
        let path = object_store::path::Path::from(name.as_str());
        let got = self.objects.get(&path).await.expect("there");
        let mut bytes = got.bytes().await.expect("read").to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.objects.put(&path, bytes.into()).await.expect("put");
    }

    /// Where splits are on the server's disk.
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// Splits on the server's disk.
    pub fn cached_splits(&self) -> usize {
        std::fs::read_dir(self.cache()).expect("a cache").count()
    }
}

fn open(
    objects: &Arc<dyn ObjectStore>,
    folder: &Path,
    cache_bytes: u64,
    retention: Retention,
    keeps: &Keeps,
    tasks: &Tasks,
) -> Archive {
    let config = Config { cluster: "c".into(), cache: folder.join("cache"), cache_bytes, retention };
    let keeps = keeps.clone();
    let keeps = Box::new(move || keeps.lock().clone());
    Archive::new(&Objects::new(objects.clone()), &config, keeps, tasks).expect("an archive")
}
