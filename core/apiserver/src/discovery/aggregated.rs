//! The aggregated discovery document (`apidiscovery.k8s.io`): all groups,
//! versions and resources in one answer. Pure.

use serde_json::{Value, json};
use tiphys_api::kind::Kind;

use super::groups::{Content, Group, Version};
use crate::mounts::{MountedGroup, MountedResource};

pub const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
pub const V2_BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The document of these groups.
pub fn list(groups: &[Group], version: &str) -> Value {
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn group(group: &Group) -> Value {
    let mut metadata = json!({ "creationTimestamp": null });
    if !group.name.is_empty() {
        metadata["name"] = group.name.as_str().into();
    }
    json!({ "metadata": metadata, "versions": group.versions.iter().map(version).collect::<Vec<_>>() })
}

fn version(version: &Version) -> Value {
    let resources: Vec<Value> = match &version.content {
        Content::Kinds(kinds) => kinds.iter().map(|kind| resource(kind)).collect(),
        Content::Mounted(group) => group.resources.iter().map(|one| mounted(group, one)).collect(),
        Content::Extension(seen) => seen.resources.clone(),
    };
    let fresh = !matches!(&version.content, Content::Extension(seen) if !seen.fresh);
    let freshness = if fresh { "Current" } else { "Stale" };
    json!({ "version": version.name, "freshness": freshness, "resources": resources })
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({
        "resource": kind.plural,
        "responseKind": { "group": kind.group, "version": kind.version, "kind": kind.kind },
        "scope": scope(kind.is_namespaced()),
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    let below: Vec<Value> = kind
        .subresources
        .iter()
        .map(|subresource| {
            let about = subresource.discovery(kind);
            json!({
                "subresource": subresource.name(),
                "responseKind": { "group": about.group, "version": about.version, "kind": about.kind },
                "verbs": about.verbs,
            })
        })
        .collect();
    if !below.is_empty() {
        entry["subresources"] = below.into();
    }
    entry
}

fn mounted(group: &MountedGroup, resource: &MountedResource) -> Value {
    json!({
        "resource": resource.name,
        "responseKind": { "group": group.group, "version": group.version, "kind": resource.kind },
        "scope": scope(resource.namespaced),
        "singularResource": resource.singular,
        "verbs": resource.verbs,
        "shortNames": resource.short_names,
    })
}

fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}
