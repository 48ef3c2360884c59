//! What Loki's senders call things, and an entry as a line. Pure.

use crate::doors::{
    draft::{Group, Line},
    fields::Fields,
};

/// Labels that name the parts of a stream; the first that is present counts.
const NAMESPACE: &[&str] = &["namespace", "k8s_namespace_name", "kubernetes_namespace_name"];
const POD: &[&str] = &["pod", "k8s_pod_name", "kubernetes_pod_name", "instance", "host", "hostname"];
const CONTAINER: &[&str] =
    &["container", "k8s_container_name", "kubernetes_container_name", "service_name", "app", "job"];
const NODE: &[&str] = &["node_name", "node", "k8s_node_name", "host", "hostname", "nodename"];
/// Structured metadata that tells a level, as Loki's own detection writes it.
const LEVEL: &[&str] = &["level", "detected_level", "severity", "severity_text"];

/// A stream by its labels.
pub fn group<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Group {
    let mut group = Group::default();
    labels.for_each(|(name, value)| group.label(name, value));
    let first = |names: &[&str]| names.iter().find_map(|name| group.labels.get(*name)).cloned();
    group.namespace = first(NAMESPACE);
    group.origin.pod = first(POD);
    group.origin.container = first(CONTAINER);
    group.origin.node = first(NODE);
    group
}

/// Adds an entry to its stream.
pub fn add<'a>(
    group: &mut Group,
    item: u32,
    time: i64,
    text: &str,
    metadata: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut fields = Fields::default();
    let mut level = None;
    for (name, value) in metadata {
        if LEVEL.contains(&name) && level.is_none() {
            level = crate::record::Level::from_word(value);
        }
        fields.add(name, value.into());
    }
    let of_stream =
        || LEVEL.iter().find_map(|name| crate::record::Level::from_word(group.labels.get(*name)?));
    let level = level.or_else(of_stream).unwrap_or_default();
    let body = fields.join(text.as_bytes(), &mut group.capped);
    group.lines.push(Line { item, time: Some(time), level, body });
}
