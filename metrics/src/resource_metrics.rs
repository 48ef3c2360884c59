//! metrics.k8s.io/v1beta1: what `kubectl top` and anybody's autoscaler ask.
//!
//! NodeMetrics and PodMetrics over the last 15 s, from memory. A Pod is there while it runs,
//! once all its running containers have two samples; of a node that says nothing nothing is. What answers and refusals look like is
//! metrics-server's: JSON, a table for `kubectl get`, metadata alone, protobuf. The API server has
//! authorized the path already.

mod accept;
mod fields;
mod item;
mod protobuf;
mod refusal;
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

pub use self::refusal::status;
use self::{
    accept::Form,
    fields::Fields,
    item::{Item, Measured},
};
use crate::{
    figures::Figure,
    memory::{Level, Memory, reading},
};

const GROUP: &str = "metrics.k8s.io";
const GROUP_VERSION: &str = "metrics.k8s.io/v1beta1";
/// The prefix that the API server mounts.
pub const PREFIX: &str = "/apis/metrics.k8s.io/v1beta1";
const WINDOW: i64 = 15 * 1_000_000;

/// What there are figures of.
struct Resource {
    name: &'static str,
    kind: &'static str,
}

const NODES: Resource = Resource { name: "nodes", kind: "NodeMetrics" };
const PODS: Resource = Resource { name: "pods", kind: "PodMetrics" };

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
    watch: Option<String>,
}

impl ListOptions {
    /// `?watch`, `?watch=1` and `?watch=true` are all yes.
    fn is_watch(&self) -> bool {
        self.watch.as_deref().is_some_and(|text| text != "0" && !text.eq_ignore_ascii_case("false"))
    }
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
            .method_not_allowed_fallback(refusal::method_not_allowed)
            .with_state(self)
    }

    /// Usage of every series of a level that tells of the present: by node, or by namespace, Pod and
    /// container.
    fn usage(&self, level: Level) -> BTreeMap<(String, String), Vec<Measured>> {
        let cpu = Figure::named("cpu_cores").expect("in the list of figures");
        let memory = Figure::named("memory_working_set_bytes").expect("in the list of figures");
        let mut found: BTreeMap<(String, String), Vec<Measured>> = BTreeMap::new();
        self.memory.visit_present(level, |key, ring| {
            let (Some(cpu), Some(memory)) = (reading(ring, cpu, WINDOW), reading(ring, memory, WINDOW))
            else {
                return;
            };
            let owner = match level {
                Level::Node => (String::new(), key.node.clone()),
                Level::Pod | Level::Container => (key.namespace.clone(), key.pod.clone()),
            };
            let measured = Measured { name: key.container.clone(), cpu, memory };
            found.entry(owner).or_default().push(measured);
        });
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
    let resource = |resource: &Resource, namespaced: bool| json!({"name": resource.name, "singularName": "", "namespaced": namespaced, "kind": resource.kind, "verbs": ["get", "list"]});
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION,
        "resources": [resource(&NODES, false), resource(&PODS, true)],
    }))
}

/// In the form that a request wants.
fn answer(headers: &HeaderMap, options: &ListOptions, kind: &str, items: &[Item], is_list: bool) -> Response {
    let Some(form) = Form::of(headers) else { return refusal::not_acceptable() };
    let body = match form {
        Form::Protobuf => {
            let bytes =
                if is_list { protobuf::list(kind, items) } else { protobuf::one(kind, items.first()) };
            return ([("content-type", accept::PROTOBUF)], bytes).into_response();
        }
        Form::Table(version) => table::of(version, kind, items, &options.include_object),
        Form::Json if is_list => listed(GROUP_VERSION, kind, items.iter().map(Item::json).collect()),
        Form::Json => items.first().map(|item| item.object(kind)).unwrap_or_default(),
        Form::Metadata(version) if is_list => {
            let items = items.iter().map(|item| item.partial(version)).collect();
            listed(&format!("meta.k8s.io/{version}"), "PartialObjectMetadata", items)
        }
        Form::Metadata(version) => items.first().map(|item| item.partial(version)).unwrap_or_default(),
    };
    Json(body).into_response()
}

/// A list of objects of a kind.
fn listed(api_version: &str, kind: &str, items: Vec<Value>) -> Value {
    json!({"kind": format!("{kind}List"), "apiVersion": api_version, "metadata": {}, "items": items})
}

fn list(
    headers: &HeaderMap,
    options: &ListOptions,
    resource: &Resource,
    find: impl FnOnce(&Chosen) -> Vec<Item>,
) -> Response {
    match Chosen::of(options) {
        Ok(_) if options.is_watch() => refusal::watch(resource.name),
        Ok(chosen) => answer(headers, options, resource.kind, &find(&chosen), true),
        Err(error) => status(StatusCode::BAD_REQUEST, "BadRequest", &error),
    }
}

async fn list_nodes(
    State(state): State<ResourceMetrics>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, &NODES, |chosen| state.nodes(chosen))
}

async fn get_node(
    State(state): State<ResourceMetrics>,
    Path(name): Path<String>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    let chosen = Chosen { fields: Fields::named("", &name), ..Chosen::default() };
    let found = state.nodes(&chosen);
    match (found.is_empty(), state.nodes.get("", &name)) {
        (false, _) => answer(&headers, &options, NODES.kind, &found, false),
        (true, Some(_)) => refusal::unmeasured(NODES.name, &name),
        (true, None) => refusal::unknown("node", &name),
    }
}

async fn list_all_pods(
    State(state): State<ResourceMetrics>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, &PODS, |chosen| state.pods("", chosen))
}

async fn list_pods(
    State(state): State<ResourceMetrics>,
    Path(namespace): Path<String>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    list(&headers, &options, &PODS, |chosen| state.pods(&namespace, chosen))
}

async fn get_pod(
    State(state): State<ResourceMetrics>,
    Path((namespace, name)): Path<(String, String)>,
    Query(options): Query<ListOptions>,
    headers: HeaderMap,
) -> Response {
    let chosen = Chosen { fields: Fields::named(&namespace, &name), ..Chosen::default() };
    let found = state.pods(&namespace, &chosen);
    match (found.is_empty(), state.pods.get(&namespace, &name)) {
        (false, _) => answer(&headers, &options, PODS.kind, &found, false),
        (true, Some(_)) => refusal::unmeasured(PODS.name, &format!("{namespace}/{name}")),
        (true, None) => refusal::unknown(PODS.name, &name),
    }
}

#[cfg(test)]
mod tests;
