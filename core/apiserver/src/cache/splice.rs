//! Puts `metadata.resourceVersion` into an object's JSON without decoding it.

/// The object with its resourceVersion set. Bytes that hold no JSON object come back as they are;
/// an object without metadata gets one.
pub fn with_resource_version(json: &[u8], revision: Revision) -> Bytes;
