//! Objects and lists in the shape a client asked for: as they are, as
//! PartialObjectMetadata, or as rows of a Table. Pure.

use serde_json::{Value, json};

use super::table;
use crate::{registry::Resource, request::accept::Shape};

/// One object in a shape.
pub fn one(resource: &Resource, object: Value, shape: Shape, include_object: &str) -> Value {
    match shape {
        Shape::Object => object,
        Shape::Metadata(version) => metadata(object, version),
        Shape::Table(version) => {
            let list_meta = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
            table::of(resource, version, list_meta, vec![object], include_object, true)
        }
    }
}

/// A list in a shape; `list_meta` is its metadata.
pub fn many(
    resource: &Resource,
    list_meta: Value,
    objects: Vec<Value>,
    shape: Shape,
    include_object: &str,
) -> Value {
    match shape {
        Shape::Object => json!({
            "kind": resource.kind.list_kind(),
            "apiVersion": resource.kind.api_version(),
            "metadata": list_meta,
            "items": objects,
        }),
        Shape::Metadata(version) => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": format!("meta.k8s.io/{version}"),
            "metadata": list_meta,
            "items": objects.into_iter().map(|object| metadata(object, version)).collect::<Vec<_>>(),
        }),
        Shape::Table(version) => table::of(resource, version, list_meta, objects, include_object, true),
    }
}

/// The object's metadata alone.
pub fn metadata(mut object: Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"].take(),
    })
}
