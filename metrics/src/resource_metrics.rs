//! metrics.k8s.io/v1beta1: what `kubectl top` and anybody's autoscaler ask.
//!
//! NodeMetrics and PodMetrics over the last 15 s, from memory. A Pod is there
//! once all its running containers have two samples. The API server has
//! authorized the path already.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tiphys_api::selector::LabelSelector;
use tiphys_client::{Cache, LeanPod};

use crate::{
    figures::Figure,
    memory::{Level, Memory, Reading, reading},
};

const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";
/// The prefix that the API server mounts.
pub const PREFIX: &str = "/apis/metrics.k8s.io/v1beta1";
const WINDOW: i64 = 15 * 1_000_000;

#[derive(Clone)]
pub struct ResourceMetrics {
    pub memory: Arc<Memory>,
    pub nodes: Cache<Node>,
    pub pods: Cache<LeanPod>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListOptions {
    label_selector: String,
}

impl ResourceMetrics {
    pub fn routes(self) -> Router {
        Router::new()
            .route(PREFIX, get(resources))
            .route(&format!("{PREFIX}/nodes"), get(list_nodes))
            .route(&format!("{PREFIX}/nodes/{{name}}"), get(get_node))
            .route(&format!("{PREFIX}/pods"), get(list_all_pods))
            .route(&format!("{PREFIX}/namespaces/{{namespace}}/pods"), get(list_pods))
            .route(&format!("{PREFIX}/namespaces/{{namespace}}/pods/{{name}}"), get(get_pod))
            .with_state(self)
    }

    /// Usage of every series of a level: by node, or by namespace, Pod and container.
    fn usage(&self, level: Level) -> BTreeMap<(String, String), Vec<Measured>> {
        let cpu = Figure::named("cpu_cores").expect("in the list of figures");
        let memory = Figure::named("memory_working_set_bytes").expect("in the list of figures");
        let mut found: BTreeMap<(String, String), Vec<Measured>> = BTreeMap::new();
        self.memory.visit(level, |key, ring| {
            let (Some(cpu), Some(memory)) = (reading(ring, cpu, WINDOW), reading(ring, memory, WINDOW))
            else {
                return;
            };
            let owner = match level {
                Level::Node => (String::new(), key.node.clone()),
                Level::Pod | Level::Container => (key.namespace.clone(), key.pod.clone()),
            };
            found.entry(owner).or_default().push(Measured { name: key.container.clone(), cpu, memory });
        });
        found
    }

    fn nodes(&self, selector: &LabelSelector) -> Vec<Value> {
        let usage = self.usage(Level::Node);
        let nodes = self.nodes.list();
        let chosen = nodes.iter().filter(|node| selector.matches(node.labels()));
        let mut items: Vec<_> = chosen
            .filter_map(|node| {
                let measured = usage.get(&(String::new(), node.name_any()))?.first()?;
                let mut item = object("NodeMetrics", "", &node.name_any(), node.labels(), &measured.cpu);
                item["usage"] = measured.usage();
                Some(item)
            })
            .collect();
        items.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
        items
    }

    fn pods(&self, namespace: &str, selector: &LabelSelector) -> Vec<Value> {
        let usage = self.usage(Level::Container);
        let mut items = Vec::new();
        for ((of, name), mut containers) in usage {
            if !namespace.is_empty() && of != namespace {
                continue;
            }
            // A Pod that is gone has series for a while.
            let Some(pod) = self.pods.get(&of, &name).filter(|pod| selector.matches(&pod.labels)) else {
                continue;
            };
            latest_of_each(&mut containers);
            if containers.len() < pod.status.running {
                continue;
            }
            let Some(first) = containers.first() else { continue };
            let mut item = object("PodMetrics", &of, &name, &pod.labels, &first.cpu);
            item["containers"] =
                containers.iter().map(|one| json!({"name": one.name, "usage": one.usage()})).collect();
            items.push(item);
        }
        items
    }
}

/// A container's or node's usage.
struct Measured {
    name: String,
    cpu: Reading,
    memory: Reading,
}

impl Measured {
    fn usage(&self) -> Value {
        json!({
            "cpu": format!("{}n", (self.cpu.value * 1e9).round() as i64),
            "memory": format!("{}Ki", (self.memory.value / 1024.0).round() as i64),
        })
    }
}

/// A restarted container has an older series beside its own.
fn latest_of_each(containers: &mut Vec<Measured>) {
    containers.sort_by(|a, b| a.name.cmp(&b.name).then(b.cpu.time.cmp(&a.cpu.time)));
    containers.dedup_by(|later, kept| later.name == kept.name);
}

fn object(kind: &str, namespace: &str, name: &str, labels: &impl Serialize, reading: &Reading) -> Value {
    let time = Timestamp::from_microsecond(reading.time).unwrap_or_default();
    let mut metadata =
        json!({"name": name, "labels": labels, "creationTimestamp": time.strftime("%FT%TZ").to_string()});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    json!({
        "kind": kind, "apiVersion": GROUP_VERSION, "metadata": metadata,
        "timestamp": time.strftime("%FT%TZ").to_string(),
        "window": format!("{:.3}s", reading.window as f64 / 1e6),
    })
}

async fn resources() -> Json<Value> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    }))
}

fn list(kind: &str, items: Vec<Value>) -> Response {
    Json(json!({"kind": kind, "apiVersion": GROUP_VERSION, "metadata": {}, "items": items})).into_response()
}

fn one(items: Vec<Value>, resource: &str, name: &str) -> Response {
    let found = items.into_iter().find(|item| item["metadata"]["name"] == name);
    found.map_or_else(
        || {
            status(
                StatusCode::NOT_FOUND,
                "NotFound",
                &format!("{resource}.metrics.k8s.io {name:?} not found"),
            )
        },
        |item| Json(item).into_response(),
    )
}

pub fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

fn selected(options: &ListOptions, then: impl FnOnce(&LabelSelector) -> Response) -> Response {
    match LabelSelector::parse(&options.label_selector) {
        Ok(selector) => then(&selector),
        Err(error) => status(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()),
    }
}

async fn list_nodes(State(state): State<ResourceMetrics>, Query(options): Query<ListOptions>) -> Response {
    selected(&options, |selector| list("NodeMetricsList", state.nodes(selector)))
}

async fn get_node(State(state): State<ResourceMetrics>, Path(name): Path<String>) -> Response {
    one(state.nodes(&LabelSelector::default()), "nodes", &name)
}

async fn list_all_pods(State(state): State<ResourceMetrics>, Query(options): Query<ListOptions>) -> Response {
    selected(&options, |selector| list("PodMetricsList", state.pods("", selector)))
}

async fn list_pods(
    State(state): State<ResourceMetrics>,
    Path(namespace): Path<String>,
    Query(options): Query<ListOptions>,
) -> Response {
    selected(&options, |selector| list("PodMetricsList", state.pods(&namespace, selector)))
}

async fn get_pod(
    State(state): State<ResourceMetrics>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    one(state.pods(&namespace, &LabelSelector::default()), "pods", &name)
}
