//! The table of what the generated schemas lack, written into them.
//!
//! `k8s-openapi` gives types and descriptions; how a list is merged and by which keys comes from
//! `facts.txt`, one line a field. [`enrich`] adds the table to the definitions as the OpenAPI
//! extensions that clients and [`compile`](super::compile) read.

use serde_json::{Map, Value, json};

static FACTS: &str = include_str!("facts.txt");

/// One line of the table.
struct Fact {
    definition: &'static str,
    /// `.` for the definition itself.
    field: &'static str,
    words: Vec<&'static str>,
}

fn table() -> impl Iterator<Item = Fact> {
    let mut definition = "";
    FACTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).filter_map(move |line| {
        let Some(fact) = line.strip_prefix("  ") else {
            definition = line;
            return None;
        };
        let mut words = fact.split(' ');
        let field = words.next()?;
        Some(Fact { definition, field, words: words.collect() })
    })
}

/// Writes every fact whose definition is served into `definitions`.
pub fn enrich(definitions: &mut Map<String, Value>) {
    for fact in table() {
        let Some(definition) = definitions.get_mut(fact.definition) else { continue };
        let schema = match fact.field {
            "." => Some(definition),
            field => definition.get_mut("properties").and_then(|p| p.get_mut(field)),
        };
        if let Some(schema) = schema.and_then(Value::as_object_mut) {
            fact.words.iter().for_each(|word| write_word(schema, word));
        }
    }
    list_types(definitions);
}

fn write_word(schema: &mut Map<String, Value>, word: &str) {
    let (name, value) = word.split_once(':').unwrap_or((word, ""));
    let mut set = |key: &str, value: Value| schema.insert(key.to_owned(), value);
    match name {
        "set" => {
            set("x-kubernetes-list-type", json!("set"));
        }
        "map" => {
            set("x-kubernetes-list-type", json!("map"));
            set("x-kubernetes-list-map-keys", value.split(',').collect());
        }
        "atomic" => {
            set("x-kubernetes-map-type", json!("atomic"));
        }
        "default" => {
            set("default", serde_json::from_str(value).unwrap_or(Value::Null));
        }
        "patch" => {
            set("x-kubernetes-patch-strategy", json!(value));
        }
        "key" => {
            set("x-kubernetes-patch-merge-key", json!(value));
        }
        _ => {}
    }
}

/// A list without a list type is atomic, and says so.
fn list_types(definitions: &mut Map<String, Value>) {
    let properties = definitions.values_mut().filter_map(|d| d.get_mut("properties")?.as_object_mut());
    for schema in properties.flat_map(|p| p.values_mut()).filter_map(Value::as_object_mut) {
        if schema.get("type").is_some_and(|t| t == "array") {
            schema.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_about_a_field_that_exists() {
        let definitions = super::super::definitions();
        let known = |fact: &Fact| {
            let definition = definitions.get(fact.definition)?;
            (fact.field == "." || definition["properties"].get(fact.field).is_some()).then_some(())
        };
        let strangers: Vec<String> = table()
            .filter(|fact| known(fact).is_none())
            .map(|fact| format!("{} {}", fact.definition, fact.field))
            .collect();
        assert!(strangers.is_empty(), "{strangers:#?}");
        for fact in table() {
            for word in fact.words {
                let (name, value) = word.split_once(':').unwrap_or((word, ""));
                assert!(["set", "map", "atomic", "default", "patch", "key"].contains(&name), "{word}");
                assert!(name != "default" || serde_json::from_str::<Value>(value).is_ok(), "{word}");
            }
        }
    }
}
