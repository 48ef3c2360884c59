//! JSON merge patch (RFC 7396): objects merge, null removes, everything else replaces.

use serde_json::Value;

/// The document after the patch.
pub fn apply(document: &Value, patch: &Value) -> Value {
    let mut result = document.clone();
    json_patch::merge(&mut result, patch);
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::patch::samples;

    #[test]
    fn the_examples_of_the_rfc() {
        let table = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
            (json!(["a", "b"]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        ];
        for (document, patch, expected) in table {
            assert_eq!(apply(&document, &patch), expected, "{document} with {patch}");
        }
    }

    proptest! {
        #[test]
        fn a_patch_made_twice_is_a_patch_made_once(document in samples::object(), patch in samples::object()) {
            let once = apply(&document, &patch);
            prop_assert_eq!(apply(&once, &patch), once);
        }
    }
}
