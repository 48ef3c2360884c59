//! Names of new objects: which are allowed, and how one is made up from
//! `generateName`. Pure, but for chance.

use rand::Rng;
use serde_json::Value;
use tiphys_api::field::{FieldError, Reason};

/// Without vowels and look-alikes, so that no word comes out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The longest prefix, so that five characters fit behind it into a label.
const LONGEST_PREFIX: usize = 58;

/// A name from a prefix: five characters of chance behind it.
pub fn generate(prefix: &str) -> String {
    let mut rng = rand::rng();
    let prefix: String = prefix.chars().take(LONGEST_PREFIX).collect();
    let suffix = (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    prefix.chars().chain(suffix).collect()
}

/// The error of an object with neither name nor generateName.
pub fn missing() -> FieldError {
    FieldError {
        reason: Reason::Required,
        field: "metadata.name".into(),
        message: "Required value: name or generateName is required".into(),
    }
}

/// What no name of any kind may be: it has to be one segment of a path.
pub fn check(object: &Value) -> Vec<FieldError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let why = match name {
        "." | ".." => format!("may not be '{name}'"),
        name if name.contains('/') => "may not contain '/'".into(),
        name if name.contains('%') => "may not contain '%'".into(),
        _ => return Vec::new(),
    };
    vec![FieldError {
        reason: Reason::Invalid,
        field: "metadata.name".into(),
        message: format!("Invalid value: {name:?}: {why}"),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate(&"a".repeat(80));
        assert_eq!(name.len(), 63);
        assert_ne!(generate("web-"), generate("web-"));
    }

    #[test]
    fn abuse_09_names_that_climb_are_invalid() {
        for name in ["..", ".", "a/b", "a%2fb"] {
            assert_eq!(check(&json!({"metadata": {"name": name}})).len(), 1, "{name}");
        }
        assert!(check(&json!({"metadata": {"name": "system:node"}})).is_empty());
    }
}
