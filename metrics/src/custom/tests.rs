//! What is asked of custom metrics, over series in memory and an API that knows a few objects.

mod door;
mod sent;

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query},
    routing::get,
};
use kube::{Api, runtime::watcher};
use serde_json::json;
use tiphys_api::{
    auth::UserInfo,
    samples::{NodeSamples, PodSample, Usage},
    serve::{Handler, boxed},
    ways::Way,
};
use tiphys_client::{Cache, LeanPod};
use tiphys_lifecycle::Tasks;
use tower::ServiceExt;

use super::*;
use crate::series::{Limits, Sample, Store, Value};

const SHOP: (&str, &str) = ("namespace", "shop");
const BANK: (&str, &str) = ("namespace", "bank");
/// The labels by which a node's own series are known.
const OWN: [(&str, &str); 4] =
    [("job", "kubelet"), ("metrics_path", "/metrics/cadvisor"), ("node", "n1"), ("instance", "n1")];

/// What a request asks for beside its path.
type Asked = Query<BTreeMap<String, String>>;

/// An API server with Services and Pods in `shop`, each with its name as label `app`, and one kind
/// that is not built in; and what is `beside`.
fn api(beside: Router) -> kube::Client {
    let lists = Router::new()
        .route("/api/v1/pods", get(async |asked: Asked| list("Pod", &["web-1", "db-1"], asked).await))
        .route(
            "/api/v1/namespaces/{namespace}/services",
            get(async |Path(namespace): Path<String>, asked: Asked| {
                let names: &[&str] = if namespace == "shop" { &["web", "db"] } else { &[] };
                list("Service", names, asked).await
            }),
        )
        .route("/api", get(async || discovered("", json!([]))))
        .route(
            "/apis",
            get(async || {
                let widgets = json!({"resource": "widgets", "scope": "Namespaced", "verbs": ["list"],
                    "responseKind": {"group": "example.com", "version": "v1", "kind": "Widget"}});
                discovered("example.com", json!([widgets]))
            }),
        )
        .merge(beside);
    let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
        let lists = lists.clone();
        async move { Ok(lists.oneshot(request.map(Body::new)).await?.map(boxed)) }
    });
    tiphys_client::in_memory(Handler::new(service), UserInfo::master("test"))
}

async fn list(kind: &str, names: &[&str], Query(query): Asked) -> Json<serde_json::Value> {
    if query.contains_key("watch") {
        // Nothing changes.
        std::future::pending::<()>().await;
    }
    let selector = query.get("labelSelector").map(String::as_str).unwrap_or_default();
    let selector = LabelSelector::parse(selector).expect("a selector");
    let labels = |name: &&str| BTreeMap::from([("app".to_owned(), (*name).to_owned())]);
    let chosen = names.iter().filter(|name| selector.matches(&labels(name)));
    let items: Vec<_> = chosen
        .map(|name| json!({"metadata": {"name": name, "namespace": "shop", "labels": labels(name)}}))
        .collect();
    let metadata = json!({"resourceVersion": "1"});
    Json(json!({"apiVersion": "v1", "kind": format!("{kind}List"), "metadata": metadata, "items": items}))
}

fn discovered(group: &str, resources: serde_json::Value) -> Json<serde_json::Value> {
    let versions = json!([{"version": "v1", "freshness": "Current", "resources": resources}]);
    let group = json!({"metadata": {"name": group}, "versions": versions});
    let (kind, version) = ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2");
    Json(json!({"kind": kind, "apiVersion": version, "metadata": {}, "items": [group]}))
}

struct World {
    /// Of all samples of a test, milliseconds: rates are over whole seconds then.
    now: i64,
    store: Arc<Store>,
    memory: Arc<Memory>,
    metrics: CustomMetrics,
    pods: Cache<LeanPod>,
    /// What reads the API lives as long.
    _tasks: Tasks,
}

impl World {
    async fn new() -> Self {
        Self::with(Router::new()).await
    }

    /// Over an API that answers more.
    async fn with(beside: Router) -> Self {
        let (client, tasks) = (api(beside), Tasks::new());
        let (store, memory) = (Arc::new(Store::in_memory(Limits::default())), Arc::new(Memory::default()));
        let queries = Queries::start(client.clone(), &tasks);
        let metrics = CustomMetrics::new(memory.clone(), store.clone(), queries);
        let pods: Cache<LeanPod> = Cache::start(&tasks, Api::all(client), watcher::Config::default());
        pods.ready().await;
        let now = Timestamp::now().as_millisecond();
        Self { now, store, memory, metrics, pods, _tasks: tasks }
    }

    fn append(&self, name: &str, labels: &[&[(&str, &str)]], samples: &[(i64, f64)]) {
        let named = labels.concat().into_iter().chain([(NAME, name)]);
        let series = self.store.resolve(&Labels::new(named)).expect("made");
        let sample =
            |(time, value): &(i64, f64)| Sample { series, time: *time, value: Value::Number(*value) };
        self.store.append(&samples.iter().map(sample).collect::<Vec<_>>());
    }

    fn gauge(&self, name: &str, labels: &[&[(&str, &str)]], value: f64) {
        self.append(name, labels, &[(self.now, value)]);
    }

    /// A counter that grows by so much a second.
    fn counter(&self, name: &str, labels: &[&[(&str, &str)]], growth: f64) {
        self.append(name, labels, &[(self.now - 10_000, 5.0), (self.now, 5.0 + growth * 10.0)]);
    }

    /// A node that uses so many cores.
    fn node(&self, name: &str, cores: u64) {
        for (second, cpu_usage_nanos_total) in [(2, 0), (1, cores * 1_000_000_000)] {
            self.memory.ingest(&NodeSamples {
                time: (self.now - second * 1000) * 1000,
                node: name.to_owned(),
                usage: Usage { cpu_usage_nanos_total, ..Usage::default() },
                ..NodeSamples::default()
            });
        }
    }

    async fn pods(&self, pods: &[&str], metric: &str, selector: &str) -> Vec<(String, f64)> {
        let selector = LabelSelector::parse(selector).expect("a selector");
        let found = self.metrics.pods("shop", pods, None, metric, &selector).await.expect("a metric");
        let mut found: Vec<_> = found.into_iter().map(|(pod, reading)| (pod, reading.value)).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// As an autoscaler in `shop` asks.
    async fn object(&self, kind: &str, name: &str, metric: &str) -> Option<f64> {
        let all = LabelSelector::default();
        let found = self.metrics.object("shop", kind, name, metric, &all).await;
        found.ok().map(|reading| reading.value)
    }
}

#[tokio::test]
async fn a_pods_figure_is_its_own_or_that_of_the_container_asked_for() {
    let world = World::new().await;
    let web = [SHOP, ("pod", "web-1")];
    for (container, value) in [("", 100.0), ("app", 60.0), ("proxy", 30.0)] {
        world.gauge("container_memory_rss", &[&OWN, &web, &[("container", container)]], value);
    }
    for (container, value) in [("app", 3.0), ("proxy", 4.0)] {
        world.gauge("open_orders", &[&web, &[("job", "shop"), ("container", container)]], value);
    }
    let one = |value: f64| vec![("web-1".to_owned(), value)];
    assert_eq!(world.pods(&["web-1"], "container_memory_rss", "").await, one(100.0));
    assert_eq!(world.pods(&["web-1"], "container_memory_rss", "container=app").await, one(60.0));
    assert_eq!(world.pods(&["web-1"], "container_memory_rss", "container notin (app)").await, one(30.0));
    assert_eq!(world.pods(&["web-1"], "open_orders", "").await, one(7.0), "what was scraped counts all");
    assert!(world.pods(&["web-2"], "container_memory_rss", "").await.is_empty());
    let all = LabelSelector::default();
    let of_container = world.metrics.pods("shop", &["web-1"], Some("proxy"), "container_memory_rss", &all);
    assert_eq!(of_container.await.expect("a metric")["web-1"].value, 30.0);
    let outside = world.metrics.external("shop", "container_memory_rss", &all).await.expect("a metric");
    assert_eq!(outside.iter().map(|one| one.reading.value).collect::<Vec<_>>(), [100.0]);
    let unknown = world.metrics.pods("shop", &["web-1"], None, "moon", &all).await.expect_err("none");
    assert!(unknown.starts_with("no Pod in shop has a metric moon now"), "{unknown}");
}

#[tokio::test]
async fn what_a_pod_exposes_comes_before_a_figure_that_is_called_so() {
    let world = World::new().await;
    for (second, threads) in [(2, 9), (1, 9)] {
        let pod = |name: &str| PodSample {
            namespace: "shop".into(),
            pod: name.into(),
            uid: name.into(),
            usage: Usage { threads, ..Usage::default() },
            ..PodSample::default()
        };
        world.memory.ingest(&NodeSamples {
            time: (world.now - second * 1000) * 1000,
            node: "n1".into(),
            pods: vec![pod("web-1"), pod("web-2")],
            ..NodeSamples::default()
        });
    }
    let one = |pod: &str, value: f64| vec![(pod.to_owned(), value)];
    // The kernel's, also where a counter's name begins so.
    world.counter("threads_total", &[&[SHOP, ("pod", "web-1"), ("job", "shop")]], 3.0);
    assert_eq!(world.pods(&["web-1"], "threads", "").await, one("web-1", 9.0));
    world.gauge("threads", &[&[SHOP, ("pod", "web-1"), ("job", "shop")]], 40.0);
    assert_eq!(world.pods(&["web-1"], "threads", "").await, one("web-1", 40.0));
    assert_eq!(
        world.pods(&["web-1", "web-2"], "threads", "").await,
        one("web-1", 40.0),
        "all from one source"
    );
    assert_eq!(world.pods(&["web-2"], "threads", "").await, one("web-2", 9.0), "nothing of these exposes it");
    let sampled = world.metrics.sampled(WINDOW, "shop", &["web-1"], None, "threads").expect("a figure");
    assert_eq!(sampled["web-1"].value, 9.0);
}

#[tokio::test]
async fn figures_say_by_which_ways_they_came() {
    let world = World::new().await;
    world.node("n1", 3);
    let web = [SHOP, ("pod", "web-1")];
    for (name, lane, way) in [
        ("orders", "a", Some(Way::Scraped)),
        ("orders", "b", Some(Way::Otlp)),
        ("load", "a", Some(Way::RemoteWrite)),
        ("former", "a", None),
    ] {
        world.gauge(name, &[&web, &[("lane", lane)]], 1.0);
        let labels = Labels::new(web.into_iter().chain([("lane", lane), (NAME, name)]));
        if let Some(way) = way {
            world.store.resolve_by(&labels, way).expect("known");
        }
    }
    let all = LabelSelector::default();
    for (name, ways) in [("orders", &["scraped", "otlp"][..]), ("load", &["remoteWrite"]), ("former", &[])] {
        let found = world.metrics.pods("shop", &["web-1"], None, name, &all).await.expect("a metric");
        assert_eq!(found["web-1"].ways.names(), ways, "{name}");
    }
    let sampled = world.metrics.object("shop", "Node", "n1", "cpu", &all).await.expect("a metric");
    assert_eq!(sampled.ways.names(), ["sampled"]);
}

#[tokio::test]
async fn the_disks_of_a_pod_add_up_unless_one_is_chosen() {
    let world = World::new().await;
    let web = [SHOP, ("pod", "web-1")];
    for (container, device, growth) in [
        ("", "/dev/vda", 10.0),
        ("", "/dev/vdb", 5.0),
        ("app", "/dev/vda", 8.0),
        ("app", "/dev/vdb", 1.0),
        ("proxy", "/dev/vda", 2.0),
    ] {
        let labels = [("container", container), ("device", device)];
        world.counter("container_fs_writes_bytes_total", &[&OWN, &web, &labels], growth);
    }
    for (selector, expected) in [
        ("", 15.0),
        ("device=/dev/vda", 10.0),
        ("device in (/dev/vdb)", 5.0),
        ("container=app", 9.0),
        ("container=app,device=/dev/vda", 8.0),
    ] {
        let found = world.pods(&["web-1"], "container_fs_writes_bytes_per_second", selector).await;
        assert_eq!(found, [("web-1".to_owned(), expected)], "{selector}");
    }
}

#[tokio::test]
async fn an_object_is_found_by_the_label_that_is_called_as_its_kind() {
    let world = World::new().await;
    for (lane, value) in [("a", 2.0), ("b", 3.0)] {
        world.gauge("orders_waiting", &[&[SHOP, ("service", "web"), ("lane", lane)]], value);
    }
    world.gauge("orders_waiting", &[&[BANK, ("service", "web")]], 50.0);
    world.counter("hits_total", &[&[SHOP, ("ingress", "front")]], 4.0);
    world.gauge("size", &[&[SHOP, ("widget", "w")]], 7.0);
    // `job` says who was scraped.
    world.gauge("done", &[&[SHOP, ("job_name", "nightly"), ("job", "kube-state-metrics")]], 1.0);
    assert_eq!(world.object("Service", "web", "orders_waiting").await, Some(5.0));
    assert_eq!(world.object("Service", "db", "orders_waiting").await, None);
    assert_eq!(world.object("Ingress", "front", "hits_per_second").await, Some(4.0));
    assert_eq!(world.object("Widget", "w", "size").await, Some(7.0));
    assert_eq!(world.object("Job", "nightly", "done").await, Some(1.0));
    assert_eq!(world.object("Job", "kube-state-metrics", "done").await, None);
    let lane = LabelSelector::parse("lane=b").expect("a selector");
    let chosen = world.metrics.object("shop", "Service", "web", "orders_waiting", &lane).await;
    assert_eq!(chosen.map(|reading| reading.value), Ok(3.0));
    let absent = world.metrics.object("shop", "Service", "db", "orders_waiting", &lane).await;
    assert_eq!(absent, Err("Service db has no metric orders_waiting now".to_owned()));
}

#[tokio::test]
async fn a_node_is_told_by_its_samples_or_by_its_own_series() {
    let world = World::new().await;
    world.node("n1", 3);
    world.gauge("container_memory_rss", &[&OWN, &[("id", "/")]], 400.0);
    world.gauge("container_memory_rss", &[&OWN, &[SHOP, ("pod", "web-1")]], 100.0);
    world.gauge("kube_node_created", &[&[("node", "n1")]], 9.0);
    assert_eq!(world.object("Node", "n1", "cpu").await, Some(3.0));
    assert_eq!(world.object("Node", "n1", "container_memory_rss").await, Some(400.0));
    world.gauge("container_memory_rss", &[&OWN, &[SHOP, ("id", "/")]], 9000.0);
    assert_eq!(world.object("Node", "n1", "container_memory_rss").await, Some(400.0), "a namespace's word");
    assert_eq!(world.object("Node", "n1", "kube_node_created").await, Some(9.0));
    assert_eq!(world.object("Node", "n2", "cpu").await, None);
}

#[tokio::test]
async fn abuse_29_an_autoscaler_describes_nothing_of_another_namespace() {
    let world = World::new().await;
    world.gauge("orders_waiting", &[&[BANK, ("service", "teller"), ("node", "n1")]], 50.0);
    world.gauge("orders_waiting", &[&[SHOP, ("node", "n1")]], 2.0);
    assert_eq!(world.object("Service", "teller", "orders_waiting").await, None);
    assert_eq!(world.object("Namespace", "bank", "orders_waiting").await, None);
    assert_eq!(world.object("Namespace", "shop", "orders_waiting").await, Some(2.0));
    assert_eq!(world.object("Node", "n1", "orders_waiting").await, Some(2.0));
}
