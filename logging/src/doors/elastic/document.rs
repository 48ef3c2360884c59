//! Where a document comes from, by the names that shippers give. Pure.
//!
//! Filebeat and Elastic's schema write `kubernetes.pod.name`, Fluent Bit
//! `kubernetes.pod_name`; a path may be written as nested objects or with dots.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    doors::draft::{MAX_LABELS, Origin},
    time,
};

const NAMESPACE: &[&str] = &["kubernetes.namespace", "kubernetes.namespace_name", "k8s.namespace.name"];
const POD: &[&str] = &[
    "kubernetes.pod.name",
    "kubernetes.pod_name",
    "k8s.pod.name",
    "service.name",
    "host.name",
    "host",
    "hostname",
];
const CONTAINER: &[&str] = &[
    "kubernetes.container.name",
    "kubernetes.container_name",
    "k8s.container.name",
    "container.name",
    "service.name",
];
const NODE: &[&str] = &[
    "kubernetes.node.name",
    "kubernetes.host",
    "k8s.node.name",
    "host.name",
    "host.hostname",
    "host",
    "hostname",
];
/// What is a label of the stream, beside the Pod's own labels and the index.
const LABELS: &[&str] = &["service.name", "host.name", "event.dataset", "agent.type"];

/// What makes a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub namespace: Option<String>,
    pub origin: Origin,
    pub labels: BTreeMap<String, String>,
}

pub fn place(document: &Value, index: &str) -> Place {
    let first = |paths: &[&str]| paths.iter().find_map(|path| text(document, path)).map(str::to_owned);
    let mut labels = BTreeMap::from([("index".to_owned(), index.to_owned())]);
    for path in LABELS {
        labels.extend(text(document, path).map(|value| ((*path).to_owned(), value.to_owned())));
    }
    if let Some(Value::Object(of_pod)) = at(document, "kubernetes.labels") {
        for (name, value) in of_pod.iter().take(MAX_LABELS) {
            labels.extend(value.as_str().map(|value| (name.clone(), value.to_owned())));
        }
    }
    let container = first(CONTAINER).unwrap_or_else(|| index.to_owned());
    let origin = Origin { pod: first(POD), container: Some(container), node: first(NODE) };
    Place { namespace: first(NAMESPACE), origin, labels }
}

/// `@timestamp`: RFC 3339, or milliseconds.
pub fn time(document: &Value) -> Option<i64> {
    match document.get("@timestamp")? {
        Value::String(text) => {
            let millis = || text.parse::<i64>().ok().map(|millis| millis.saturating_mul(1_000_000));
            time::parse(text).or_else(millis)
        }
        Value::Number(number) => match number.as_i64() {
            Some(millis) => Some(millis.saturating_mul(1_000_000)),
            // Of a float what is beyond 64 bits is at the edge.
            None => number.as_f64().map(|millis| (millis * 1e6) as i64),
        },
        _ => None,
    }
}

fn text<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    at(document, path)?.as_str().filter(|text| !text.is_empty())
}

/// The value at a path: a member of the whole name, or along its dots.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let members = value.as_object()?;
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| at(members.get(&path[..dot])?, &path[dot + 1..]))
}
