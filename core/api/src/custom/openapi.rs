//! A custom resource's schema as OpenAPI documents show it, and as server-side apply reads it.
//!
//! The definition's schema is completed with what every object has: apiVersion,
//! kind, metadata.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::embedded::metadata_schema;
use crate::{
    access::list,
    kind::Kind,
    schema::{self, Schema, Type},
};

const META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const KIND: &str = "Kind is a string value representing the REST resource this object represents.";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object.";

/// The definitions of a kind and of its list, by name, in the form of OpenAPI v3.
pub fn definitions(kind: &Kind, schema: &Value) -> [(String, Value); 2] {
    let mut own = match schema {
        Value::Object(map) => map.clone(),
        _ => Map::new(),
    };
    own.remove("$schema");
    own.insert("type".into(), "object".into());
    let mut properties = own.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    properties.insert("apiVersion".into(), json!({"type": "string", "description": API_VERSION}));
    properties.insert("kind".into(), json!({"type": "string", "description": KIND}));
    properties.insert("metadata".into(), metadata(&properties));
    own.insert("properties".into(), properties.into());
    own.insert("x-kubernetes-group-version-kind".into(), group_version_kind(kind, kind.kind));
    let list = json!({
        "type": "object",
        "description": format!("{} is a list of {}", kind.list_kind(), kind.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"allOf": [{"$ref": LIST_META}], "description": "Standard list metadata."},
            "items": {
                "type": "array",
                "description": format!("List of {}.", kind.plural),
                "items": {"$ref": format!("#/components/schemas/{}", kind.definition)},
            },
        },
        "x-kubernetes-group-version-kind": group_version_kind(kind, &kind.list_kind()),
    });
    [(kind.definition.to_owned(), own.into()), (format!("{}List", kind.definition), list)]
}

fn metadata(properties: &Map<String, Value>) -> Value {
    let given = properties.get("metadata").and_then(|m| m.get("description")).and_then(Value::as_str);
    json!({"allOf": [{"$ref": META}], "description": given.unwrap_or("Standard object's metadata.")})
}

fn group_version_kind(kind: &Kind, name: &str) -> Value {
    json!([{"group": kind.group, "version": kind.version, "kind": name}])
}

/// A definition in the words of version 2: what those can't say is left out.
pub fn to_v2(definition: &Value) -> Value {
    match definition {
        Value::Object(map) => {
            let referred = list(definition, "/allOf").first().and_then(|one| one.get("$ref"));
            let nullable = map.get("nullable") == Some(&Value::Bool(true));
            let free = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
            let mut out = Map::new();
            for (key, value) in map {
                match key.as_str() {
                    "allOf" | "anyOf" | "oneOf" | "not" | "nullable" | "default" => {}
                    // A client of version 2 would refuse what it doesn't know.
                    "type" | "items" | "properties" if nullable || free => {}
                    "properties" => {
                        let fields = value.as_object().into_iter().flatten();
                        let fields: Map<_, _> = fields.map(|(k, v)| (k.clone(), to_v2(v))).collect();
                        out.insert(key.clone(), fields.into());
                    }
                    "items" | "additionalProperties" => drop(out.insert(key.clone(), to_v2(value))),
                    "$ref" => drop(out.insert(key.clone(), v2_ref(value))),
                    _ => drop(out.insert(key.clone(), value.clone())),
                }
            }
            if let Some(target) = referred {
                out.insert("$ref".into(), v2_ref(target));
            }
            out.into()
        }
        other => other.clone(),
    }
}

fn v2_ref(target: &Value) -> Value {
    target.as_str().unwrap_or_default().replace("#/components/schemas/", "#/definitions/").into()
}

/// The schema by which fields are owned and lists merged.
pub fn for_apply(openapi: &Value) -> Arc<Schema> {
    let mut schema = schema::compile(openapi);
    let top = Arc::make_mut(&mut schema);
    top.ty = Type::Object;
    for name in ["apiVersion", "kind"] {
        top.properties.insert(name.into(), Arc::new(Schema { ty: Type::String, ..Schema::default() }));
    }
    top.properties.insert("metadata".into(), metadata_schema().clone());
    schema
}
