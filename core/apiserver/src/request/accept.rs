//! The `Accept` header: in which form, and as which object, an answer is wanted.
//! Pure.
//!
//! kubectl sends lists such as
//! `application/json;as=Table;v=v1;g=meta.k8s.io,application/json`: the first
//! entry that can be served wins, by `q`, and patterns behind what is named.
//! What can't be served (CBOR, a Table in protobuf) is passed over, so a client
//! that also accepts JSON gets it, and one that doesn't gets 406 and asks again.

use http::{HeaderMap, header};

use crate::status::{ApiError, Result};

/// The media types of answers, as named in a 406.
pub const MEDIA_TYPES: &[&str] = &["application/json", "application/yaml", PROTOBUF];
/// The same for a watch.
pub const STREAM_TYPES: &[&str] = &["application/json;stream=watch", PROTOBUF_STREAM];

pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Protobuf,
}

impl Format {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => PROTOBUF,
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

/// What there is to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Table and PartialObjectMetadata: for get, list and watch.
    pub shapes: bool,
    /// Whether the objects have a form in protobuf. Their metadata always has.
    pub protobuf: bool,
}

/// One entry of the header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clause {
    /// Lower case, without parameters.
    pub media_type: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    /// 0 is not acceptable.
    quality: f32,
}

/// The header's entries, best first; without a header one that takes anything.
pub fn clauses(header: Option<&str>) -> Vec<Clause> {
    let header = header.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("*/*");
    let mut clauses: Vec<Clause> =
        header.split(',').map(clause).filter(|clause| clause.quality > 0.0).collect();
    let wildcards = |clause: &Clause| clause.media_type.matches('*').count();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(wildcards(a).cmp(&wildcards(b))));
    clauses
}

fn clause(text: &str) -> Clause {
    let mut parts = text.split(';').map(str::trim);
    let mut clause = Clause {
        media_type: parts.next().unwrap_or_default().to_ascii_lowercase(),
        quality: 1.0,
        ..Clause::default()
    };
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key.trim() {
            "as" => clause.kind = value.into(),
            "g" => clause.group = value.into(),
            "v" => clause.version = value.into(),
            "q" => clause.quality = value.trim().parse().unwrap_or(1.0),
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
            PROTOBUF => Some(Format::Protobuf),
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

/// Chooses for an object, list or watch.
pub fn choose(header: Option<&str>, offer: Offer) -> Result<Accept> {
    let types = if offer.protobuf { MEDIA_TYPES } else { &MEDIA_TYPES[..2] };
    let fits = |clause: &Clause| {
        let (format, shape) = (clause.format()?, clause.shape()?);
        let written = match (format, shape) {
            (Format::Protobuf, Shape::Object) => offer.protobuf,
            (Format::Protobuf, Shape::Table(_)) => false,
            _ => true,
        };
        let offered = written && (offer.shapes || shape == Shape::Object);
        offered.then_some(Accept { format, shape })
    };
    clauses(header).iter().find_map(fits).ok_or_else(|| ApiError::not_acceptable(types))
}

/// How an error or a document of discovery is written; JSON if nothing that is accepted can be.
pub fn format(header: Option<&str>) -> Format {
    choose(header, Offer { shapes: false, protobuf: true }).map_or(Format::Json, |accept| accept.format)
}

/// The header's text.
pub fn header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, offer: Offer, expected: Option<(Format, Shape)>) {
        let found = choose(Some(header), offer).ok().map(|accept| (accept.format, accept.shape));
        assert_eq!(found, expected, "{header}");
    }

    const READS: Offer = Offer { shapes: true, protobuf: true };
    const WRITES: Offer = Offer { shapes: false, protobuf: true };
    const CUSTOM: Offer = Offer { shapes: true, protobuf: false };

    #[test]
    fn the_first_entry_that_can_be_served_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        check(table, READS, Some((Format::Json, Shape::Table("v1"))));
        check(table, WRITES, Some((Format::Json, Shape::Object)));
        check("application/yaml", READS, Some((Format::Yaml, Shape::Object)));
        check("*/*", READS, Some((Format::Json, Shape::Object)));
        assert!(choose(None, READS).is_ok());
    }

    #[test]
    fn protobuf_is_given_where_there_is_one() {
        let both = "application/vnd.kubernetes.protobuf,application/json";
        check(both, READS, Some((Format::Protobuf, Shape::Object)));
        check(both, CUSTOM, Some((Format::Json, Shape::Object)));
        check(
            "application/vnd.kubernetes.protobuf;stream=watch",
            READS,
            Some((Format::Protobuf, Shape::Object)),
        );
        check("application/vnd.kubernetes.protobuf", CUSTOM, None);
        let table = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,\
                     application/json;as=Table;g=meta.k8s.io;v=v1";
        check(table, READS, Some((Format::Json, Shape::Table("v1"))));
        let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
                       application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        for offer in [READS, CUSTOM] {
            check(partial, offer, Some((Format::Protobuf, Shape::Metadata("v1"))));
        }
    }

    #[test]
    fn quality_goes_before_order_and_names_before_patterns() {
        let later = "application/json;q=0.5,application/vnd.kubernetes.protobuf;q=0.9";
        check(later, READS, Some((Format::Protobuf, Shape::Object)));
        check("*/*,application/yaml", READS, Some((Format::Yaml, Shape::Object)));
        check("application/vnd.kubernetes.protobuf, */*", CUSTOM, Some((Format::Json, Shape::Object)));
        check("application/yaml;q=0,application/*;q=0.1", READS, Some((Format::Json, Shape::Object)));
        check("application/json;q=0", READS, None);
    }

    #[test]
    fn what_is_not_served_is_not_acceptable() {
        check("application/cbor", READS, None);
        check("application/cbor,application/json", READS, Some((Format::Json, Shape::Object)));
        check("application/json;as=Unknown;g=x;v=v1", READS, None);
        assert_eq!(format(Some("application/cbor")), Format::Json);
    }
}
