//! custom.metrics.k8s.io (v1beta1, v1beta2) and external.metrics.k8s.io/v1beta1: the same
//! figures for anybody's autoscaler, and for `kubectl get --raw`.
//!
//! The API server has authorized the path already: `get pods/METRIC` in the namespace, and
//! `list METRIC` for external ones. What is described is a Pod, or an object by a label that is
//! called as its kind.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tiphys_api::{quantity::Quantity, selector::LabelSelector};
use tiphys_client::{Cache, LeanPod};

use super::{CustomMetrics, names};
use crate::{figures::FIGURES, memory::Reading, resource_metrics::status};

/// The prefixes that the API server mounts.
pub const CUSTOM: [&str; 2] = ["/apis/custom.metrics.k8s.io/v1beta1", "/apis/custom.metrics.k8s.io/v1beta2"];
pub const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

#[derive(Clone)]
struct Door {
    metrics: CustomMetrics,
    pods: Cache<LeanPod>,
    group_version: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    label_selector: String,
    metric_label_selector: String,
}

/// Who is asked about which metric, of which series.
struct Question<'a> {
    namespace: &'a str,
    kind: &'a str,
    metric: &'a str,
    series: LabelSelector,
}

/// The routes below one of [`CUSTOM`].
pub fn custom(prefix: &'static str, metrics: CustomMetrics, pods: Cache<LeanPod>) -> Router {
    let door = Door { metrics, pods, group_version: prefix.trim_start_matches("/apis/") };
    Router::new()
        .route(prefix, get(resources))
        .route(&format!("{prefix}/namespaces/{{namespace}}/metrics/{{metric}}"), get(of_namespace))
        .route(&format!("{prefix}/namespaces/{{namespace}}/{{resource}}/{{name}}/{{metric}}"), get(of_object))
        .route(&format!("{prefix}/{{resource}}/{{name}}/{{metric}}"), get(of_root))
        .with_state(door)
}

/// The routes below [`EXTERNAL`].
pub fn external(metrics: CustomMetrics, pods: Cache<LeanPod>) -> Router {
    let door = Door { metrics, pods, group_version: EXTERNAL.trim_start_matches("/apis/") };
    Router::new()
        .route(EXTERNAL, get(external_resources))
        .route(&format!("{EXTERNAL}/namespaces/{{namespace}}/{{metric}}"), get(of_outside))
        .with_state(door)
}

async fn resources(State(door): State<Door>) -> Json<Value> {
    let figures = FIGURES.iter().map(|figure| figure.rate_name().unwrap_or(figure.name).to_owned());
    let scraped = door.metrics.series.metadata().into_iter();
    let scraped = scraped.map(|(name, _)| names::rate_of(&name).unwrap_or(name));
    let mut all: Vec<_> = figures.chain(names::aliases().map(str::to_owned)).chain(scraped).collect();
    all.sort_unstable();
    all.dedup();
    let entry = |name: String| json!({"name": format!("pods/{name}"), "singularName": "", "namespaced": true, "kind": "MetricValueList", "verbs": ["get"]});
    resource_list(door.group_version, all.into_iter().map(entry).collect())
}

async fn external_resources(State(door): State<Door>) -> Json<Value> {
    let mut all = door.metrics.queries.all_names();
    all.sort_unstable();
    all.dedup();
    let entry = |name: String| json!({"name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]});
    resource_list(door.group_version, all.into_iter().map(entry).collect())
}

fn resource_list(group_version: &str, resources: Vec<Value>) -> Json<Value> {
    Json(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

async fn of_namespace(
    State(door): State<Door>,
    Path((namespace, metric)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    door.answer("", "Namespace", &namespace, &metric, &options).await
}

async fn of_object(
    State(door): State<Door>,
    Path((namespace, resource, name, metric)): Path<(String, String, String, String)>,
    Query(options): Query<Options>,
) -> Response {
    door.answer(&namespace, &kind(&resource), &name, &metric, &options).await
}

async fn of_root(
    State(door): State<Door>,
    Path((resource, name, metric)): Path<(String, String, String)>,
    Query(options): Query<Options>,
) -> Response {
    let kind = kind(&resource);
    if kind != "Node" {
        let text = format!("{resource} are asked for in their namespace");
        return status(StatusCode::NOT_FOUND, "NotFound", &text);
    }
    door.answer("", &kind, &name, &metric, &options).await
}

async fn of_outside(
    State(door): State<Door>,
    Path((namespace, metric)): Path<(String, String)>,
    Query(options): Query<Options>,
) -> Response {
    let selector = match LabelSelector::parse(&options.label_selector) {
        Ok(selector) => selector,
        Err(error) => return status(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()),
    };
    let values = match door.metrics.external(&namespace, &metric, &selector).await {
        Ok(values) => values,
        Err(error) => return status(StatusCode::NOT_FOUND, "NotFound", &error),
    };
    let item = |one: super::ExternalValue| {
        let labels: serde_json::Map<String, Value> =
            one.labels.into_iter().map(|(name, value)| (name, value.into())).collect();
        let mut item = figure(&one.reading);
        item["metricName"] = metric.as_str().into();
        item["metricLabels"] = labels.into();
        item
    };
    list("ExternalMetricValueList", door.group_version, values.into_iter().map(item).collect())
}

impl Door {
    async fn answer(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        metric: &str,
        options: &Options,
    ) -> Response {
        let parsed = LabelSelector::parse(&options.label_selector)
            .and_then(|objects| Ok((objects, LabelSelector::parse(&options.metric_label_selector)?)));
        let (objects, series) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return status(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()),
        };
        let question = Question { namespace, kind, metric, series };
        let found = match name {
            "*" if kind == "Pod" => self.pods(&question, &objects).await,
            "*" => Err(format!("all of a kind at once are answered for pods only: name one {kind}")),
            name => {
                let of = if kind == "Namespace" { name } else { namespace };
                let reading = self.metrics.object(of, kind, name, metric, &question.series).await;
                reading.map(|reading| vec![(name.to_owned(), reading)])
            }
        };
        match found {
            Ok(found) => {
                let items = found.iter().map(|(name, reading)| self.item(&question, name, reading));
                list("MetricValueList", self.group_version, items.collect())
            }
            Err(why) => {
                let text = format!("the server could not find the metric {metric} for {kind} {name}: {why}");
                status(StatusCode::NOT_FOUND, "NotFound", &text)
            }
        }
    }

    async fn pods(
        &self,
        question: &Question<'_>,
        chosen: &LabelSelector,
    ) -> Result<Vec<(String, Reading)>, String> {
        let pods = self.pods.in_namespace(question.namespace);
        let chosen: Vec<Arc<LeanPod>> = pods.into_iter().filter(|pod| chosen.matches(&pod.labels)).collect();
        let names: Vec<&str> = chosen.iter().map(|pod| &*pod.name).collect();
        let Question { namespace, metric, series, .. } = question;
        let found = self.metrics.pods(namespace, &names, None, metric, series).await?;
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn item(&self, question: &Question<'_>, name: &str, reading: &Reading) -> Value {
        let mut item = figure(reading);
        let mut described = json!({"kind": question.kind, "name": name, "apiVersion": "v1"});
        if !question.namespace.is_empty() {
            described["namespace"] = question.namespace.into();
        }
        item["describedObject"] = described;
        if self.group_version.ends_with("v1beta1") {
            item["metricName"] = question.metric.into();
            item["selector"] = Value::Null;
        } else {
            item["metric"] = json!({"name": question.metric, "selector": null});
        }
        item
    }
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

/// The kind that a resource's plural means, its group left out.
fn kind(resource: &str) -> String {
    let plural = resource.split('.').next().unwrap_or(resource);
    let known = tiphys_api::kinds::all().iter().find(|kind| kind.plural == plural);
    match known {
        Some(known) => known.kind.to_owned(),
        None => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_mean_kinds() {
        for (resource, expected) in
            [("pods", "Pod"), ("ingresses.networking.k8s.io", "Ingress"), ("widgets.shop.io", "widget")]
        {
            assert_eq!(kind(resource), expected);
        }
    }

    #[test]
    fn a_figure_is_a_quantity_with_its_time() {
        let figure = figure(&Reading { value: 0.25, time: 5_000_000, window: 2_000_000 });
        let expected = json!({"timestamp": "1970-01-01T00:00:05Z", "value": "250m", "windowSeconds": 2});
        assert_eq!(figure, expected);
    }
}
