//! A custom resource's schema as a tree: `openAPIV3Schema`, read once.
//!
//! Reading is lenient; whether a schema is structural is asked when its
//! definition is written (`kinds/custom_resource_definition`). The branches of
//! `allOf`, `anyOf`, `oneOf` and `not` are trees of the same form.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::{
    access::{flag, list, text},
    schema::ListType,
};

/// The longest pattern, in bytes.
pub const PATTERN_LIMIT: usize = 16 * 1024;
/// The most memory that a compiled pattern may take.
const COMPILED_LIMIT: usize = 2 << 20;

#[derive(Debug, Clone, Default)]
pub struct Structural {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`, or empty for anything.
    pub ty: String,
    /// Normalized: without what is unknown for the type.
    pub format: String,
    pub nullable: bool,
    pub default: Option<Value>,
    pub properties: BTreeMap<String, Structural>,
    pub items: Option<Box<Structural>>,
    pub additional: Additional,
    pub preserve_unknown: bool,
    pub embedded: bool,
    pub int_or_string: bool,
    /// None when the schema says nothing, which means atomic.
    pub list_type: Option<ListType>,
    pub limits: Limits,
    pub all_of: Vec<Structural>,
    pub any_of: Vec<Structural>,
    pub one_of: Vec<Structural>,
    pub not: Option<Box<Structural>>,
    /// `x-kubernetes-validations`, as written.
    pub rules: Vec<Value>,
}

/// `additionalProperties`
#[derive(Debug, Clone, Default)]
pub enum Additional {
    /// Nothing is said of them.
    #[default]
    Unset,
    Forbidden,
    Any,
    Of(Box<Structural>),
}

/// What restricts a value beside its type.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    pub required: Vec<String>,
    pub allowed: Option<Vec<Value>>,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub multiple_of: Option<f64>,
    pub max_length: Option<u64>,
    pub min_length: Option<u64>,
    pub pattern: Option<Regex>,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub max_properties: Option<u64>,
    pub min_properties: Option<u64>,
}

impl Additional {
    pub fn schema(&self) -> Option<&Structural> {
        match self {
            Self::Of(schema) => Some(schema),
            _ => None,
        }
    }
}

impl Structural {
    pub fn parse(schema: &Value) -> Self {
        let branches = |key: &str| list(schema, key).iter().map(Self::parse).collect();
        let nested = |key: &str| schema.get(key).filter(|v| v.is_object()).map(|v| Box::new(Self::parse(v)));
        let properties = schema.get("properties").and_then(Value::as_object);
        let ty = text(schema, "/type").to_owned();
        Self {
            format: known_format(&ty, text(schema, "/format")),
            ty,
            nullable: flag(schema, "/nullable"),
            default: schema.get("default").filter(|value| !value.is_null()).cloned(),
            properties: properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::parse(schema)))
                .collect(),
            items: nested("items"),
            additional: match schema.get("additionalProperties") {
                Some(Value::Bool(true)) => Additional::Any,
                Some(Value::Bool(false)) => Additional::Forbidden,
                Some(of @ Value::Object(_)) => Additional::Of(Box::new(Self::parse(of))),
                _ => Additional::Unset,
            },
            preserve_unknown: flag(schema, "/x-kubernetes-preserve-unknown-fields"),
            embedded: flag(schema, "/x-kubernetes-embedded-resource"),
            int_or_string: flag(schema, "/x-kubernetes-int-or-string"),
            list_type: list_type(schema),
            limits: limits(schema),
            all_of: branches("/allOf"),
            any_of: branches("/anyOf"),
            one_of: branches("/oneOf"),
            not: nested("not"),
            rules: list(schema, "/x-kubernetes-validations").to_vec(),
        }
    }

    /// The schema of a property, or of any key of a map.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or_else(|| self.additional.schema())
    }
}

/// Compiles a pattern. Searching takes time linear in the text whatever the pattern is, so
/// that only its size has to be bounded.
pub fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > PATTERN_LIMIT {
        return Err(format!("it is longer than {PATTERN_LIMIT} bytes"));
    }
    RegexBuilder::new(text).size_limit(COMPILED_LIMIT).build().map_err(|error| error.to_string())
}

fn limits(schema: &Value) -> Limits {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let count = |key: &str| schema.get(key).and_then(Value::as_u64);
    Limits {
        required: list(schema, "/required").iter().filter_map(|v| v.as_str().map(String::from)).collect(),
        allowed: schema.get("enum").and_then(Value::as_array).cloned(),
        maximum: number("maximum"),
        exclusive_maximum: flag(schema, "/exclusiveMaximum"),
        minimum: number("minimum"),
        exclusive_minimum: flag(schema, "/exclusiveMinimum"),
        multiple_of: number("multipleOf"),
        max_length: count("maxLength"),
        min_length: count("minLength"),
        pattern: schema.get("pattern").and_then(Value::as_str).and_then(|text| pattern(text).ok()),
        max_items: count("maxItems"),
        min_items: count("minItems"),
        max_properties: count("maxProperties"),
        min_properties: count("minProperties"),
    }
}

fn list_type(schema: &Value) -> Option<ListType> {
    match text(schema, "/x-kubernetes-list-type") {
        "atomic" => Some(ListType::Atomic),
        "set" => Some(ListType::Set),
        "map" => {
            let keys = list(schema, "/x-kubernetes-list-map-keys").iter();
            Some(ListType::Map(keys.filter_map(|key| key.as_str().map(String::from)).collect()))
        }
        _ => None,
    }
}

/// Formats that mean nothing for a type are as if they weren't there.
fn known_format(ty: &str, format: &str) -> String {
    let plain = format.replace('-', "");
    let known = match ty {
        "" | "string" => super::formats::is_known(&plain),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    };
    if known { plain } else { String::new() }
}
