//! What is wrong with a definition, from its group to its versions.

use serde_json::Value;

use super::{conversion, names, version, versions};
use crate::{
    access::{condition, flag, list, text},
    field::FieldError,
    validate::{Errors, names::dns_subdomain, one_of, unchanged},
};

const APPROVED: &str = "api-approved.kubernetes.io";

pub fn validate(definition: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = definition.get("spec").unwrap_or(&Value::Null);
    let expected = format!("{}.{}", text(spec, "/names/plural"), text(spec, "/group"));
    let name = text(definition, "/metadata/name");
    if name != expected {
        let detail = r#"must be spec.names.plural+"."+spec.group"#;
        errors.push(FieldError::invalid("metadata.name", &name.into(), detail));
    }
    group(spec, &mut errors);
    one_of(spec, "scope", "spec", &["Cluster", "Namespaced"], &mut errors);
    versions::validate(spec, &mut errors);
    for key in ["plural", "singular", "kind", "listKind"] {
        if text(spec, &format!("/names/{key}")).is_empty() {
            errors.push(FieldError::required(format!("spec.names.{key}"), ""));
        }
    }
    names::validate(spec.get("names").unwrap_or(&Value::Null), "spec.names", &mut errors);
    conversion::validate(spec.get("conversion").unwrap_or(&Value::Null), &mut errors);
    if flag(spec, "/preserveUnknownFields") {
        let detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                      spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", &true.into(), detail));
    }
    let accepted = definition.pointer("/status/acceptedNames").unwrap_or(&Value::Null);
    names::validate(accepted, "status.acceptedNames", &mut errors);
    stored_versions(definition, &mut errors);
    approval(definition, spec, &mut errors);
    errors
}

pub fn validate_update(new: &Value, old: &Value) -> Errors {
    let mut errors = unchanged(new, old, &["/spec/group", "/spec/names/plural"]);
    if condition(old, "Established") {
        errors.extend(unchanged(new, old, &["/spec/scope", "/spec/names/kind"]));
    }
    errors
}

fn group(spec: &Value, errors: &mut Errors) {
    let group = text(spec, "/group");
    let wrong = dns_subdomain(group);
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if !wrong.is_empty() {
        errors.push(FieldError::invalid("spec.group", &group.into(), wrong.join(",")));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(FieldError::invalid("spec.group", &group.into(), detail));
    }
}

/// Versions in which something may still be kept can't be taken away.
fn stored_versions(definition: &Value, errors: &mut Errors) {
    let path = "status.storedVersions";
    let stored = list(definition, "/status/storedVersions");
    let all = Value::from(stored);
    if stored.is_empty() {
        return errors.push(FieldError::invalid(path, &all, "must have at least one stored version"));
    }
    if let Some(storage) = super::storage_version(definition)
        && !stored.iter().any(|name| name == storage)
    {
        errors.push(FieldError::invalid(path, &all, format!("must have the storage version {storage}")));
    }
    for (index, name) in stored.iter().enumerate() {
        let word = name.as_str().unwrap_or_default();
        if version(definition, word).is_none() {
            let detail = format!(
                "missing from spec.versions; {word} was previously a storage version, and must remain in \
                 spec.versions until a storage migration ensures no data remains persisted in {word} and removes \
                 {word} from status.storedVersions"
            );
            errors.push(FieldError::invalid(format!("{path}[{index}]"), name, detail));
        }
    }
}

/// Groups of the community need its approval, by annotation.
fn approval(definition: &Value, spec: &Value, errors: &mut Errors) {
    let group = text(spec, "/group");
    let protected = ["k8s.io", "kubernetes.io"];
    if !protected.iter().any(|end| group == *end || group.ends_with(&format!(".{end}"))) {
        return;
    }
    let annotation = definition.pointer("/metadata/annotations").and_then(|all| all.get(APPROVED));
    let field = format!("metadata.annotations[{APPROVED}]");
    match annotation.and_then(Value::as_str) {
        None | Some("") => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                          https://github.com/kubernetes/enhancements/pull/1111";
            errors.push(FieldError::required(field, detail));
        }
        Some(text) if text.starts_with("unapproved") => {}
        Some(text) if text.starts_with("https://") || text.starts_with("http://") => {}
        Some(text) => {
            let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either \
                          a URL or a reason starting with \"unapproved\", see \
                          https://github.com/kubernetes/enhancements/pull/1111";
            errors.push(FieldError::invalid(field, &text.into(), detail));
        }
    }
}
