//! Schemas of all kinds: as OpenAPI documents, and compiled for the verbs.
//!
//! [`definitions`] are generated once at first use (`definitions.rs`, with the
//! table in `facts.txt`, and Go's [`tags`]). [`of`] gives a definition as a compiled [`Schema`]: a tree shared by
//! `Arc`, over which [`check`] decodes and the patch types merge. A custom
//! resource's schema goes through [`compile`] into the same form.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value};

mod check;
mod compile;
mod definitions;
mod facts;
mod format;
pub mod tags;
mod zeros;

pub use check::{TypeError, check, check_as_written, refusal};
pub use zeros::leave_out;

/// A compiled structural schema: what one place of an object may hold, and how it is merged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// Of a definition: `v1.PodSpec`; else empty.
    pub name: String,
    pub ty: Type,
    pub format: Format,
    /// Of an object with named fields.
    pub properties: BTreeMap<String, Arc<Schema>>,
    /// Of an array.
    pub items: Option<Arc<Schema>>,
    /// Of a map: the values' schema.
    pub additional: Option<Arc<Schema>>,
    /// Fields that are not in `properties` are kept and are no error.
    pub preserve_unknown: bool,
    /// A null is a value, and not an absent field.
    pub nullable: bool,
    /// Server-side apply: how a list is merged (`x-kubernetes-list-type`).
    pub list: ListType,
    /// Server-side apply: an object or map that has one owner as a whole
    /// (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Strategic merge patch (`x-kubernetes-patch-strategy`, `-merge-key`).
    pub patch: PatchStrategy,
    pub default: Option<Value>,
    /// A field that JSON doesn't show when it is empty: a list, a map, a text, zero or false (Go's
    /// `omitempty`).
    pub omits_zero: bool,
    /// A definition that contains itself: objects here have its schema again.
    pub recursive: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// An integer or a string.
    IntOrString,
    /// A number or a string; kept as a string in canonical form.
    Quantity,
}

/// What a string or number must look like, as far as decoding depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    None,
    Int32,
    Int64,
    /// Base64.
    Byte,
    /// RFC 3339, in seconds.
    DateTime,
    /// RFC 3339, in microseconds.
    MicroTime,
}

/// How server-side apply merges a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// A list is merged and not replaced. Objects always merge, unless `replace`.
    pub merge: bool,
    /// The object or list is replaced as a whole.
    pub replace: bool,
    /// `$retainKeys` is honoured.
    pub retain_keys: bool,
    /// The field that identifies an element of a merged list of objects.
    pub merge_key: Option<String>,
}

impl Schema {
    /// The schema of a named field, or of any key of a map.
    pub fn field(&self, name: &str) -> Option<&Arc<Schema>> {
        self.properties.get(name).or(self.additional.as_ref())
    }

    /// A schema that allows anything and knows nothing: maps merge, lists are atomic.
    pub fn any() -> &'static Arc<Schema> {
        static ANY: OnceLock<Arc<Schema>> = OnceLock::new();
        ANY.get_or_init(|| Arc::new(Schema { preserve_unknown: true, ..Schema::default() }))
    }
}

/// [`check`] or [`check_as_written`].
pub type Check = fn(&Schema, &mut Value) -> Result<Vec<String>, TypeError>;

/// The compiled schema of a definition such as `io.k8s.api.core.v1.Pod`.
pub fn of(definition: &str) -> Option<Arc<Schema>> {
    static ALL: OnceLock<BTreeMap<String, Arc<Schema>>> = OnceLock::new();
    ALL.get_or_init(|| compile::definitions(definitions())).get(definition).cloned()
}

/// Compiles a schema in OpenAPI form without `$ref`s, such as a custom resource's.
/// A root without properties allows anything.
pub fn compile(openapi: &Value) -> Arc<Schema> {
    compile::standalone(openapi)
}

/// All definitions by name, as OpenAPI v3 component schemas (`$ref`s begin with
/// `#/components/schemas/`), lists (`io.k8s.api.core.v1.PodList`) and `Status` included.
pub fn definitions() -> &'static Map<String, Value> {
    static ALL: OnceLock<Map<String, Value>> = OnceLock::new();
    ALL.get_or_init(definitions::build)
}

/// All definitions in the form of OpenAPI v2 (`$ref`s begin with `#/definitions/`).
pub fn definitions_v2() -> Map<String, Value> {
    definitions().iter().map(|(name, d)| (name.clone(), definitions::to_v2(d))).collect()
}

/// The names of the definitions that a schema refers to.
pub fn references(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    definitions::references(schema, &mut names);
    names
}

/// Those definitions that the named ones need, themselves included: the
/// `components.schemas` of one group and version's document.
pub fn closure<'a>(names: impl IntoIterator<Item = &'a str>) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open: Vec<String> = names.into_iter().map(String::from).collect();
    while let Some(name) = open.pop() {
        let Some(definition) = definitions().get(&name).filter(|_| !found.contains_key(&name)) else {
            continue;
        };
        definitions::references(definition, &mut open);
        found.insert(name, definition.clone());
    }
    found
}

#[cfg(test)]
mod tests;
