//! Objects in Kubernetes' protobuf encoding, read into JSON values.
//!
//! kubectl's `create` commands send their objects this way and don't ask again in
//! JSON (answers they take in JSON). There are no generated types: the shape of a
//! message is its kind's OpenAPI schema, and `tags.txt` adds the one fact that the
//! schema lacks, the field numbers. `volume=2.8` means field 8 of the message in
//! field 2, which Go inlines in JSON.
//!
//! ```text
//! "k8s\0" | Unknown { typeMeta { apiVersion, kind }, raw } -> raw by the schema of the kind
//! ```

mod message;
mod table;
mod wire;

use serde_json::Value;
use tiphys_api::kinds;

use crate::status::{ApiError, Result};

const MAGIC: &[u8] = b"k8s\0";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// The object with its apiVersion and kind. A kind that isn't known in this
/// encoding is a 415, so that the client may turn to JSON.
pub fn decode(body: &[u8]) -> Result<Value> {
    let malformed =
        |error: Malformed| ApiError::bad_request(format!("the protobuf body can't be read: {error}"));
    let unknown = body.strip_prefix(MAGIC).ok_or_else(|| {
        ApiError::bad_request("the protobuf body doesn't begin with the prefix of Kubernetes")
    })?;
    let envelope = envelope(unknown).map_err(malformed)?;
    let definition = definition(&envelope.api_version, &envelope.kind)
        .filter(|definition| table::of(definition).is_some())
        .ok_or_else(|| ApiError::unsupported_media_type(crate::request::accept::MEDIA_TYPES))?;
    let mut object = message::read(&definition, envelope.raw, 0).map_err(malformed)?;
    object["apiVersion"] = envelope.api_version.into();
    object["kind"] = envelope.kind.into();
    Ok(object)
}

#[derive(Default)]
struct Envelope<'a> {
    api_version: String,
    kind: String,
    raw: &'a [u8],
}

fn envelope(bytes: &[u8]) -> std::result::Result<Envelope<'_>, Malformed> {
    let mut envelope = Envelope::default();
    for field in wire::fields(bytes) {
        let (number, payload) = field?;
        match number {
            1 => {
                for field in wire::fields(payload.bytes()?) {
                    match field? {
                        (1, text) => envelope.api_version = text.text()?.into(),
                        (2, text) => envelope.kind = text.text()?.into(),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = payload.bytes()?,
            _ => {}
        }
    }
    Ok(envelope)
}

/// The schema's name of a kind. Options go by the group of the object they are about.
fn definition(api_version: &str, kind: &str) -> Option<String> {
    if let Some(found) = kinds::by_kind(api_version, kind) {
        return Some(found.definition.to_owned());
    }
    Some(match (api_version, kind) {
        (_, "DeleteOptions") => format!("{META}DeleteOptions"),
        ("autoscaling/v1", "Scale") => "io.k8s.api.autoscaling.v1.Scale".into(),
        ("policy/v1", "Eviction") => "io.k8s.api.policy.v1.Eviction".into(),
        ("authentication.k8s.io/v1", "TokenRequest") => "io.k8s.api.authentication.v1.TokenRequest".into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
