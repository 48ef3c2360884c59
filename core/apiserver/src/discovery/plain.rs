//! The plain discovery documents: APIVersions, APIGroupList, APIGroup,
//! APIResourceList. Pure.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tiphys_api::kind::Kind;

use super::groups::{Content, Group};

/// `/api`
pub fn versions() -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    })
}

/// `/apis`
pub fn group_list(groups: &[Group]) -> Value {
    json!({
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": groups.iter().map(entry).collect::<Vec<_>>(),
    })
}

/// `/apis/GROUP`
pub fn group(group: &Group) -> Value {
    let mut document = entry(group);
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    document
}

fn entry(group: &Group) -> Value {
    let version = |name: &str| json!({ "groupVersion": format!("{}/{name}", group.name), "version": name });
    let versions: Vec<Value> = group.versions.iter().map(|one| version(&one.name)).collect();
    json!({
        "name": group.name,
        "preferredVersion": versions.first(),
        "versions": versions,
    })
}

/// `/api/v1` and `/apis/GROUP/VERSION`
pub fn resources(group: &Group, version: &str) -> Option<Value> {
    let found = group.versions.iter().find(|one| one.name == version)?;
    let group_version = match group.name.as_str() {
        "" => version.to_owned(),
        name => format!("{name}/{version}"),
    };
    let resources: Vec<Value> = match &found.content {
        Content::Kinds(kinds) => kinds.iter().flat_map(|kind| with_subresources(kind)).collect(),
        Content::Mounted(mounted) => mounted.resources(),
        // Its own server is asked: requests for this document are passed on.
        Content::Extension(_) => return None,
    };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }))
}

fn with_subresources(kind: &Kind) -> Vec<Value> {
    let mut main = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.is_namespaced(),
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        main["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        main["categories"] = json!(kind.categories);
    }
    if kind.is_stored() {
        main["storageVersionHash"] = storage_hash(kind).into();
    }
    let below = kind.subresources.iter().map(|subresource| {
        let about = subresource.discovery(kind);
        let mut entry = json!({
            "name": format!("{}/{}", kind.plural, subresource.name()),
            "singularName": "",
            "namespaced": kind.is_namespaced(),
            "kind": about.kind,
            "verbs": about.verbs,
        });
        if (about.group, about.version) != (kind.group, kind.version) {
            entry["group"] = about.group.into();
            entry["version"] = about.version.into();
        }
        entry
    });
    std::iter::once(main).chain(below).collect()
}

/// Tells clients when objects of another stored version have to be migrated.
fn storage_hash(kind: &Kind) -> String {
    let version = kind.stored_as.map_or(kind.version, |conversion| conversion.version);
    let digest = Sha256::digest(format!("{}/{version}/{}", kind.group, kind.kind));
    BASE64_STANDARD.encode(&digest[..8])
}
