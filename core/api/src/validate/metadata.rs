//! The metadata that every object has: `metadata.name`, labels, annotations, owners, finalizers.

use serde_json::Value;

use super::{Errors, labels, names, unchanged};
use crate::{
    access::{at, entries, flag, has, list, text},
    field::FieldError,
    kind::Kind,
};

const ANNOTATIONS_LIMIT: usize = 256 * 1024;

pub fn validate(object: &Value, kind: &Kind) -> Errors {
    let mut errors = Vec::new();
    name(object, kind, &mut errors);
    namespace(object, kind, &mut errors);
    labels::labels(at(object, "/metadata/labels"), "metadata.labels", &mut errors);
    annotations(at(object, "/metadata").unwrap_or(&Value::Null), "metadata", &mut errors);
    owners(object, &mut errors);
    for finalizer in list(object, "/metadata/finalizers") {
        labels::key_of(finalizer.as_str().unwrap_or_default(), "metadata.finalizers", &mut errors);
    }
    errors
}

fn name(object: &Value, kind: &Kind, errors: &mut Errors) {
    let name = text(object, "/metadata/name");
    if name.is_empty() && !kind.is_stored() {
        return;
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
        return;
    }
    let wrong = (kind.validate_name)(name);
    errors.extend(wrong.into_iter().map(|w| FieldError::invalid("metadata.name", &name.into(), w)));
}

fn namespace(object: &Value, kind: &Kind, errors: &mut Errors) {
    let namespace = text(object, "/metadata/namespace");
    if !kind.is_namespaced() {
        if !namespace.is_empty() {
            errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
        }
        return;
    }
    if namespace.is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    } else {
        let wrong = names::dns_label(namespace);
        errors.extend(
            wrong.into_iter().map(|w| FieldError::invalid("metadata.namespace", &namespace.into(), w)),
        );
    }
}

/// Annotations of the metadata at `path`: keys in lower case have labels' form, all together are bounded.
pub fn annotations(metadata: &Value, path: &str, errors: &mut Errors) {
    let path = format!("{path}.annotations");
    let mut size = 0;
    for (key, value) in entries(metadata, "/annotations") {
        let wrong = names::qualified(&key.to_lowercase());
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&*path, &key.as_str().into(), w)));
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        errors.push(FieldError::too_long(path, ANNOTATIONS_LIMIT));
    }
}

fn owners(object: &Value, errors: &mut Errors) {
    let owners = list(object, "/metadata/ownerReferences");
    for (index, owner) in owners.iter().enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{key}")).is_empty() {
                let field = format!("metadata.ownerReferences[{index}].{key}");
                errors.push(FieldError::invalid(field, &"".into(), format!("{key} must not be empty")));
            }
        }
    }
    if owners.iter().filter(|o| flag(o, "/controller")).count() > 1 {
        let detail = "Only one reference can have Controller set to true";
        errors.push(FieldError::invalid("metadata.ownerReferences", &owners.into(), detail));
    }
}

/// What of the metadata may never change, and what not while the object is being deleted.
pub fn validate_update(new: &Value, old: &Value) -> Errors {
    let fixed = ["/metadata/name", "/metadata/namespace", "/metadata/uid", "/metadata/creationTimestamp"];
    let mut errors = unchanged(new, old, &fixed);
    if has(old, "/metadata/deletionTimestamp") {
        let before = list(old, "/metadata/finalizers");
        let added: Vec<&Value> =
            list(new, "/metadata/finalizers").iter().filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            let detail = "no new finalizers can be added if the object is being deleted";
            errors.push(FieldError::forbidden(
                "metadata.finalizers",
                &format!("{detail}, found new finalizers {added:?}"),
            ));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(metadata: Value) -> Vec<String> {
        const KIND: Kind = Kind::namespaced("", "v1", "ConfigMap", "configmaps", "configmap", "");
        validate(&json!({ "metadata": metadata }), &KIND).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn metadata_is_named_where_it_is_wrong() {
        assert!(shown(json!({"name": "a", "namespace": "b", "labels": {"a/b": "c"}})).is_empty());
        let table = [
            (json!({"namespace": "b"}), "metadata.name: Required value: name or generateName is required"),
            (
                json!({"name": "A", "namespace": "b"}),
                r#"metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain"#,
            ),
            (json!({"name": "a"}), "metadata.namespace: Required value"),
            (
                json!({"name": "a", "namespace": "b", "labels": {"a": "-"}}),
                r#"metadata.labels: Invalid value: "-": a valid label"#,
            ),
            (
                json!({"name": "a", "namespace": "b", "annotations": {"a b": ""}}),
                "metadata.annotations: Invalid value",
            ),
            (
                json!({"name": "a", "namespace": "b", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x"}]}),
                "metadata.ownerReferences[0].uid: Invalid value",
            ),
        ];
        for (metadata, message) in table {
            let errors = shown(metadata);
            assert!(errors.len() == 1 && errors[0].starts_with(message), "{errors:?}");
        }
    }

    #[test]
    fn names_are_fixed_and_no_finalizer_comes_late() {
        let old = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
        let new = json!({"metadata": {"name": "b", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/c"]}});
        let errors: Vec<String> = validate_update(&new, &old).iter().map(ToString::to_string).collect();
        assert_eq!(errors[0], r#"metadata.name: Invalid value: "b": field is immutable"#);
        assert!(errors[1].starts_with("metadata.finalizers: Forbidden: no new finalizers"));
    }
}
