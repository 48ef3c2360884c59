//! What an extension server says of its group and version, kept for discovery and OpenAPI. Pure.

use std::sync::Arc;

use serde_json::{Map, Value, json};

/// The last that was heard.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// As the aggregated document lists them.
    pub resources: Vec<Value>,
    /// Whether the server was heard when it was last asked.
    pub fresh: bool,
    /// Where its OpenAPI v3 document is, with a query that tells one text from another.
    pub openapi_v3: Option<String>,
    /// Of its OpenAPI v2 document, what is about the group and version.
    pub openapi_v2: Option<Arc<Value>>,
    /// By which the server knows that document again.
    pub openapi_v2_tag: Option<String>,
}

/// The resources of an APIResourceList in the form of the aggregated document.
pub fn resources(list: &Value, group: &str, version: &str) -> Vec<Value> {
    let entries = list["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let name = |entry: &Value| entry["name"].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, Value)> = Vec::new();
    for entry in entries.iter().filter(|entry| !name(entry).contains('/')) {
        found.push((name(entry), resource(entry, group, version)));
    }
    for entry in entries {
        let full = name(entry);
        let Some((parent, below)) = full.split_once('/') else { continue };
        let at = found.iter().position(|(known, _)| known == parent).unwrap_or_else(|| {
            // A subresource without a resource, such as one that is only created (`pods/eviction`).
            found
                .push((parent.to_owned(), json!({ "resource": parent, "scope": scope(entry), "verbs": [] })));
            found.len() - 1
        });
        let mut subresource = json!({
            "subresource": below,
            "responseKind": kind(entry, group, version),
            "verbs": entry["verbs"],
        });
        if entry["verbs"].is_null() {
            subresource["verbs"] = json!([]);
        }
        match &mut found[at].1["subresources"] {
            Value::Array(subresources) => subresources.push(subresource),
            none => *none = json!([subresource]),
        }
    }
    found.into_iter().map(|(_, resource)| resource).collect()
}

fn resource(entry: &Value, group: &str, version: &str) -> Value {
    let mut resource = json!({
        "resource": entry["name"],
        "responseKind": kind(entry, group, version),
        "scope": scope(entry),
        "singularResource": entry["singularName"].as_str().unwrap_or_default(),
        "verbs": if entry["verbs"].is_array() { entry["verbs"].clone() } else { json!([]) },
    });
    for key in ["shortNames", "categories"] {
        if entry[key].is_array() {
            resource[key] = entry[key].clone();
        }
    }
    resource
}

/// The kind's group and version are those of the list where the entry names none.
fn kind(entry: &Value, group: &str, version: &str) -> Value {
    let own = |key: &str| entry[key].as_str().filter(|text| !text.is_empty());
    let (group, version) = match own("version") {
        Some(version) => (own("group").unwrap_or_default(), version),
        None => (own("group").unwrap_or(group), version),
    };
    json!({ "group": group, "version": version, "kind": entry["kind"] })
}

fn scope(entry: &Value) -> &'static str {
    if entry["namespaced"] == true { "Namespaced" } else { "Cluster" }
}

/// Where a server's index of OpenAPI v3 says that the document of a path (`apis/GROUP/VERSION`) is.
/// Only that path itself is taken: it is where requests are passed on from.
pub fn openapi_v3(index: &Value, path: &str) -> Option<String> {
    let url = index["paths"][path]["serverRelativeURL"].as_str()?;
    let own = format!("/openapi/v3/{path}");
    let rest = url.strip_prefix(&own)?;
    (rest.is_empty() || rest.starts_with('?')).then(|| url.to_owned())
}

/// Of an OpenAPI v2 document, the paths below one and the definitions that these need.
pub fn openapi_v2(document: &Value, below: &str) -> Option<Value> {
    let inside =
        |path: &str| path.strip_prefix(below).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let paths: Map<String, Value> = document["paths"]
        .as_object()?
        .iter()
        .filter(|(path, _)| inside(path))
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect();
    let all = document["definitions"].as_object();
    let mut definitions = Map::new();
    let mut wanted: Vec<String> = Vec::new();
    // A server's kinds are told by their group and version, whether a path names them or not.
    let group_version = below.trim_start_matches("/apis/");
    for (name, definition) in all.into_iter().flatten() {
        let of_group = |one: &Value| {
            let text = |key: &str| one[key].as_str().unwrap_or_default();
            format!("{}/{}", text("group"), text("version")) == group_version
        };
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        if kinds.is_some_and(|kinds| kinds.iter().any(of_group)) {
            wanted.push(name.clone());
        }
    }
    paths.values().for_each(|item| super::swagger::references(item, &mut wanted));
    while let Some(name) = wanted.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let Some(definition) = all.and_then(|all| all.get(&name)) else { continue };
        super::swagger::references(definition, &mut wanted);
        definitions.insert(name, definition.clone());
    }
    Some(json!({ "paths": paths, "definitions": definitions }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_becomes_resources_with_their_subresources() {
        let list = json!({ "resources": [
            { "name": "things/scale", "namespaced": true, "kind": "Scale", "group": "autoscaling", "version": "v1", "verbs": ["get"] },
            { "name": "things", "singularName": "thing", "namespaced": true, "kind": "Thing", "verbs": ["get", "list"], "shortNames": ["th"] },
            { "name": "things/status", "namespaced": true, "kind": "Thing", "verbs": ["update"] },
            { "name": "roots", "kind": "Root" },
            { "name": "orphans/eviction", "namespaced": true, "kind": "Eviction", "group": "policy", "version": "v1", "verbs": ["create"] },
        ] });
        let thing = json!({ "group": "a.example", "version": "v1", "kind": "Thing" });
        assert_eq!(
            resources(&list, "a.example", "v1"),
            [
                json!({ "resource": "things", "singularResource": "thing", "scope": "Namespaced", "responseKind": thing,
                    "verbs": ["get", "list"], "shortNames": ["th"], "subresources": [
                        { "subresource": "scale", "verbs": ["get"],
                          "responseKind": { "group": "autoscaling", "version": "v1", "kind": "Scale" } },
                        { "subresource": "status", "verbs": ["update"], "responseKind": thing },
                    ] }),
                json!({ "resource": "roots", "singularResource": "", "scope": "Cluster", "verbs": [],
                    "responseKind": { "group": "a.example", "version": "v1", "kind": "Root" } }),
                json!({ "resource": "orphans", "scope": "Namespaced", "verbs": [], "subresources": [
                    { "subresource": "eviction", "verbs": ["create"],
                      "responseKind": { "group": "policy", "version": "v1", "kind": "Eviction" } }] }),
            ]
        );
        for odd in [json!(null), json!({ "resources": 1 }), json!({ "resources": [null, { "name": "a/b" }] })]
        {
            resources(&odd, "a.example", "v1");
        }
    }

    #[test]
    fn an_index_leads_to_the_own_path_only() {
        let path = "apis/a.example/v1";
        let check = |url: &str, expected: Option<&str>| {
            let index = json!({ "paths": { path: { "serverRelativeURL": url } } });
            assert_eq!(openapi_v3(&index, path).as_deref(), expected);
        };
        check("/openapi/v3/apis/a.example/v1?hash=1", Some("/openapi/v3/apis/a.example/v1?hash=1"));
        check("/openapi/v3/apis/a.example/v1", Some("/openapi/v3/apis/a.example/v1"));
        check("/openapi/v3/apis/a.example/v11", None);
        check("/openapi/v3/api/v1", None);
        check("https://elsewhere/openapi/v3/apis/a.example/v1", None);
    }

    #[test]
    fn of_swagger_only_the_own_part_is_kept() {
        let own = json!({ "$ref": "#/definitions/a.Thing" });
        let document = json!({
            "paths": { "/apis/a.example/v1/things": { "get": own }, "/apis/a.example/v11/x": {}, "/healthz": {} },
            "definitions": {
                "a.Thing": { "properties": { "spec": { "$ref": "#/definitions/a.Spec" } } },
                "a.Spec": { "properties": { "again": { "$ref": "#/definitions/a.Thing" } } },
                "a.Listed": { "x-kubernetes-group-version-kind": [{ "group": "a.example", "version": "v1", "kind": "Listed" }] },
                "other": {},
            },
        });
        let kept = openapi_v2(&document, "/apis/a.example/v1").unwrap();
        let keys = |part: &str| kept[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys("paths"), ["/apis/a.example/v1/things"]);
        let mut names = keys("definitions");
        names.sort();
        assert_eq!(names, ["a.Listed", "a.Spec", "a.Thing"]);
        assert_eq!(openapi_v2(&json!({}), "/apis/a.example/v1"), None);
    }
}
