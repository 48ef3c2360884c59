//! Where a document comes from, by the names that shippers give, when, and how grave it is. Pure.
//!
//! | who | Pod | namespace |
//! |---|---|---|
//! | Filebeat, Elastic's schema, OTel's mode `ecs` | `kubernetes.pod.name` | `kubernetes.namespace` |
//! | Fluent Bit, Fluentd | `kubernetes.pod_name` | `kubernetes.namespace_name` |
//! | Vector | `kubernetes.pod_name` | `kubernetes.pod_namespace` |
//! | OTel's mode `otel` | `k8s.pod.name`, below `resource.attributes` | `k8s.namespace.name` there |
//! | OTel's mode `none` | the same, below `Resource` | |
//!
//! A path may be written as nested objects or with dots.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    doors::draft::{MAX_LABELS, Origin},
    parse,
    record::Level,
    time,
};

const NAMESPACE: &[&str] =
    &["kubernetes.namespace", "kubernetes.namespace_name", "kubernetes.pod_namespace", "k8s.namespace.name"];
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
    "kubernetes.pod_node_name",
    "k8s.node.name",
    "host.name",
    "host.hostname",
    "host",
    "hostname",
];
/// What is a label of the stream, beside the Pod's own labels and the index.
const LABELS: &[&str] = &["service.name", "host.name", "event.dataset", "agent.type"];
/// The Pod's own labels.
const POD_LABELS: &[&str] = &["kubernetes.labels", "kubernetes.pod_labels"];
/// What the names of a resource's attributes begin with in a document of OpenTelemetry.
const RESOURCE: &[&str] = &["resource.attributes.", "Resource."];
/// The time of a record, where it isn't `@timestamp`: Vector's, and that of others.
const TIMES: &[&str] = &["timestamp", "time"];
/// What the program wrote, from those who send what they know of it beside it.
const TEXTS: &[&str] = &["message", "log", "body.text", "Body"];
/// Numbers that are milliseconds since 1970, and can't be a duration: of the years 2001 to 2286.
const MILLIS: std::ops::Range<i64> = 1_000_000_000_000..10_000_000_000_000;

/// What makes a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub namespace: Option<String>,
    pub origin: Origin,
    pub labels: BTreeMap<String, String>,
}

pub fn place(document: &Value, index: &str) -> Place {
    let prefixes = prefixes(document);
    let first = |paths: &[&str]| {
        let mut all = prefixes.iter().flat_map(|prefix| paths.iter().map(move |path| (*prefix, *path)));
        let found = all.find_map(|(prefix, path)| match prefix {
            "" => text(document, path),
            _ => text(document, &format!("{prefix}{path}")),
        });
        found.map(str::to_owned)
    };
    let mut labels = BTreeMap::from([("index".to_owned(), index.to_owned())]);
    for path in LABELS {
        labels.extend(first(&[*path]).map(|value| ((*path).to_owned(), value)));
    }
    if let Some(Value::Object(of_pod)) = POD_LABELS.iter().find_map(|path| at(document, path)) {
        for (name, value) in of_pod.iter().take(MAX_LABELS) {
            labels.extend(value.as_str().map(|value| (name.clone(), value.to_owned())));
        }
    }
    let container = first(CONTAINER).unwrap_or_else(|| index.to_owned());
    let origin = Origin { pod: first(POD), container: Some(container), node: first(NODE) };
    Place { namespace: first(NAMESPACE), origin, labels }
}

/// What names may begin with in this document: the document's own come first.
fn prefixes(document: &Value) -> Vec<&'static str> {
    let members = || document.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let is_there =
        |prefix: &&&str| members().any(|name| prefix.starts_with(name) || name.starts_with(**prefix));
    std::iter::once("").chain(RESOURCE.iter().filter(is_there).copied()).collect()
}

/// `@timestamp`: RFC 3339, or milliseconds. Without it, another member that can only be a time.
pub fn time(document: &Value) -> Option<i64> {
    let Some(said) = document.get("@timestamp") else {
        return TIMES.iter().find_map(|name| match document.get(*name)? {
            Value::String(text) => date(text),
            Value::Number(number) => number.as_i64().filter(|millis| MILLIS.contains(millis)).map(of_millis),
            _ => None,
        });
    };
    match said {
        Value::String(text) => date(text).or_else(|| text.parse().ok().map(of_millis)),
        Value::Number(number) => match number.as_i64() {
            Some(millis) => Some(of_millis(millis)),
            // Of a float what is beyond 64 bits is at the edge.
            None => number.as_f64().map(|millis| (millis * 1e6) as i64),
        },
        _ => None,
    }
}

fn of_millis(millis: i64) -> i64 {
    millis.saturating_mul(1_000_000)
}

/// RFC 3339. Without a zone it is in UTC, without a time of day the day's begin, as Elasticsearch
/// takes it.
fn date(text: &str) -> Option<i64> {
    let in_utc = || match text.len() {
        10 => time::parse(&format!("{text}T00:00:00Z")),
        _ => time::parse(&format!("{text}Z")),
    };
    time::parse(text).or_else(in_utc)
}

/// What the document says, else what the text says that it was made of.
pub fn level(document: &Value, bytes: &[u8]) -> Level {
    let of_text = || {
        let said = TEXTS.iter().find_map(|path| text(document, path));
        said.map(|said| parse::level(said.as_bytes()))
    };
    match parse::level(bytes) {
        Level::Unknown => of_text().unwrap_or_default(),
        level => level,
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
