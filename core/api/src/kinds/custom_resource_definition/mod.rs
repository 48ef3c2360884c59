//! CustomResourceDefinition: a kind that users make. What it defines is served by
//! [`custom`](crate::custom) and the API server.
//!
//! - [`names`]: the names of the new kind, and which of several definitions gets them.
//! - `spec`, `versions`: what is wrong with a definition, above its schemas.
//! - `schema`, `structural`, `defaults`: what is wrong with a schema.
//! - [`conditions`]: the conditions and the finalizer that the server sets.

pub mod conditions;
mod conversion;
mod defaults;
pub mod names;
mod schema;
mod spec;
mod structural;
#[cfg(test)]
mod tests;
mod versions;

use serde_json::{Value, json};

use crate::{
    access::{default, ensure, find, list, set, text},
    kind::{Column, Kind, Subresource},
    table::NAME,
};

pub const GROUP: &str = "apiextensions.k8s.io";
pub const PLURAL: &str = "customresourcedefinitions";

pub static KIND: Kind = Kind {
    short_names: &["crd", "crds"],
    categories: &["api-extensions"],
    subresources: &[Subresource::Status],
    default: defaulted,
    prepare_create: |definition| {
        set(definition, "status", json!({}));
        store(definition);
    },
    prepare_update: |definition, _| store(definition),
    validate: spec::validate,
    validate_update: spec::validate_update,
    counts_generations: true,
    columns: &[
        NAME,
        Column {
            kind: "date",
            ..Column::text("Created At", |definition, _| {
                text(definition, "/metadata/creationTimestamp").into()
            })
        },
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "CustomResourceDefinition",
        PLURAL,
        "customresourcedefinition",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    )
};

fn defaulted(definition: &mut Value) {
    let Some(spec) = ensure(definition, "spec") else { return };
    if let Some(names) = ensure(spec, "names") {
        let kind = text(names, "/kind").to_owned();
        if !kind.is_empty() {
            default(names, "singular", kind.to_lowercase());
            default(names, "listKind", format!("{kind}List"));
        }
    }
    if let Some(conversion) = ensure(spec, "conversion") {
        default(conversion, "strategy", "None");
        if let Some(service) =
            conversion.pointer_mut("/webhook/clientConfig/service").filter(|s| s.is_object())
        {
            default(service, "port", 443);
        }
    }
    if list(definition, "/status/storedVersions").is_empty() {
        store(definition);
    }
}

/// The storage version is among the stored ones from the moment it is written.
fn store(definition: &mut Value) {
    let Some(storage) = storage_version(definition).map(Value::from) else { return };
    let stored = list(definition, "/status/storedVersions");
    if stored.contains(&storage) {
        return;
    }
    let stored: Vec<Value> = stored.iter().cloned().chain([storage]).collect();
    if let Some(status) = ensure(definition, "status") {
        set(status, "storedVersions", stored.into());
    }
}

/// The version in which objects are kept.
pub fn storage_version(definition: &Value) -> Option<&str> {
    let versions = list(definition, "/spec/versions");
    versions.iter().find(|version| version["storage"] == true).and_then(|version| version["name"].as_str())
}

/// The version of this name.
fn version<'a>(definition: &'a Value, name: &str) -> Option<&'a Value> {
    find(list(definition, "/spec/versions"), "name", name)
}
