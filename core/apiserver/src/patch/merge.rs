//! JSON merge patch (RFC 7396).

use serde_json::Value;

/// The document after the patch.
pub fn apply(document: &Value, patch: &Value) -> Value {
    let mut result = document.clone();
    json_patch::merge(&mut result, patch);
    result
}
