//! YAML in and out, in one place: the crate behind it can be changed here.
//!
//! The reader's budget bounds depth, aliases and nodes, so that a document of a
//! few kilobytes can't grow into gigabytes.

use serde_json::Value;

use crate::status::{ApiError, Result};

/// One document as a JSON value.
pub fn read(text: &str) -> Result<Value> {
    serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| ApiError::bad_request(format!("error converting YAML to JSON: {error}")))
}

/// YAML 1.2: `y` and `on` are names, not truth values. A name may stand twice, as in JSON.
pub fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
    }
}

pub fn write(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).map_err(ApiError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_keep_their_types() {
        let value = read("a: 1\nb: \"1\"\nc: true\nd: [x, 2.5]\ne: null\n").expect("good YAML");
        assert_eq!(value, serde_json::json!({"a": 1, "b": "1", "c": true, "d": ["x", 2.5], "e": null}));
        assert_eq!(read(&write(&value).expect("writes")).expect("reads"), value);
    }

    #[test]
    fn abuse_16_bombs_and_deep_nesting_are_refused() {
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for n in 1..20 {
            let before = n - 1;
            let nine = vec![format!("*a{before}"); 9].join(",");
            bomb.push_str(&format!("a{n}: &a{n} [{nine}]\n"));
        }
        assert_eq!(read(&bomb).expect_err("a bomb").code.as_u16(), 400);
        assert!(read(&"[".repeat(10_000)).is_err());
    }
}
