//! What an expression is, as far as a schema tells.

use crate::{
    cel::{signatures::Kind, words::is_reserved},
    custom::Structural,
};

#[derive(Debug, Clone, Copy)]
pub enum Ty<'a> {
    /// A value of this schema; the flag says that it is a whole object.
    Of(&'a Structural, bool),
    /// The keys of a map, or the metadata of an object.
    Bool,
    Int,
    Double,
    String,
    Duration,
    Timestamp,
    /// The metadata of a whole object.
    Meta,
    /// Something else of this kind.
    Made(Kind),
    /// Anything.
    Dyn,
}

impl<'a> Ty<'a> {
    /// The type of a field by its escaped name.
    ///
    /// # Errors
    /// There is no such field, or the type has none.
    pub fn field(self, escaped: &str) -> Result<Self, String> {
        let undefined = || Err(format!("undefined field '{escaped}'"));
        match self {
            Self::Dyn | Self::Made(Kind::Map | Kind::Optional | Kind::Object) => Ok(Self::Dyn),
            Self::Meta if matches!(escaped, "name" | "generateName") => Ok(Self::String),
            Self::Meta => undefined(),
            Self::Of(schema, _) if schema.int_or_string => Ok(Self::Dyn),
            Self::Of(schema, root) => match (root || schema.embedded, escaped) {
                (true, "apiVersion" | "kind") => Ok(Self::String),
                (true, "metadata") => Ok(Self::Meta),
                _ => match field(schema, escaped) {
                    Some(field) => Ok(Self::of(field)),
                    None if schema.ty == "object" || schema.ty.is_empty() => undefined(),
                    None => Err(format!("type '{}' does not support field selection", schema.ty)),
                },
            },
            other => Err(format!("type '{}' does not support field selection", other.name())),
        }
    }

    /// The type of an element of a list, or of a value of a map.
    pub fn element(self) -> Self {
        match self {
            Self::Of(schema, _) => match (&schema.items, schema.additional.schema()) {
                (Some(item), _) => Self::of(item),
                (None, Some(value)) => Self::of(value),
                _ => Self::Dyn,
            },
            _ => Self::Dyn,
        }
    }

    /// What a loop over it sees: elements of a list, keys of a map.
    pub fn iterated(self) -> Self {
        match self {
            Self::Of(schema, _) if schema.ty == "object" => Self::String,
            other => other.element(),
        }
    }

    pub fn of(schema: &'a Structural) -> Self {
        match (schema.ty.as_str(), schema.format.as_str()) {
            _ if schema.int_or_string => Self::Dyn,
            ("boolean", _) => Self::Bool,
            ("integer", _) => Self::Int,
            ("number", _) => Self::Double,
            ("string", "datetime" | "date") => Self::Timestamp,
            ("string", "duration") => Self::Duration,
            ("string", "byte") => Self::Dyn,
            ("", _) => Self::Dyn,
            _ => Self::Of(schema, false),
        }
    }

    /// What signatures tell it by.
    pub fn kind(self) -> Kind {
        match self {
            Self::Of(schema, whole) => match schema.ty.as_str() {
                "string" => Kind::String,
                "array" => Kind::List,
                "object" if schema.additional.schema().is_some() => Kind::Map,
                "object" if whole || !schema.properties.is_empty() => Kind::Object,
                _ => Kind::Dyn,
            },
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Double => Kind::Double,
            Self::String => Kind::String,
            Self::Duration => Kind::Duration,
            Self::Timestamp => Kind::Timestamp,
            Self::Meta => Kind::Object,
            Self::Made(kind) => kind,
            Self::Dyn => Kind::Dyn,
        }
    }

    /// The type of what a function makes.
    pub fn made(kind: Kind) -> Self {
        match kind {
            Kind::Dyn => Self::Dyn,
            Kind::Bool => Self::Bool,
            Kind::Int => Self::Int,
            Kind::Double => Self::Double,
            Kind::String => Self::String,
            Kind::Duration => Self::Duration,
            Kind::Timestamp => Self::Timestamp,
            kind => Self::Made(kind),
        }
    }

    /// Whether a loop that begins with it gathers.
    pub fn gathers(self) -> bool {
        matches!(self, Self::Dyn | Self::Made(Kind::List | Kind::Map))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Of(schema, _) => match schema.ty.as_str() {
                "string" => "string",
                "array" => "list",
                "object" if schema.additional.schema().is_some() => "map",
                _ => "object",
            },
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Duration => "google.protobuf.Duration",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Meta => "object",
            Self::Made(kind) => kind.name(),
            Self::Dyn => "dyn",
        }
    }
}

/// A field of a schema by its escaped name; keys of maps are not escaped.
fn field<'a>(schema: &'a Structural, escaped: &str) -> Option<&'a Structural> {
    let property = schema.properties.get(escaped).filter(|_| escape(escaped) == escaped);
    let by_escape = || schema.properties.iter().find(|(name, _)| escape(name) == escaped).map(|(_, s)| s);
    property.or_else(by_escape).or_else(|| schema.additional.schema())
}

/// A property's name as expressions write it: what is no identifier of the language is spelled out.
pub fn escape(name: &str) -> String {
    if is_reserved(name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}
