//! ApplyConfiguration: an object that an expression makes, merged as server-side apply merges. Pure.
//!
//! Nothing is owned by it: what the policy does not say stays, whoever wrote it. Lists and
//! objects that are written as a whole are refused, as they would silently lose what the policy does
//! not know.

use serde_json::Value;
use tiphys_api::schema::{self, ListType, Schema};

use crate::{
    cel::{TYPE_MARK, to_json},
    patch::fields::{merge, undeclared},
};
use kube_cel::cel::Value as Cel;

/// The object after the configuration was applied.
///
/// # Errors
/// The configuration does not fit the object's schema.
pub fn apply(object: &Value, made: &Cel, schema: &Schema) -> Result<Value, String> {
    let made = to_json(made).filter(|made| made[TYPE_MARK] == "Object").ok_or("unsupported return type")?;
    let mut config = unmarked(made).map_err(|why| format!("type mismatch: {why}"))?;
    for key in ["apiVersion", "kind"] {
        config[key] = object[key].clone();
    }
    let told = |why: String| format!("error applying patch: {why}");
    let undeclared = schema::check(schema, &mut config)
        .map_err(|why| told(format!("failed to convert patch object to typed object: {why}")))?;
    if !undeclared.is_empty() {
        let why = undeclared::message(&undeclared, &config, schema);
        return Err(told(format!("failed to convert patch object to typed object: {why}")));
    }
    let mut whole = Vec::new();
    wholes(&config, schema, "", &mut whole);
    if !whole.is_empty() {
        let paths = whole.join(", ");
        return Err(told(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}"
        )));
    }
    merge::check_keys(&config, schema, "")
        .map_err(|why| told(format!("failed to convert patch object to typed object: {why}")))?;
    Ok(merge::merge(object, &config, schema))
}

/// Places that are written as a whole.
fn wholes(value: &Value, schema: &Schema, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if schema.atomic {
                found.push(path.to_owned());
            }
            for (name, value) in fields {
                let field = schema.field(name).unwrap_or_else(|| Schema::any());
                wholes(value, field, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(elements) => {
            if schema.list == ListType::Atomic {
                found.push(path.to_owned());
            }
            let item = schema.items.as_deref().unwrap_or_else(|| Schema::any());
            for (index, value) in elements.iter().enumerate() {
                wholes(value, item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

/// An object as plain JSON: the types it names must be those of its places.
///
/// # Errors
/// `Object.spec.a` stands where `Object.spec.b` belongs.
pub fn unmarked(made: Value) -> Result<Value, String> {
    let root = made[TYPE_MARK].as_str().unwrap_or_default().to_owned();
    strip(made, &root)
}

fn strip(value: Value, place: &str) -> Result<Value, String> {
    Ok(match value {
        Value::Object(mut fields) => {
            if let Some(mark) = fields.remove(TYPE_MARK)
                && mark != place
            {
                return Err(format!(
                    "unexpected type name {mark}, expected {place:?}, which matches field name path from root Object type"
                ));
            }
            let entry = |(name, value): (String, Value)| {
                let value = strip(value, &format!("{place}.{name}"))?;
                Ok::<_, String>((name, value))
            };
            Value::Object(fields.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        Value::Array(items) => {
            items.into_iter().map(|item| strip(item, place)).collect::<Result<Vec<_>, _>>()?.into()
        }
        plain => plain,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cel::from_json;

    fn applied(spec: Value) -> Result<Value, String> {
        let schema = schema::of("io.k8s.api.core.v1.Pod").unwrap();
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "labels": { "a": "b" } },
                          "spec": { "containers": [{ "name": "c", "image": "i" }] } });
        let mut made = json!({ "@type": "Object" });
        made.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        apply(&pod, &from_json(&made), &schema)
    }

    #[test]
    fn what_is_said_is_merged() {
        let merged = applied(json!({
            "metadata": { "@type": "Object.metadata", "labels": { "c": "d" } },
            "spec": { "@type": "Object.spec", "containers": [
                { "@type": "Object.spec.containers", "name": "c", "imagePullPolicy": "Always" },
                { "@type": "Object.spec.containers", "name": "e" },
            ] },
        }));
        assert_eq!(
            merged.unwrap(),
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "labels": { "a": "b", "c": "d" } },
                "spec": { "containers": [{ "name": "c", "image": "i", "imagePullPolicy": "Always" }, { "name": "e" }] },
            })
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let table = [
            (
                json!({ "spec": { "@type": "Object.status" } }),
                "type mismatch: unexpected type name \"Object.status\", expected \"Object.spec\", which matches field name path from root Object type",
            ),
            (
                json!({ "spec": { "nonsense": 1 } }),
                "error applying patch: failed to convert patch object to typed object: .spec.nonsense: field not declared in schema",
            ),
            (
                json!({ "spec": { "containers": [{ "name": "c", "args": ["a"] }] } }),
                "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(applied(spec), Err(expected.to_owned()));
        }
    }
}
