//! custom.metrics.k8s.io (v1beta1, v1beta2) and external.metrics.k8s.io/v1beta1: the same
//! figures for anybody's autoscaler, and for `kubectl get --raw`.
//!
//! The API server has authorized the path already: `get pods/METRIC` in the namespace, and
//! `list METRIC` for external ones. What is described is an object or all of a kind (`*`): Pods,
//! and whatever has a label that is called as its kind. A right in a namespace shows nothing
//! beside it, so kinds without namespaces are asked for outside of any.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use kube::api::ApiResource;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::{
    quantity::Quantity,
    selector::{LabelSelector, Operator},
};
use tiphys_client::{Cache, LeanPod};

use super::{
    CustomMetrics, ExternalValue, NoFigures,
    kinds::{self, Described},
    listing::{Listing, Of},
};
use crate::{memory::Reading, resource_metrics::status};

/// The prefixes that the API server mounts.
pub const CUSTOM: [&str; 2] = ["/apis/custom.metrics.k8s.io/v1beta1", "/apis/custom.metrics.k8s.io/v1beta2"];
pub const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";
/// In place of a name: all objects of the kind.
const ALL: &str = "*";
/// After so many seconds what can't be told for now may be asked for again. Clients do so a few times, and
/// somebody may wait for them.
const AGAIN: &str = "1";

#[derive(Clone)]
struct Door {
    metrics: CustomMetrics,
    pods: Cache<LeanPod>,
    listing: Arc<Listing>,
    group_version: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    label_selector: String,
    metric_label_selector: String,
}

/// Who is asked about which metric.
struct Question<'a> {
    /// Empty for kinds without namespaces.
    namespace: &'a str,
    kind: &'a Described,
    /// Of an object, or [`ALL`].
    name: &'a str,
    metric: &'a str,
}

/// Why a question has no answer.
struct Refusal {
    code: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refusal {
    fn absent(message: String) -> Self {
        Self { code: StatusCode::NOT_FOUND, reason: "NotFound", message }
    }

    fn failed(error: impl ToString) -> Self {
        let (code, reason) = (StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        Self { code, reason, message: error.to_string() }
    }
}

/// What is only elsewhere is not absent: who scales on it is not to take it for a metric that is gone.
impl From<NoFigures> for Refusal {
    fn from(why: NoFigures) -> Self {
        match why {
            NoFigures::Absent(message) => Self::absent(message),
            NoFigures::Elsewhere(message) => {
                let (code, reason) = (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable");
                Self { code, reason, message }
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = status(self.code, self.reason, &self.message);
        if self.code == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(AGAIN));
        }
        answer
    }
}

/// The routes below one of [`CUSTOM`].
pub fn custom(prefix: &'static str, metrics: CustomMetrics, pods: Cache<LeanPod>) -> Router {
    Router::new()
        .route(prefix, get(resources))
        .route(&format!("{prefix}/namespaces/{{namespace}}/metrics/{{metric}}"), get(of_namespace))
        .route(&format!("{prefix}/namespaces/{{namespace}}/{{resource}}/{{name}}/{{metric}}"), get(of_object))
        .route(&format!("{prefix}/{{resource}}/{{name}}/{{metric}}"), get(of_root))
        .with_state(door(prefix, Of::Objects, metrics, pods))
}

/// The routes below [`EXTERNAL`].
pub fn external(metrics: CustomMetrics, pods: Cache<LeanPod>) -> Router {
    Router::new()
        .route(EXTERNAL, get(resources))
        .route(&format!("{EXTERNAL}/namespaces/{{namespace}}/{{metric}}"), get(of_outside))
        .with_state(door(EXTERNAL, Of::Outside, metrics, pods))
}

fn door(prefix: &'static str, of: Of, metrics: CustomMetrics, pods: Cache<LeanPod>) -> Door {
    let listing = Arc::new(Listing::new(of));
    Door { metrics, pods, listing, group_version: prefix.trim_start_matches("/apis/") }
}

async fn resources(State(door): State<Door>) -> Result<Json<Value>, Refusal> {
    let resources = door.listing.entries(&door.metrics).await.map_err(Refusal::failed)?;
    Ok(Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": door.group_version,
        "resources": resources,
    })))
}

async fn of_namespace(
    State(door): State<Door>,
    Path((name, metric)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Result<Response, Refusal> {
    let kind = Described::called("Namespace");
    door.answer(&Question { namespace: "", kind: &kind, name: &name, metric: &metric }, &options).await
}

async fn of_object(
    State(door): State<Door>,
    Path((namespace, resource, name, metric)): Path<(String, String, String, String)>,
    Query(options): Query<Options>,
) -> Result<Response, Refusal> {
    let kind = door.kind(&resource).await?;
    if !kind.namespaced {
        return Err(Refusal::absent(format!("{resource} have no namespaces and are asked for without one")));
    }
    let question = Question { namespace: &namespace, kind: &kind, name: &name, metric: &metric };
    door.answer(&question, &options).await
}

async fn of_root(
    State(door): State<Door>,
    Path((resource, name, metric)): Path<(String, String, String)>,
    Query(options): Query<Options>,
) -> Result<Response, Refusal> {
    let kind = door.kind(&resource).await?;
    if kind.namespaced {
        return Err(Refusal::absent(format!("{resource} are asked for in their namespace")));
    }
    if kind.is_core("Namespace") {
        // A path that was authorized as one below the namespace.
        return Err(Refusal::absent(format!("ask for namespaces/{name}/metrics/{metric}")));
    }
    door.answer(&Question { namespace: "", kind: &kind, name: &name, metric: &metric }, &options).await
}

async fn of_outside(
    State(door): State<Door>,
    Path((namespace, metric)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Result<Response, Refusal> {
    let selector = selector(&options.label_selector)?;
    let values = door.metrics.external(&namespace, &metric, &selector).await?;
    let item = |one: ExternalValue| {
        let labels: serde_json::Map<String, Value> =
            one.labels.into_iter().map(|(name, value)| (name, value.into())).collect();
        let mut item = figure(&one.reading);
        item["metricName"] = metric.as_str().into();
        item["metricLabels"] = labels.into();
        item
    };
    Ok(list("ExternalMetricValueList", door.group_version, values.into_iter().map(item).collect()))
}

impl Door {
    /// The kind that a path's resource means.
    async fn kind(&self, resource: &str) -> Result<Described, Refusal> {
        let found = kinds::find(self.metrics.client(), resource).await.map_err(Refusal::failed)?;
        found.ok_or_else(|| Refusal::absent(format!("the server has no resource {resource}")))
    }

    async fn answer(&self, question: &Question<'_>, options: &Options) -> Result<Response, Refusal> {
        let found: BTreeMap<_, _> = self.readings(question, options).await?.into_iter().collect();
        let series = shown(&selector(&options.metric_label_selector)?);
        let items = found.iter().map(|(name, reading)| self.item(question, &series, name, reading));
        Ok(list("MetricValueList", self.group_version, items.collect()))
    }

    /// The figures that are asked for, by the names of the objects.
    async fn readings(
        &self,
        question: &Question<'_>,
        options: &Options,
    ) -> Result<HashMap<String, Reading>, Refusal> {
        let (objects, series) =
            (selector(&options.label_selector)?, selector(&options.metric_label_selector)?);
        let Question { namespace, kind, name, metric } = *question;
        let absent = |why: String| {
            let kind = &kind.resource.kind;
            Refusal::absent(format!("the server could not find the metric {metric} for {kind} {name}: {why}"))
        };
        if name == ALL && kind.is_core("Pod") {
            return self.pods(namespace, metric, &objects, &series).await.map_err(absent);
        }
        let one = Some(name).filter(|name| *name != ALL);
        let found = self.metrics.objects(namespace, kind, one, metric, &series).await;
        let mut found = found.map_err(absent)?;
        if found.is_empty() {
            return Err(absent("there is no such figure now".to_owned()));
        }
        if one.is_none() && !objects.selects_all() {
            let chosen = kind.chosen(self.metrics.client(), namespace, &options.label_selector).await;
            let chosen = chosen.map_err(Refusal::failed)?;
            found.retain(|name, _| chosen.contains(name));
        }
        Ok(found)
    }

    async fn pods(
        &self,
        namespace: &str,
        metric: &str,
        chosen: &LabelSelector,
        series: &LabelSelector,
    ) -> Result<HashMap<String, Reading>, String> {
        let pods = self.pods.in_namespace(namespace);
        let chosen: Vec<Arc<LeanPod>> = pods.into_iter().filter(|pod| chosen.matches(&pod.labels)).collect();
        let names: Vec<&str> = chosen.iter().map(|pod| &*pod.name).collect();
        self.metrics.pods(namespace, &names, None, metric, series).await
    }

    fn item(&self, question: &Question<'_>, series: &Value, name: &str, reading: &Reading) -> Value {
        let mut item = figure(reading);
        let ApiResource { kind, api_version, .. } = &question.kind.resource;
        let mut described = json!({"kind": kind, "name": name, "apiVersion": api_version});
        if question.kind.namespaced {
            described["namespace"] = question.namespace.into();
        }
        item["describedObject"] = described;
        if self.group_version.ends_with("v1beta1") {
            item["metricName"] = question.metric.into();
            item["selector"] = series.clone();
        } else {
            item["metric"] = json!({"name": question.metric, "selector": series});
        }
        item
    }
}

fn selector(text: &str) -> Result<LabelSelector, Refusal> {
    LabelSelector::parse(text).map_err(|error| Refusal {
        code: StatusCode::BAD_REQUEST,
        reason: "BadRequest",
        message: error.to_string(),
    })
}

/// The selector of series as an object has it; null where it selects all.
fn shown(selector: &LabelSelector) -> Value {
    let (mut labels, mut expressions) = (serde_json::Map::new(), Vec::new());
    for one in selector.requirements() {
        let operator = match (one.operator, one.values.as_slice()) {
            (Operator::In, [value]) => {
                labels.insert(one.key.clone(), value.as_str().into());
                continue;
            }
            (Operator::In, _) => "In",
            (Operator::NotIn, _) => "NotIn",
            (Operator::Exists, _) => "Exists",
            (Operator::DoesNotExist, _) => "DoesNotExist",
            // The object's form has no word for it.
            (Operator::GreaterThan | Operator::LessThan, _) => continue,
        };
        let mut expression = json!({"key": one.key, "operator": operator});
        if !one.values.is_empty() {
            expression["values"] = json!(one.values);
        }
        expressions.push(expression);
    }
    let mut shown = serde_json::Map::new();
    if !labels.is_empty() {
        shown.insert("matchLabels".to_owned(), labels.into());
    }
    if !expressions.is_empty() {
        shown.insert("matchExpressions".to_owned(), expressions.into());
    }
    if shown.is_empty() { Value::Null } else { shown.into() }
}

fn figure(reading: &Reading) -> Value {
    let time = Timestamp::from_microsecond(reading.time).unwrap_or_default();
    let milli = (reading.value * 1000.0).round() as i64;
    let mut figure = json!({
        "timestamp": time.strftime("%FT%TZ").to_string(),
        "value": Quantity::from_millis(milli).to_string(),
    });
    if reading.window > 0 {
        figure["windowSeconds"] = (reading.window / 1_000_000).max(1).into();
    }
    figure
}

fn list(kind: &str, group_version: &str, items: Vec<Value>) -> Response {
    Json(json!({"kind": kind, "apiVersion": group_version, "metadata": {}, "items": items})).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_a_quantity_with_its_time() {
        let (time, window) = (5_000_000, 2_000_000);
        let figure = figure(&Reading { value: 0.25, time, window, ways: Default::default() });
        let expected = json!({"timestamp": "1970-01-01T00:00:05Z", "value": "250m", "windowSeconds": 2});
        assert_eq!(figure, expected);
    }

    #[test]
    fn an_answer_says_which_series_were_asked_for() {
        for (text, expected) in [
            ("", Value::Null),
            ("lane=a", json!({"matchLabels": {"lane": "a"}})),
            (
                "lane in (a,b),zone!=x,!old",
                json!({"matchExpressions": [
                    {"key": "lane", "operator": "In", "values": ["a", "b"]},
                    {"key": "zone", "operator": "NotIn", "values": ["x"]},
                    {"key": "old", "operator": "DoesNotExist"},
                ]}),
            ),
        ] {
            assert_eq!(shown(&LabelSelector::parse(text).expect("a selector")), expected, "{text}");
        }
    }
}
