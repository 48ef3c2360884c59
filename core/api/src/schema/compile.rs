//! From OpenAPI definitions to compiled schemas.
//!
//! A definition is compiled once and shared; a field that refers to it with facts
//! of its own (a merge key, a default) gets a copy of its top only. A definition
//! that contains itself is named where it comes again, and looked up there.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::{Format, ListType, PatchStrategy, Schema, Type, definitions::V3_PREFIX, tags, zeros};

/// Every definition, compiled.
pub fn definitions(all: &Map<String, Value>) -> BTreeMap<String, Arc<Schema>> {
    let mut compiler = Compiler { all, done: BTreeMap::new(), open: Vec::new(), omitted: omitted() };
    for name in all.keys() {
        compiler.definition(name);
    }
    compiler.done
}

fn omitted() -> BTreeMap<String, Vec<&'static str>> {
    let fields = |line: tags::Line| {
        // An empty list of these is an order to forget them all.
        let omitted = |fact: &tags::Fact| !fact.zero_counts && fact.name != "managedFields";
        let names = line.fields.iter().filter(|fact| omitted(fact)).map(|fact| fact.name).collect();
        (format!("io.k8s.{}", line.definition), names)
    };
    tags::lines().map(fields).collect()
}

/// A schema without references.
pub fn standalone(openapi: &Value) -> Arc<Schema> {
    let all = Map::new();
    let mut compiler =
        Compiler { all: &all, done: BTreeMap::new(), open: Vec::new(), omitted: BTreeMap::new() };
    let mut schema = compiler.node(openapi);
    if schema.properties.is_empty() && schema.additional.is_none() {
        Arc::make_mut(&mut schema).preserve_unknown = true;
    }
    schema
}

struct Compiler<'a> {
    all: &'a Map<String, Value>,
    done: BTreeMap<String, Arc<Schema>>,
    open: Vec<String>,
    /// By definition, the fields without a mark in Go's tags.
    omitted: BTreeMap<String, Vec<&'static str>>,
}

impl Compiler<'_> {
    fn definition(&mut self, name: &str) -> Arc<Schema> {
        if let Some(schema) = self.done.get(name) {
            return schema.clone();
        }
        let Some(value) = self.all.get(name) else { return Schema::any().clone() };
        if self.open.iter().any(|open| open == name) {
            return again(name);
        }
        self.open.push(name.to_owned());
        let mut schema = self.node(value);
        self.open.pop();
        let top = Arc::make_mut(&mut schema);
        top.name = short_name(name);
        special(top, name);
        self.omit(top, name);
        self.done.insert(name.to_owned(), schema.clone());
        schema
    }

    /// Marks the fields that Go leaves out when they are empty.
    fn omit(&self, schema: &mut Schema, definition: &str) {
        for field in self.omitted.get(definition).into_iter().flatten() {
            if let Some(field) = schema.properties.get_mut(*field).filter(|field| zeros::can_be_empty(field))
            {
                Arc::make_mut(field).omits_zero = true;
            }
        }
    }

    fn node(&mut self, value: &Value) -> Arc<Schema> {
        match reference(value) {
            Some(target) => {
                let base = self.definition(target);
                overridden(base, value)
            }
            None => Arc::new(self.inline(value)),
        }
    }

    fn inline(&mut self, value: &Value) -> Schema {
        let properties = value.get("properties").and_then(Value::as_object);
        let properties =
            properties.into_iter().flatten().map(|(name, v)| (name.clone(), self.node(v))).collect();
        let additional = match value.get("additionalProperties") {
            Some(Value::Bool(true)) => Some(Schema::any().clone()),
            Some(v @ Value::Object(_)) => Some(self.node(v)),
            _ => None,
        };
        let mut schema = Schema {
            ty: type_of(value),
            format: format_of(value),
            properties,
            items: value.get("items").map(|v| self.node(v)),
            additional,
            preserve_unknown: is_true(value, "x-kubernetes-preserve-unknown-fields"),
            nullable: is_true(value, "nullable"),
            ..Schema::default()
        };
        merge_rules(&mut schema, value);
        schema
    }
}

const JSON_SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

fn again(definition: &str) -> Arc<Schema> {
    Arc::new(Schema { recursive: Some(definition.to_owned()), ..(**Schema::any()).clone() })
}

/// `v1.PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn short_name(definition: &str) -> String {
    let mut parts = definition.rsplitn(3, '.');
    let (last, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{version}.{last}")
}

/// Definitions whose JSON form the schema alone doesn't tell.
fn special(schema: &mut Schema, name: &str) {
    match name.rsplit('.').next().unwrap_or_default() {
        "Quantity" => schema.ty = Type::Quantity,
        "IntOrString" => schema.ty = Type::IntOrString,
        "Time" => schema.format = Format::DateTime,
        "MicroTime" => schema.format = Format::MicroTime,
        "FieldsV1" => schema.atomic = true,
        // A default or an example: any value.
        "JSON" => *schema = Schema { name: schema.name.clone(), ..(**Schema::any()).clone() },
        // A schema, or what else may stand in its place.
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            *schema = Schema { name: schema.name.clone(), ..(*again(JSON_SCHEMA)).clone() };
        }
        _ => {}
    }
}

fn reference(value: &Value) -> Option<&str> {
    let direct = value.get("$ref").and_then(Value::as_str);
    let wrapped = || value.get("allOf")?.get(0)?.get("$ref")?.as_str();
    direct.or_else(wrapped).map(|target| target.trim_start_matches(V3_PREFIX))
}

/// A shared definition, or a copy of it with what the field says of itself.
fn overridden(mut base: Arc<Schema>, value: &Value) -> Arc<Schema> {
    let mut own = Schema { list: base.list.clone(), atomic: base.atomic, ..Schema::default() };
    merge_rules(&mut own, value);
    if own.patch != base.patch || own.atomic != base.atomic || own.list != base.list || own.default.is_some()
    {
        let top = Arc::make_mut(&mut base);
        (top.patch, top.atomic, top.list, top.default) = (own.patch, own.atomic, own.list, own.default);
    }
    base
}

fn merge_rules(schema: &mut Schema, value: &Value) {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    match text("x-kubernetes-list-type") {
        "set" => schema.list = ListType::Set,
        "map" => {
            let keys = value.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            let keys = keys.into_iter().flatten().filter_map(|k| k.as_str().map(String::from)).collect();
            schema.list = ListType::Map(keys);
        }
        _ => {}
    }
    schema.atomic |= text("x-kubernetes-map-type") == "atomic";
    let strategies = text("x-kubernetes-patch-strategy");
    let has = |name: &str| strategies.split(',').any(|s| s == name);
    schema.patch = PatchStrategy {
        merge: has("merge"),
        replace: has("replace"),
        retain_keys: has("retainKeys"),
        merge_key: Some(text("x-kubernetes-patch-merge-key")).filter(|k| !k.is_empty()).map(String::from),
    };
    schema.default = value.get("default").filter(|d| !d.is_null()).cloned();
}

fn type_of(value: &Value) -> Type {
    if is_true(value, "x-kubernetes-int-or-string") {
        return Type::IntOrString;
    }
    match value.get("type").and_then(Value::as_str).unwrap_or_default() {
        "object" => Type::Object,
        "array" => Type::Array,
        "string" => Type::String,
        "integer" => Type::Integer,
        "number" => Type::Number,
        "boolean" => Type::Boolean,
        _ => Type::Any,
    }
}

fn format_of(value: &Value) -> Format {
    match value.get("format").and_then(Value::as_str).unwrap_or_default() {
        "int32" => Format::Int32,
        "int64" => Format::Int64,
        "byte" => Format::Byte,
        _ => Format::None,
    }
}

fn is_true(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or_default()
}
