//! JSON patch (RFC 6902), with a bound on the size of the result.

use serde_json::Value;

use super::PatchError;

/// The document after the patch; refused when it would grow beyond `limit` bytes of JSON.
pub fn apply(document: &Value, patch: &Value, limit: usize) -> Result<Value, PatchError> {
    let _ = (document, patch, limit);
    Err(PatchError::Malformed("not built yet".into()))
}
