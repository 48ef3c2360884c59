//! The order of a list that two sides wrote.

use serde_json::Value;

/// Elements that only the server has stay where they were among those that both know; where the two
/// orders say nothing, the ordered ones come first.
///
/// `ordered` have the wanted order, `others` their old one; `place` gives an
/// element's place in the old list.
pub fn interleave(
    ordered: Vec<Value>,
    others: Vec<Value>,
    place: impl Fn(&Value) -> Option<usize>,
) -> Vec<Value> {
    let mut merged = Vec::with_capacity(ordered.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in ordered {
        while let Some(other) = others.next_if(|other| match (place(other), place(&item)) {
            (Some(other), Some(item)) => other < item,
            _ => false,
        }) {
            merged.push(other);
        }
        merged.push(item);
    }
    merged.extend(others);
    merged
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_the_server_has_keeps_its_place() {
        let old = json!(["a", "b", "c", "d"]);
        let place = |v: &Value| old.as_array()?.iter().position(|o| o == v);
        let table = [
            (json!(["a", "c"]), json!(["b", "d"]), json!(["a", "b", "c", "d"])),
            (json!(["c", "a"]), json!(["b", "d"]), json!(["b", "c", "a", "d"])),
            (json!(["x", "a"]), json!(["b"]), json!(["x", "a", "b"])),
            (json!([]), json!(["b"]), json!(["b"])),
        ];
        for (ordered, others, expected) in table {
            let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
            assert_eq!(interleave(list(&ordered), list(&others), place), list(&expected));
        }
    }
}
