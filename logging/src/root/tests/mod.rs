//! The root over real collectors' HTTP, whose stores are filled by hand.

mod context;
mod gaps;
mod namespaces;
mod requests;
pub(crate) mod slow;
mod stats;
mod tail;
mod times;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tiphys_lifecycle::Tasks;
use tokio::net::TcpListener;

use super::*;
use crate::{
    collector::Config,
    index::{PodMeta, Retention, Store},
    metric_names::Metrics,
    record::{Level, Position, Record, Source, StreamInfo},
    search::TailHub,
    serve::Service,
    tail::Batch,
};

const TOKEN: &str = "t0ken";

/// The user's name is the only namespace he may read; `admin` reads all.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { verb, resource, subresource, namespace, .. } = attributes else {
            return Err("no resource".into());
        };
        let log = verb == "get" && resource == "pods" && subresource == "log";
        let granted = user.name == "admin" || user.name == *namespace;
        if log && granted { Ok(()) } else { Err("no rule allows it".into()) }
    }
}

struct Nodes(Vec<Collector>);

#[async_trait]
impl Collectors for Nodes {
    async fn list(&self) -> Vec<Collector> {
        self.0.clone()
    }
}

/// A node whose records are put into it.
pub(crate) struct TestNode {
    name: String,
    store: Arc<Store>,
    pub hub: Arc<TailHub>,
    _folder: tempfile::TempDir,
}

impl TestNode {
    /// With an empty store.
    fn new(name: String) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        Self { name, store: Arc::new(store), hub: Arc::default(), _folder: folder }
    }

    /// What its collector answers.
    fn router(&self, tasks: &Tasks) -> axum::Router {
        let config = Config::new(&self.name, ([127, 0, 0, 1], 0).into(), TOKEN);
        Service::new(self.store.clone(), self.hub.clone(), Metrics::new(), &config, tasks).router()
    }

    /// Appends a line of a Pod `namespace/pod` and shows it to followers; gives its id.
    pub fn write(&self, pod: &str, time: i64, seq: u64, level: Level, body: &str) -> String {
        let batch = self.batch(pod, time, seq, level, body);
        let info = &batch.info;
        let app = info.pod.split('-').next().unwrap_or(&info.pod).to_owned();
        let labels = Arc::new([("app".to_owned(), app)].into());
        self.store.pods().update(&info.uid, PodMeta { labels, ..PodMeta::default() });
        let id = Position { time, stream: info.key(), seq }.to_string();
        self.hub.hand_on(batch, |batch| self.store.append(batch)).expect("appended");
        id
    }

    /// The labels of a Pod `namespace/pod` are this one.
    pub fn label(&self, pod: &str, name: &str, value: &str) {
        let info = self.batch(pod, 0, 0, Level::Info, "").info;
        let labels = Arc::new([(name.to_owned(), value.to_owned())].into());
        self.store.pods().update(&info.uid, PodMeta { labels, ..PodMeta::default() });
    }

    fn batch(&self, pod: &str, time: i64, seq: u64, level: Level, body: &str) -> Batch {
        let (namespace, pod) = pod.split_once('/').expect("namespace/pod");
        let info = Arc::new(StreamInfo {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: format!("uid-{pod}"),
            container: "app".into(),
            restart: 0,
            node: self.name.clone(),
        });
        let body = Bytes::copy_from_slice(body.as_bytes());
        Batch { info, records: vec![Record { time, seq, level, source: Source::Stdout, body }] }
    }
}

/// Nodes `n1`, `n2` and so on, and the root above them.
pub(crate) struct TestCluster {
    pub nodes: Vec<TestNode>,
    pub root: LogRoot,
    pub tasks: Tasks,
}

impl TestCluster {
    /// So many nodes, and `dead` ones behind them that never answer.
    pub async fn start(count: usize, dead: usize) -> Self {
        let tasks = Tasks::new();
        let (mut nodes, mut collectors) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let node = TestNode::new(format!("n{number}"));
            let router = node.router(&tasks);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().ok();
            tasks.spawn("collector", tiphys_lifecycle::OnError::Log, async move {
                axum::serve(listener, router).await
            });
            let access = Access::Token(TOKEN.into());
            collectors.push(Collector { node: node.name.clone(), address, access });
            nodes.push(node);
        }
        for number in count + 1..=count + dead {
            collectors.push(Collector {
                node: format!("n{number}"),
                address: None,
                access: Access::Token(TOKEN.into()),
            });
        }
        let root = LogRoot::new(Arc::new(Nodes(collectors)), Arc::new(ByName));
        Self { nodes, root, tasks }
    }

    /// Tails show at most about so many lines of a gap.
    pub fn shows(&mut self, lines: usize) {
        self.root.most = lines;
    }

    /// What another process of the server has over the same nodes.
    pub fn another_root(&self) -> LogRoot {
        LogRoot::new(self.root.collectors.clone(), self.root.authorizer.clone())
    }

    pub async fn stop(self) {
        self.tasks.shutdown(Duration::from_secs(20)).await;
    }
}

pub(crate) fn admin() -> UserInfo {
    UserInfo::named("admin", &[])
}

/// A user who may read the namespace of that name only.
pub(crate) fn reader(namespace: &str) -> UserInfo {
    UserInfo::named(namespace, &[])
}

fn bodies(records: &[crate::wire::LogRecord]) -> Vec<&str> {
    records.iter().map(|record| record.body.as_str()).collect()
}
