//! Objects in Kubernetes' protobuf encoding, read into and written from JSON.
//!
//! kubectl's `create` commands and components on client-go talk this way. There
//! are no generated types: the shape of a message is its kind's OpenAPI schema,
//! and the [`tags`](tiphys_api::schema::tags) of Go add what the schema lacks, the field numbers and which zeros
//! count. JSON stays the only stored form; what is written here is transcoded
//! from its text without a value in between.
//!
//! ```text
//! "k8s\0" | Unknown { typeMeta { apiVersion, kind }, raw }
//!                                   raw -> read  -> value          a body
//!            JSON text or value -> write -> raw  -> envelope       an answer, a list, a frame
//! ```

mod catalog;
mod envelope;
mod read;
pub mod wire;
mod write;

use serde_json::Value;
use tiphys_api::kind::Kind;

pub use self::envelope::{ListHead, frame, list, wrap};
use crate::{
    nesting,
    request::accept::MEDIA_TYPES,
    status::{ApiError, Result},
};

const MAGIC: &[u8] = b"k8s\0";

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// Whether objects of a kind have a form in this encoding.
pub fn serves(kind: &Kind) -> bool {
    catalog::of_kind(kind).is_some()
}

/// The object with its apiVersion and kind. A kind that isn't known in this
/// encoding is a 415, so that the client may turn to JSON.
pub fn decode(body: &[u8]) -> Result<Value> {
    let malformed =
        |error: Malformed| ApiError::bad_request(format!("the protobuf body can't be read: {error}"));
    let unknown = body.strip_prefix(MAGIC).ok_or_else(|| {
        ApiError::bad_request("the protobuf body doesn't begin with the prefix of Kubernetes")
    })?;
    let envelope = envelope::unwrap(unknown).map_err(malformed)?;
    let message = catalog::named(&envelope.api_version, &envelope.kind)
        .ok_or_else(|| ApiError::unsupported_media_type(MEDIA_TYPES))?;
    let mut object = read::read(message, envelope.raw).map_err(malformed)?;
    // JSON in a message is bounded by its reader, and the message by ours; not both together.
    if !nesting::within(&object, nesting::READABLE) {
        return Err(malformed(Malformed("the object nests too deep")));
    }
    object["apiVersion"] = envelope.api_version.into();
    object["kind"] = envelope.kind.into();
    Ok(object)
}

/// The metadata of an object, without reading the rest of it; None where it has none.
pub fn metadata(body: &[u8]) -> Option<Value> {
    let envelope = envelope::unwrap(body.strip_prefix(MAGIC)?).ok()?;
    let field = catalog::named(&envelope.api_version, &envelope.kind)?.by_name("metadata")?;
    let catalog::Shape::Message(message) = field.shape else { return None };
    let mut fields = wire::fields(envelope.raw).filter_map(std::result::Result::ok);
    let (_, payload) = fields.find(|(number, _)| *number == field.number)?;
    read::read(catalog::catalog().message(message), payload.bytes().ok()?).ok()
}

/// An object, list or Status in its envelope, as it names itself.
pub fn encode(object: &Value) -> Result<Vec<u8>> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let message =
        catalog::named(api_version, kind).ok_or_else(|| ApiError::not_acceptable(&MEDIA_TYPES[..2]))?;
    Ok(wrap(api_version, kind, &write::from_value(message, object).map_err(ApiError::internal)?))
}

/// The message of an object of a kind out of its JSON, without an envelope.
pub fn message(kind: &Kind, json: &[u8]) -> Result<Vec<u8>> {
    let message = catalog::of_kind(kind).ok_or_else(|| ApiError::not_acceptable(&MEDIA_TYPES[..2]))?;
    write::from_json(message, json).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests;
