//! The `Accept` header: in which form, and as which object, an answer is wanted.
//! Pure.
//!
//! kubectl sends lists such as
//! `application/json;as=Table;v=v1;g=meta.k8s.io,application/json`: the first
//! entry that can be served wins. Protobuf and CBOR entries are passed over, so
//! a client that also accepts JSON gets it, and one that doesn't gets 406 and
//! asks again.

use crate::status::{ApiError, Result};

/// The media types of answers, as named in a 406.
pub const MEDIA_TYPES: &[&str] = &["application/json", "application/yaml"];

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// As what an object or list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Object,
    /// `meta.k8s.io` Table of this version (`v1`, `v1beta1`).
    Table(&'static str),
    /// PartialObjectMetadata, or its list.
    Metadata(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accept {
    pub format: Format,
    pub shape: Shape,
}

/// One entry of the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clause {
    /// Lower case, without parameters.
    pub media_type: String,
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// The header's entries in order; without a header one that takes anything.
pub fn clauses(header: Option<&str>) -> Vec<Clause> {
    let header = header.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("*/*");
    header.split(',').map(clause).collect()
}

fn clause(text: &str) -> Clause {
    let mut parts = text.split(';').map(str::trim);
    let mut clause =
        Clause { media_type: parts.next().unwrap_or_default().to_ascii_lowercase(), ..Clause::default() };
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key.trim() {
            "as" => clause.kind = value.into(),
            "g" => clause.group = value.into(),
            "v" => clause.version = value.into(),
            _ => {}
        }
    }
    clause
}

impl Clause {
    pub fn format(&self) -> Option<Format> {
        match self.media_type.as_str() {
            "application/json" | "application/*" | "*/*" => Some(Format::Json),
            "application/yaml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn shape(&self) -> Option<Shape> {
        let version = match self.version.as_str() {
            "v1beta1" => "v1beta1",
            _ => "v1",
        };
        match (self.kind.as_str(), self.group.as_str()) {
            ("", _) => Some(Shape::Object),
            ("Table", "meta.k8s.io") => Some(Shape::Table(version)),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io") => {
                Some(Shape::Metadata(version))
            }
            _ => None,
        }
    }
}

/// Chooses for an object, list or watch. `shapes` says whether Table and
/// PartialObjectMetadata may be given (get, list and watch).
pub fn choose(header: Option<&str>, shapes: bool) -> Result<Accept> {
    let fits = |clause: &Clause| {
        let (format, shape) = (clause.format()?, clause.shape()?);
        (shapes || shape == Shape::Object).then_some(Accept { format, shape })
    };
    clauses(header).iter().find_map(fits).ok_or_else(|| ApiError::not_acceptable(MEDIA_TYPES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, shapes: bool, expected: Option<(Format, Shape)>) {
        let found = choose(Some(header), shapes).ok().map(|accept| (accept.format, accept.shape));
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn the_first_entry_that_can_be_served_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(table, true, Some((Format::Json, Shape::Table("v1"))));
        check(table, false, Some((Format::Json, Shape::Object)));
        let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
                       application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        check(partial, true, Some((Format::Json, Shape::Metadata("v1"))));
        check("application/yaml", true, Some((Format::Yaml, Shape::Object)));
        check("*/*", true, Some((Format::Json, Shape::Object)));
        check(
            "application/vnd.kubernetes.protobuf,application/json",
            true,
            Some((Format::Json, Shape::Object)),
        );
    }

    #[test]
    fn protobuf_or_cbor_alone_is_not_acceptable() {
        check("application/vnd.kubernetes.protobuf", true, None);
        check("application/cbor", true, None);
        check("application/json;as=Unknown;g=x;v=v1", true, None);
        assert!(choose(None, true).is_ok());
    }
}
