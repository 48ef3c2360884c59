//! Every message as a list of fields with their shapes: the schemas and
//! [`tags`] brought together once, so that neither reading nor writing
//! looks into a schema. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use serde_json::Value;
use tiphys_api::{
    kind::Kind,
    kinds,
    schema::{definitions, tags},
};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";

/// A message: an object, in JSON.
#[derive(Debug, Default)]
pub struct Message {
    /// Sorted by name.
    fields: Vec<Field>,
    /// Indices into `fields` by the field's place.
    places: BTreeMap<(u32, u32), usize>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    /// The [`tags::within`] of the message that holds the field; 0 if it is the object's own.
    pub outer: u32,
    pub number: u32,
    /// Whether a zero on the wire is shown in JSON.
    pub zero_counts: bool,
    pub shape: Shape,
}

/// What stands in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// Bytes; base64 in JSON.
    Binary,
    Truth,
    Integer,
    Float,
    Message(usize),
    List(Box<Shape>),
    Map(Box<Shape>),
    Quantity,
    IntOrString,
    /// Seconds, or microseconds if the flag is set.
    Time(bool),
    /// JSON within the message.
    Raw,
    /// A schema, the message of this index, or something else in its place.
    SchemaOr(usize, Instead),
}

/// What may stand in the place of a schema. The schema's field in the wrapper is 2
/// if it is a truth value, and 1 beside lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Whether anything is allowed, in field 1.
    Truth,
    /// A list of schemas in field 2.
    Schemas,
    /// A list of names in field 2.
    Texts,
}

impl Instead {
    /// The field of the schema.
    pub fn schema(self) -> u32 {
        if self == Self::Truth { 2 } else { 1 }
    }

    /// The field of what stands in its place.
    pub fn other(self) -> u32 {
        3 - self.schema()
    }
}

/// What is a number on the wire for the head of a field.
impl Shape {
    pub fn wire_type(&self) -> u8 {
        match self {
            Self::Truth | Self::Integer => 0,
            Self::Float => 1,
            _ => 2,
        }
    }
}

impl Message {
    pub fn by_name(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()?;
        self.fields.get(at)
    }

    pub fn by_place(&self, outer: u32, number: u32) -> Option<&Field> {
        self.fields.get(*self.places.get(&(outer, number))?)
    }

    #[cfg(test)]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether fields of the object are in this message, or in one that is in it.
    pub fn is_outer(&self, message: u32) -> bool {
        let mut outers = self.places.keys().map(|(outer, _)| *outer).filter(|outer| *outer != 0);
        outers.any(|outer| outer == message || tags::around(outer).0 == message)
    }

    fn of(mut fields: Vec<Field>) -> Self {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let places = fields.iter().enumerate().map(|(at, field)| ((field.outer, field.number), at)).collect();
        Self { fields, places }
    }
}

/// All messages.
pub struct Catalog {
    messages: Vec<Message>,
    by_definition: HashMap<String, usize>,
}

impl Catalog {
    pub fn message(&self, at: usize) -> &Message {
        &self.messages[at]
    }

    /// The message of an object or list by its schema's name.
    pub fn find(&self, definition: &str) -> Option<&Message> {
        Some(&self.messages[*self.by_definition.get(definition)?])
    }

    /// Adds a message whose fields are numbered from 1.
    fn add(&mut self, definition: String, fields: Vec<(&str, Shape)>) -> usize {
        let at = self.messages.len();
        let field = |((name, shape), number): ((&str, Shape), u32)| Field {
            name: name.into(),
            outer: 0,
            number,
            zero_counts: true,
            shape,
        };
        self.messages.push(Message::of(fields.into_iter().zip(1..).map(field).collect()));
        self.by_definition.insert(definition, at);
        at
    }
}

pub fn catalog() -> &'static Catalog {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    CATALOG.get_or_init(build)
}

/// The message of a kind; None for one that isn't known in this encoding.
pub fn of_kind(kind: &Kind) -> Option<&'static Message> {
    catalog().find(kind.definition)
}

/// The message that an object or list names by `apiVersion` and `kind`. Options go
/// by the group of the object they are about.
pub fn named(api_version: &str, kind: &str) -> Option<&'static Message> {
    if let Some(found) = kinds::by_kind(api_version, kind) {
        return of_kind(found);
    }
    if let Some(found) = kind.strip_suffix("List").and_then(|kind| kinds::by_kind(api_version, kind)) {
        return catalog().find(&list_name(found.definition));
    }
    let definition = match (api_version, kind) {
        (_, "DeleteOptions")
        | ("" | "v1", "Status" | "APIVersions" | "APIGroupList" | "APIGroup" | "APIResourceList")
        | ("meta.k8s.io/v1" | "meta.k8s.io/v1beta1", "PartialObjectMetadata" | "PartialObjectMetadataList") =>
        {
            format!("{META}{kind}")
        }
        ("autoscaling/v1", "Scale") => "io.k8s.api.autoscaling.v1.Scale".into(),
        ("policy/v1", "Eviction") => "io.k8s.api.policy.v1.Eviction".into(),
        ("authentication.k8s.io/v1", "TokenRequest") => "io.k8s.api.authentication.v1.TokenRequest".into(),
        _ => return None,
    };
    catalog().find(&definition)
}

fn list_name(definition: &str) -> String {
    format!("{definition}List")
}

fn build() -> Catalog {
    let known: HashMap<String, usize> =
        tags::lines().enumerate().map(|(at, line)| (format!("io.k8s.{}", line.definition), at)).collect();
    let mut catalog = Catalog {
        messages: tags::lines().map(|line| Message::of(fields(&line, &known))).collect(),
        by_definition: known.clone(),
    };
    let meta = |name: &str| Shape::Message(known[&format!("{META}{name}")]);
    let partial = catalog.add(format!("{META}PartialObjectMetadata"), vec![("metadata", meta("ObjectMeta"))]);
    // Lists have no facts of their own: all are alike.
    let list = |item: usize| {
        let items = Shape::List(Box::new(Shape::Message(item)));
        vec![("metadata", meta("ListMeta")), ("items", items)]
    };
    catalog.add(format!("{META}PartialObjectMetadataList"), list(partial));
    for kind in kinds::all() {
        if let Some(at) = known.get(kind.definition) {
            catalog.add(list_name(kind.definition), list(*at));
        }
    }
    catalog
}

fn fields(line: &tags::Line, known: &HashMap<String, usize>) -> Vec<Field> {
    let schema = definitions().get(&format!("io.k8s.{}", line.definition));
    let property = |name: &str| schema?["properties"].get(name);
    let field = |fact: &tags::Fact| {
        Some(Field {
            name: fact.name.into(),
            outer: fact.outer,
            number: fact.number,
            zero_counts: fact.zero_counts,
            shape: shape(property(fact.name)?, known)?,
        })
    };
    line.fields.iter().filter_map(field).collect()
}

fn shape(schema: &Value, known: &HashMap<String, usize>) -> Option<Shape> {
    if let Some(definition) = reference(schema) {
        return special(definition)
            .or_else(|| schema_or(definition, known))
            .or_else(|| Some(Shape::Message(*known.get(definition)?)));
    }
    if let Some(values) = schema.get("additionalProperties") {
        return Some(Shape::Map(Box::new(shape(values, known)?)));
    }
    Some(match (schema["type"].as_str()?, schema["format"].as_str()) {
        ("string", Some("byte")) => Shape::Binary,
        ("string", _) => Shape::Text,
        ("boolean", _) => Shape::Truth,
        ("integer", _) => Shape::Integer,
        ("number", _) => Shape::Float,
        ("array", _) => Shape::List(Box::new(shape(&schema["items"], known)?)),
        _ => return None,
    })
}

/// The definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    let target = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    target.rsplit('/').next()
}

/// Messages with a JSON form of their own.
fn special(definition: &str) -> Option<Shape> {
    if definition.strip_prefix(EXTENSIONS) == Some("JSON") {
        return Some(Shape::Raw);
    }
    Some(match definition.strip_prefix("io.k8s.apimachinery.pkg.")? {
        "api.resource.Quantity" => Shape::Quantity,
        "util.intstr.IntOrString" => Shape::IntOrString,
        "apis.meta.v1.Time" => Shape::Time(false),
        "apis.meta.v1.MicroTime" => Shape::Time(true),
        "apis.meta.v1.FieldsV1" | "runtime.RawExtension" => Shape::Raw,
        _ => return None,
    })
}

/// What stands in schemas beside schemas.
fn schema_or(definition: &str, known: &HashMap<String, usize>) -> Option<Shape> {
    let instead = match definition.strip_prefix(EXTENSIONS)? {
        "JSONSchemaPropsOrBool" => Instead::Truth,
        "JSONSchemaPropsOrArray" => Instead::Schemas,
        "JSONSchemaPropsOrStringArray" => Instead::Texts,
        _ => return None,
    };
    Some(Shape::SchemaOr(*known.get(&format!("{EXTENSIONS}JSONSchemaProps"))?, instead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_a_shape() {
        for line in tags::lines() {
            let message = catalog().find(&format!("io.k8s.{}", line.definition)).expect(line.definition);
            for fact in &line.fields {
                assert!(message.by_name(fact.name).is_some(), "{} {}", line.definition, fact.name);
            }
        }
    }

    #[test]
    fn every_kind_and_its_list_is_known() {
        for kind in kinds::all() {
            assert!(named(&kind.api_version(), kind.kind).is_some(), "{}", kind.kind);
            assert!(named(&kind.api_version(), &format!("{}List", kind.kind)).is_some(), "{}", kind.kind);
        }
        assert!(named("v1", "Unknown").is_none() && named("example.com/v1", "Pod").is_none());
    }
}
