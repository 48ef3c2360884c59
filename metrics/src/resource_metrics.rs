//! metrics.k8s.io/v1beta1: what `kubectl top` and anybody's autoscaler ask.
//!
//! NodeMetrics and PodMetrics over the last 15 s, from memory. A Pod is there while it runs,
//! once all its running containers have two samples. What answers look like is metrics-server's:
//! JSON, a table for `kubectl get`, protobuf. The API server has authorized the path already.

mod accept;
mod fields;
mod item;
mod protobuf;
mod table;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::selector::LabelSelector;
use tiphys_client::{Cache, LeanPod, Phase};

use self::{
    accept::Form,
    fields::Fields,
    item::{Item, Measured},
};
use crate::{
    figures::Figure,
    memory::{Level, Memory, reading},
};

const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";
/// The prefix that the API server mounts.
pub const PREFIX: &str = "/apis/metrics.k8s.io/v1beta1";
const WINDOW: i64 = 15 * 1_000_000;
/// How far behind its node a container may be that still runs, microseconds.
const BEHIND: i64 = 15 * 1_000_000;

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
    field_selector: String,
    /// Of a table: `None`, `Metadata` or `Object`.
    include_object: String,
}

/// What of a list is asked for.
#[derive(Default)]
struct Chosen {
    labels: LabelSelector,
    fields: Fields,
}

impl Chosen {
    fn of(options: &ListOptions) -> Result<Self, String> {
        let labels = LabelSelector::parse(&options.label_selector).map_err(|error| error.to_string())?;
        Ok(Self { labels, fields: Fields::parse(&options.field_selector)? })
    }
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

    /// Usage of every series of a level that goes on: by node, or by namespace, Pod and container.
    fn usage(&self, level: Level) -> BTreeMap<(String, String), Vec<Measured>> {
        let cpu = Figure::named("cpu_cores").expect("in the list of figures");
        let memory = Figure::named("memory_working_set_bytes").expect("in the list of figures");
        let mut all = Vec::new();
        self.memory.visit(level, |key, ring| {
            let (Some(cpu), Some(memory)) = (reading(ring, cpu, WINDOW), reading(ring, memory, WINDOW))
            else {
                return;
            };
            let owner = match level {
                Level::Node => (String::new(), key.node.clone()),
                Level::Pod | Level::Container => (key.namespace.clone(), key.pod.clone()),
            };
            all.push((owner, key.node.clone(), Measured { name: key.container.clone(), cpu, memory }));
        });
        let mut found: BTreeMap<(String, String), Vec<Measured>> = BTreeMap::new();
        for (owner, node, measured) in all {
            // What has ended stays in memory for a while.
            let newest = self.memory.newest_of(&node);
            if newest.is_some_and(|newest| newest - measured.cpu.time <= BEHIND) {
                found.entry(owner).or_default().push(measured);
            }
        }
        found
    }

    fn nodes(&self, chosen: &Chosen) -> Vec<Item> {
        let mut usage = self.usage(Level::Node);
        let nodes = self.nodes.list();
        let of_selector = |node: &&Arc<Node>| {
            chosen.labels.matches(node.labels()) && chosen.fields.match_node(&node.name_any())
        };
        let chosen = nodes.iter().filter(of_selector);
        let mut items: Vec<_> = chosen
            .filter_map(|node| {
                let usage = usage.remove(&(String::new(), node.name_any()))?;
                Some(Item {
                    namespace: String::new(),
                    name: node.name_any(),
                    labels: node.labels().clone(),
                    usage: usage.into_iter().take(1).collect(),
                })
            })
            .collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items
    }

    fn pods(&self, namespace: &str, chosen: &Chosen) -> Vec<Item> {
        let usage = self.usage(Level::Container);
        let mut items = Vec::new();
        for ((of, name), mut containers) in usage {
            if !(namespace.is_empty() || of == namespace) || !chosen.fields.match_pod(&of, &name) {
                continue;
            }
            // A Pod that is gone has series for a while.
            let Some(pod) = self.pods.get(&of, &name).filter(|pod| chosen.labels.matches(&pod.labels)) else {
                continue;
            };
            item::latest_of_each(&mut containers);
            let is_whole = !containers.is_empty() && containers.len() >= pod.status.running;
            if is_whole && pod.status.phase == Phase::Running {
                let labels = pod.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
                items.push(Item { namespace: of, name, labels: labels.collect(), usage: containers });
            }
        }
        items
    }
}

async fn resources() -> Json<Value> {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    }))
}

/// In the form that a request wants.
fn answer(headers: &HeaderMap, options: &ListOptions, kind: &str, items: &[Item], is_list: bool) -> Response {
    match Form::of(headers) {
        Some(Form::Json) if is_list => {
            let items: Vec<_> = items.iter().map(|item| item.json(kind)).collect();
            let kind = format!("{kind}List");
            Json(json!({"kind": kind, "apiVersion": GROUP_VERSION, "metadata": {}, "items": items}))
                .into_response()
        }
        Some(Form::Json) => {
            Json(items.first().map(|item| item.json(kind)).unwrap_or_default()).into_response()
        }
        Some(Form::Table(version)) => {
            Json(table::of(version, kind, items, &options.include_object)).into_response()
        }
        Some(Form::Protobuf) => {
            let body = if is_list { protobuf::list(kind, items) } else { protobuf::one(kind, items.first()) };
            ([("content-type", accept::PROTOBUF)], body).into_response()
        }
        None => {
            let text = "only the following media types are accepted: application/json, \
                        application/vnd.kubernetes.protobuf";
            status(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", text)
        }
    }
}

fn one(headers: &HeaderMap, kind: &str, resource: &str, name: &str, items: &[Item]) -> Response {
    if items.is_empty() {
        let message = format!("{resource}.metrics.k8s.io {name:?} not found");
        return status(StatusCode::NOT_FOUND, "NotFound", &message);
    }
    answer(headers, &ListOptions::default(), kind, items, false)
}

pub fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(status)).into_response()
}

fn list(
    headers: &HeaderMap,
    options: &ListOptions,
    kind: &str,
    find: impl FnOnce(&Chosen) -> Vec<Item>,
) -> Response {
    match Chosen::of(options) {
        Ok(chosen) => answer(headers, options, kind, &find(&chosen), true),
        Err(error) => status(StatusCode::BAD_REQUEST, "BadRequest", &error),
    }
}

async fn list_nodes(
    State(state): State<ResourceMetrics>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, "NodeMetrics", |chosen| state.nodes(chosen))
}

async fn get_node(
    State(state): State<ResourceMetrics>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let chosen = Chosen { fields: Fields::named("", &name), ..Chosen::default() };
    one(&headers, "NodeMetrics", "nodes", &name, &state.nodes(&chosen))
}

async fn list_all_pods(
    State(state): State<ResourceMetrics>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, "PodMetrics", |chosen| state.pods("", chosen))
}

async fn list_pods(
    State(state): State<ResourceMetrics>,
    Path(namespace): Path<String>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, "PodMetrics", |chosen| state.pods(&namespace, chosen))
}

async fn get_pod(
    State(state): State<ResourceMetrics>,
    Path((namespace, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let chosen = Chosen { fields: Fields::named(&namespace, &name), ..Chosen::default() };
    let found = state.pods(&namespace, &chosen);
    one(&headers, "PodMetrics", "pods", &format!("{namespace}/{name}"), &found)
}

#[cfg(test)]
mod tests;
