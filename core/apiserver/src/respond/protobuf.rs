//! Cached objects as messages of the served version: the stored version is
//! transcoded once for all readers, another one anew for each.

use bytes::Bytes;

use crate::{
    cache::CachedObject,
    protobuf,
    registry::Resource,
    status::{ApiError, Result},
};

/// The object's message, without an envelope.
pub fn message(resource: &Resource, object: &CachedObject) -> Result<Bytes> {
    if resource.served_as_stored() {
        return object.protobuf(|json| protobuf::message(resource.kind, json));
    }
    // Only built-in kinds have messages, and those are converted here and now.
    let stored = serde_json::from_slice(&object.json).map_err(ApiError::internal)?;
    let served = serde_json::to_vec(&resource.served_from(stored)).map_err(ApiError::internal)?;
    Ok(protobuf::message(resource.kind, &served)?.into())
}

/// The object in its envelope.
pub fn enveloped(resource: &Resource, object: &CachedObject) -> Result<Vec<u8>> {
    let message = message(resource, object)?;
    Ok(protobuf::wrap(&resource.kind.api_version(), resource.kind.kind, &message))
}
