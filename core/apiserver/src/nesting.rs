//! How deep a value nests. The reader of JSON stops at 128 levels, so what is taken
//! from elsewhere is held to that, and what is stored to somewhat less. Pure.

use serde_json::Value;

/// As deep as JSON is read.
pub const READABLE: usize = 127;

/// As deep as an object may be stored, its managedFields included: around it are
/// lists, events and reviews, which are read again, too.
pub const STORED: usize = 120;

/// Whether no value is in more than so many objects and lists.
pub fn within(value: &Value, levels: usize) -> bool {
    let fits = |inner: &Value| within(inner, levels - 1);
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(fits),
        Value::Object(members) => levels > 0 && members.values().all(fits),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_readable_is_what_the_reader_takes() {
        for levels in [READABLE, READABLE + 1] {
            let text = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
            let value = (0..levels).fold(Value::from(1), |inner, _| Value::Array(vec![inner]));
            assert_eq!(within(&value, READABLE), serde_json::from_str::<Value>(&text).is_ok(), "{levels}");
        }
        let mixed = serde_json::json!({"a": [1, {"b": 2}], "c": 3});
        assert!(within(&mixed, 3) && !within(&mixed, 2) && within(&3.into(), 0));
    }
}
