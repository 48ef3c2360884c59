//! OpenAPI v2 documents of extension servers, merged into this server's own. Pure.
//!
//! Both sides may have a definition of one name: alike, it is shared; else theirs gets another
//! name, and what refers to it there follows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const PREFIX: &str = "#/definitions/";

/// Adds the paths and definitions of `theirs` to `own`. A path that is there stays as it is.
pub fn merge(own: &mut Value, theirs: &Value) {
    let renamed = renamed(&own["definitions"], &theirs["definitions"]);
    for part in ["definitions", "paths"] {
        let Some(entries) = theirs[part].as_object() else { continue };
        let Some(into) = own[part].as_object_mut() else { continue };
        for (name, entry) in entries {
            let name = if part == "definitions" { renamed.get(name).unwrap_or(name) } else { name };
            into.entry(name.clone()).or_insert_with(|| rewritten(entry, &renamed));
        }
    }
}

/// New names for definitions that are others here.
fn renamed(own: &Value, theirs: &Value) -> BTreeMap<String, String> {
    let empty = Map::new();
    let (own, theirs) = (own.as_object().unwrap_or(&empty), theirs.as_object().unwrap_or(&empty));
    let mut renamed = BTreeMap::new();
    for (name, definition) in theirs {
        if own.get(name).is_none_or(|known| known == definition) {
            continue;
        }
        let free = |candidate: &String| !own.contains_key(candidate) && !theirs.contains_key(candidate);
        if let Some(free) = (2..).map(|n| format!("{name}_v{n}")).find(free) {
            renamed.insert(name.clone(), free);
        }
    }
    renamed
}

fn rewritten(value: &Value, renamed: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                let name = value.as_str().and_then(|target| target.strip_prefix(PREFIX));
                let new = name.filter(|_| key == "$ref").and_then(|name| renamed.get(name));
                let value =
                    new.map_or_else(|| rewritten(value, renamed), |name| format!("{PREFIX}{name}").into());
                (key.clone(), value)
            };
            Value::Object(map.iter().map(entry).collect())
        }
        Value::Array(items) => items.iter().map(|item| rewritten(item, renamed)).collect(),
        other => other.clone(),
    }
}

/// Adds the names of the definitions that a value refers to.
pub fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let target = map.get("$ref").and_then(Value::as_str);
            names.extend(target.and_then(|target| target.strip_prefix(PREFIX)).map(String::from));
            map.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn definitions_of_one_name_are_shared_or_renamed() {
        let mut own = json!({
            "paths": { "/a": "own" },
            "definitions": { "Same": { "type": "object" }, "Other": { "type": "string" }, "Other_v2": {} },
        });
        let theirs = json!({
            "paths": { "/a": "theirs", "/b": { "get": { "$ref": "#/definitions/Other" } } },
            "definitions": {
                "Same": { "type": "object" },
                "Other": { "items": [{ "$ref": "#/definitions/Other" }, { "$ref": "#/definitions/Same" }] },
                "New": { "$ref": "#/definitions/Other" },
            },
        });
        merge(&mut own, &theirs);
        assert_eq!(
            own,
            json!({
                "paths": { "/a": "own", "/b": { "get": { "$ref": "#/definitions/Other_v3" } } },
                "definitions": {
                    "Same": { "type": "object" }, "Other": { "type": "string" }, "Other_v2": {},
                    "Other_v3": { "items": [{ "$ref": "#/definitions/Other_v3" }, { "$ref": "#/definitions/Same" }] },
                    "New": { "$ref": "#/definitions/Other_v3" },
                },
            })
        );
    }
}
