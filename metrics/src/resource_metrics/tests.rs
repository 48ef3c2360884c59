//! What is asked of resource metrics, over samples in memory and an API that knows a few objects.

use axum::body::Body;
use kube::{Api, runtime::watcher};
use prost::Message;
use tiphys_api::{
    auth::UserInfo,
    samples::{ContainerSample, NodeSamples, PodSample, Usage},
    serve::{Handler, boxed},
};
use tiphys_lifecycle::Tasks;
use tower::ServiceExt;

use super::*;
use crate::memory::SILENT;

mod refused;

const SECOND: i64 = 1_000_000;

fn pod(namespace: &str, name: &str, phase: &str, running: usize) -> Value {
    let running: Vec<_> = (0..running)
        .map(|_| {
            json!({"name": "c", "state": {"running": {}}, "ready": true, "restartCount": 0,
            "image": "", "imageID": ""})
        })
        .collect();
    json!({"metadata": {"namespace": namespace, "name": name, "labels": {"app": name}},
        "spec": {"containers": []}, "status": {"phase": phase, "containerStatuses": running}})
}

/// An API server with two nodes and Pods in `shop` and `bank`.
fn api() -> kube::Client {
    let nodes = json!([{"metadata": {"name": "n2"}}, {"metadata": {"name": "n1", "labels": {"zone": "a"}}}]);
    let pods = json!([
        pod("shop", "web", "Running", 2),
        pod("shop", "done", "Succeeded", 0),
        pod("shop", "crashed", "Running", 0),
        pod("shop", "young", "Running", 1),
        pod("bank", "db", "Running", 1),
    ]);
    let list = |kind: &'static str, items: Value| {
        get(move |Query(query): Query<BTreeMap<String, String>>| async move {
            if query.contains_key("watch") {
                // Nothing changes.
                std::future::pending::<()>().await;
            }
            let metadata = json!({"resourceVersion": "1"});
            Json(json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "items": items}))
        })
    };
    let lists = Router::new()
        .route("/api/v1/nodes", list("NodeList", nodes))
        .route("/api/v1/pods", list("PodList", pods));
    let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
        let lists = lists.clone();
        async move { Ok(lists.oneshot(request.map(Body::new)).await?.map(boxed)) }
    });
    tiphys_client::in_memory(Handler::new(service), UserInfo::master("test"))
}

fn usage(millicores: u64, seconds: u64, kibibytes: u64) -> Usage {
    Usage {
        cpu_usage_nanos_total: millicores * 1_000_000 * seconds,
        memory_working_set_bytes: kibibytes * 1024,
        ..Usage::default()
    }
}

fn sampled(namespace: &str, name: &str, containers: &[(&str, &str, Usage)]) -> PodSample {
    let container = |(name, id, usage): &(&str, &str, Usage)| ContainerSample {
        container: (*name).into(),
        container_id: (*id).into(),
        usage: *usage,
        ..ContainerSample::default()
    };
    PodSample {
        namespace: namespace.into(),
        pod: name.into(),
        uid: name.into(),
        containers: containers.iter().map(container).collect(),
        ..PodSample::default()
    }
}

/// Forty seconds of node `n1`: `app` of `web` is restarted at second 20, `done` and `crashed` end
/// there, and `young` begins with the last second.
fn fill(memory: &Memory) {
    for second in 0..=40u64 {
        let app = match second < 20 {
            true => ("app", "old", usage(900, second, 900)),
            false => ("app", "new", usage(250, second, 2048)),
        };
        let mut pods = vec![
            sampled("shop", "web", &[app, ("proxy", "p", usage(100, second, 512))]),
            sampled("bank", "db", &[("db", "d", usage(1, second, 64))]),
        ];
        if second < 20 {
            pods.push(sampled("shop", "done", &[("job", "j", usage(500, second, 10))]));
            pods.push(sampled("shop", "crashed", &[("c", "k", usage(500, second, 10))]));
        }
        if second == 40 {
            pods.push(sampled("shop", "young", &[("c", "y", usage(500, second, 10))]));
        }
        memory.ingest(&NodeSamples {
            time: (1_700_000_000 + second.cast_signed()) * SECOND,
            node: "n1".into(),
            usage: usage(1500, second, 4096),
            pods,
            ..NodeSamples::default()
        });
    }
}

async fn send(request: http::Request<Body>) -> (u16, Vec<u8>) {
    let memory = Memory::default();
    fill(&memory);
    send_over(memory, request).await
}

async fn send_over(memory: Memory, request: http::Request<Body>) -> (u16, Vec<u8>) {
    let (client, tasks, memory) = (api(), Tasks::new(), Arc::new(memory));
    let nodes: Cache<Node> = Cache::start(&tasks, Api::all(client.clone()), watcher::Config::default());
    let pods: Cache<LeanPod> = Cache::start(&tasks, Api::all(client), watcher::Config::default());
    nodes.ready().await;
    pods.ready().await;
    let routes = ResourceMetrics { memory, nodes, pods }.routes();
    let response = routes.oneshot(request).await.expect("answered");
    let code = response.status().as_u16();
    (code, axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read").to_vec())
}

async fn ask(path: &str, accept: &str) -> (u16, Vec<u8>) {
    let request = http::Request::get(format!("{PREFIX}{path}")).header("accept", accept).body(Body::empty());
    send(request.expect("a request")).await
}

async fn json_of(path: &str) -> (u16, Value) {
    let (code, body) = ask(path, "application/json").await;
    (code, serde_json::from_slice(&body).expect("JSON"))
}

/// `namespace/name` of each item.
async fn names(path: &str) -> Vec<String> {
    let (code, found) = json_of(path).await;
    assert_eq!(code, 200, "{path}: {found}");
    let name = |item: &Value| {
        let text = |field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", text("namespace"), text("name"))
    };
    found["items"].as_array().expect("items").iter().map(name).collect()
}

#[tokio::test]
async fn a_pod_is_told_by_its_running_containers_over_the_window() {
    let (code, found) = json_of("/namespaces/shop/pods/web").await;
    let usage = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
    let expected = json!({
        "kind": "PodMetrics", "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"},
            "creationTimestamp": "2023-11-14T22:14:00Z"},
        "timestamp": "2023-11-14T22:14:00Z", "window": "15s",
        "containers": [
            {"name": "app", "usage": usage("250m", "2Mi")},
            {"name": "proxy", "usage": usage("100m", "512Ki")},
        ],
    });
    assert_eq!((code, found), (200, expected));
    let (code, node) = json_of("/nodes/n1").await;
    assert_eq!((code, &node["usage"]), (200, &usage("1500m", "4Mi")));
    assert_eq!(node["metadata"]["labels"], json!({"zone": "a"}));
}

#[tokio::test]
async fn what_has_ended_or_has_one_sample_only_is_not_told() {
    assert_eq!(names("/pods").await, ["bank/db", "shop/web"]);
    assert_eq!(names("/nodes").await, ["/n1"], "nothing was heard of n2");
    for (path, name) in [
        ("/namespaces/shop/pods/done", "pods.metrics.k8s.io \"shop/done\" not found"),
        ("/namespaces/shop/pods/crashed", "pods.metrics.k8s.io \"shop/crashed\" not found"),
    ] {
        let (code, status) = json_of(path).await;
        assert_eq!((code, &status["reason"], &status["message"]), (404, &json!("NotFound"), &json!(name)));
    }
}

#[tokio::test]
async fn of_a_node_that_says_nothing_nothing_is_told() {
    for (path, kind) in [("/nodes", "NodeMetricsList"), ("/pods", "PodMetricsList")] {
        let memory = Memory::default();
        fill(&memory);
        memory.hush("n1", SILENT);
        let request = http::Request::get(format!("{PREFIX}{path}")).header("accept", "application/json");
        let (code, body) = send_over(memory, request.body(Body::empty()).expect("a request")).await;
        let list: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((code, &list["kind"], &list["items"]), (200, &json!(kind), &json!([])));
    }
}

#[tokio::test]
async fn items_of_a_list_have_no_kind_of_their_own() {
    let (_, list) = json_of("/nodes").await;
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("NodeMetricsList"), &json!("metrics.k8s.io/v1beta1"))
    );
    let metadata =
        json!({"name": "n1", "labels": {"zone": "a"}, "creationTimestamp": "2023-11-14T22:14:00Z"});
    let item = json!({
        "metadata": metadata, "timestamp": "2023-11-14T22:14:00Z", "window": "15s",
        "usage": {"cpu": "1500m", "memory": "4Mi"},
    });
    assert_eq!(list["items"], json!([item]));

    let partial =
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
    let accept = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
    let (_, body) = ask("/nodes", &accept("PartialObjectMetadataList")).await;
    let list: Value = serde_json::from_slice(&body).expect("JSON");
    let expected = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
        "metadata": {}, "items": [partial]});
    assert_eq!(list, expected);
    let (_, body) = ask("/nodes/n1", &accept("PartialObjectMetadata")).await;
    assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON"), partial);
}

#[tokio::test]
async fn selectors_choose_by_labels_and_by_names() {
    for (path, expected) in [
        ("/namespaces/shop/pods", &["shop/web"][..]),
        ("/pods?labelSelector=app%3Ddb", &["bank/db"][..]),
        ("/pods?labelSelector=app+in+(db,web)&fieldSelector=metadata.name%3Dweb", &["shop/web"][..]),
        ("/pods?fieldSelector=metadata.name%3Dweb", &["shop/web"][..]),
        ("/pods?fieldSelector=metadata.namespace%21%3Dshop", &["bank/db"][..]),
        ("/namespaces/shop/pods?fieldSelector=metadata.name%3Ddb", &[][..]),
        ("/nodes?labelSelector=zone%3Da&fieldSelector=metadata.name%3Dn1", &["/n1"][..]),
        ("/nodes?labelSelector=zone%3Db", &[][..]),
    ] {
        assert_eq!(names(path).await, expected, "{path}");
    }
    for path in ["/pods?fieldSelector=spec.nodeName%3Dn1", "/nodes?labelSelector=a+in+b"] {
        assert_eq!(json_of(path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_table_adds_up_the_containers() {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let (code, body) = ask("/namespaces/shop/pods", table).await;
    let found: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (code, &found["kind"], &found["apiVersion"]),
        (200, &json!("Table"), &json!("meta.k8s.io/v1"))
    );
    let columns: Vec<_> =
        found["columnDefinitions"].as_array().expect("columns").iter().map(|one| &one["name"]).collect();
    assert_eq!(columns, ["Name", "cpu", "memory", "Window"]);
    assert_eq!(found["rows"][0]["cells"], json!(["web", "350m", "2560Ki", "15s"]));
    assert_eq!(found["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let (_, body) = ask("/nodes/n1?includeObject=None", table).await;
    let one: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(one["rows"][0]["cells"], json!(["n1", "1500m", "4Mi", "15s"]));
    assert_eq!(one["rows"][0]["object"], Value::Null, "of one object it is left out, too");
}

#[tokio::test]
async fn protobuf_says_the_same() {
    let (code, body) = ask("/namespaces/shop/pods", accept::PROTOBUF).await;
    let unknown = protobuf::Unknown::decode(body.strip_prefix(b"k8s\0").expect("the mark")).expect("decoded");
    let kind = unknown.type_meta.expect("a kind");
    assert_eq!((code, &*kind.api_version, &*kind.kind), (200, GROUP_VERSION, "PodMetricsList"));
    let list = protobuf::MetricsList::decode(&*unknown.raw).expect("decoded");
    let pod = protobuf::PodMetrics::decode(&*list.items[0]).expect("decoded");
    assert_eq!(pod.metadata.expect("metadata").labels["app"], "web");
    assert_eq!(
        (pod.timestamp.expect("a time").seconds, pod.window.expect("a window").duration),
        (1_700_000_040, 15_000_000_000)
    );
    let usage: Vec<_> = pod.containers.iter().map(|one| (&*one.name, &*one.usage["cpu"].text)).collect();
    assert_eq!(usage, [("app", "250m"), ("proxy", "100m")]);
    assert_eq!(ask("/nodes", "text/html").await.0, 406);
}

#[tokio::test]
async fn discovery_names_both_resources() {
    let (_, found) = json_of("").await;
    let resource = |name, kind, namespaced: bool| {
        json!({"name": name, "singularName": "", "kind": kind,
        "namespaced": namespaced, "verbs": ["get", "list"]})
    };
    let expected = json!([resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)]);
    assert_eq!(found["resources"], expected);
}
