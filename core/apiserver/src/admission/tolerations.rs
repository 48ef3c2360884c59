//! Two lists of tolerations as one, without those that others include. Pure.

use serde_json::Value;

use super::items;

/// The tolerations of both lists; of two where one tolerates all that the other does, the wider one.
pub fn merge(first: &Value, second: &Value) -> Vec<Value> {
    let all: Vec<&Value> = items(first).chain(items(second)).collect();
    let mut merged: Vec<&Value> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let covered = merged.iter().any(|other| includes(other, toleration));
        let wider_follows =
            all[index + 1..].iter().any(|other| other != toleration && includes(other, toleration));
        if !covered && !wider_follows {
            merged.push(toleration);
        }
    }
    merged.into_iter().cloned().collect()
}

fn includes(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let text = |toleration: &Value, key: &str| toleration[key].as_str().unwrap_or_default().to_owned();
    let operator = text(wide, "operator");
    let any_key = text(wide, "key").is_empty() && operator == "Exists";
    if text(wide, "key") != text(narrow, "key") && !any_key {
        return false;
    }
    let effect = text(wide, "effect");
    if !effect.is_empty() && effect != text(narrow, "effect") {
        return false;
    }
    if effect == "NoExecute"
        && let Some(seconds) = wide["tolerationSeconds"].as_i64()
        && narrow["tolerationSeconds"].as_i64().is_none_or(|narrow| narrow > seconds)
    {
        return false;
    }
    match operator.as_str() {
        "Exists" => true,
        "" | "Equal" => {
            matches!(text(narrow, "operator").as_str(), "" | "Equal")
                && text(narrow, "value") == text(wide, "value")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_wider_toleration_stays() {
        let all = json!({ "operator": "Exists" });
        let key = json!({ "key": "a", "operator": "Exists" });
        let value = json!({ "key": "a", "operator": "Equal", "value": "b" });
        let short =
            json!({ "key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 });
        let long = json!({ "key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9 });
        let other = json!({ "key": "b", "operator": "Exists" });
        let table = [
            (json!([value]), json!([key]), json!([key])),
            (json!([key]), json!([value]), json!([key])),
            (json!([key]), json!([key]), json!([key])),
            (json!([value, other]), json!([all]), json!([all])),
            (json!([short]), json!([long]), json!([long])),
            (json!([value]), json!([other]), json!([value, other])),
            (Value::Null, json!([other]), json!([other])),
        ];
        for (first, second, expected) in table {
            assert_eq!(json!(merge(&first, &second)), expected, "{first} {second}");
        }
    }
}
