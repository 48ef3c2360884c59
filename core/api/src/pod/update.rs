//! What may change in a Pod that exists.
//!
//! Images, the deadline (downwards), tolerations (more of them), the grace period when it is negative,
//! scheduling gates (fewer of them); and while a gate is there, where the Pod may run, more narrowly.

use serde_json::{Value, json};

use crate::{
    access::{at, each, entries, find, int, list, present, remove, set, text, with},
    field::FieldError,
    validate::Errors,
};

const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const AFFINITY: &str = "spec.affinity.nodeAffinity";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Of an update through the main resource.
pub fn validate(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let (was, is) = (spec(old), spec(new));
    for key in ["containers", "initContainers"] {
        if list(was, &format!("/{key}")).len() != list(is, &format!("/{key}")).len() {
            errors.push(FieldError::forbidden(
                format!("spec.{key}"),
                "pod updates may not add or remove containers",
            ));
            return errors;
        }
    }
    tolerations(is, was, &mut errors);
    deadline(is, was, &mut errors);
    gates(is, was, &mut errors);
    let (mut frozen_is, frozen_was) = (frozen(is), frozen(was));
    if !list(was, "/schedulingGates").is_empty() {
        narrower(&mut frozen_is, &frozen_was, &mut errors);
    }
    if frozen_is != frozen_was {
        errors.push(FieldError::forbidden("spec", MUTABLE));
    }
    errors
}

fn spec(pod: &Value) -> &Value {
    pod.get("spec").unwrap_or(&Value::Null)
}

/// The spec without what may change; nulls count as absent.
fn frozen(spec: &Value) -> Value {
    let mut rest = spec.clone();
    for list in ["/containers", "/initContainers"] {
        each(&mut rest, list, |container| set(container, "image", json!("")));
    }
    for key in ["activeDeadlineSeconds", "tolerations", "ephemeralContainers", "schedulingGates"] {
        remove(&mut rest, key);
    }
    if int(spec, "/terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0) {
        set(&mut rest, "terminationGracePeriodSeconds", json!(1));
    }
    if let Some(fields) = rest.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    rest
}

fn tolerations(is: &Value, was: &Value, errors: &mut Errors) {
    let now = list(is, "/tolerations");
    let same = |old: &Value| {
        now.iter().any(|new| {
            let (mut new, mut old) = (new.clone(), old.clone());
            remove(&mut new, "tolerationSeconds");
            remove(&mut old, "tolerationSeconds");
            new == old
        })
    };
    if !list(was, "/tolerations").iter().all(same) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden("spec.tolerations", detail));
    }
}

fn deadline(is: &Value, was: &Value, errors: &mut Errors) {
    let field = "spec.activeDeadlineSeconds";
    match (present(is, "/activeDeadlineSeconds"), int(was, "/activeDeadlineSeconds")) {
        (Some(new), Some(old)) if new.as_i64().is_some_and(|new| new > old) => {
            errors.push(FieldError::invalid(field, new, "must be less than or equal to previous value"));
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(field, &Value::Null, detail));
        }
        _ => {}
    }
}

fn gates(is: &Value, was: &Value, errors: &mut Errors) {
    let before = list(was, "/schedulingGates");
    for (index, gate) in list(is, "/schedulingGates").iter().enumerate() {
        let name = text(gate, "/name");
        if find(before, "name", name).is_none() {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(format!("spec.schedulingGates[{index}].name"), &detail));
        }
    }
}

/// A Pod that waits for its gates may still be told more exactly where to run. What is allowed is taken
/// back in `is`, so that the rest can be compared.
fn narrower(is: &mut Value, was: &Value, errors: &mut Errors) {
    let kept =
        |(key, value): (&String, &Value)| at(is, "/nodeSelector").and_then(|s| s.get(key)) == Some(value);
    if !entries(was, "/nodeSelector").all(kept) {
        let detail = "only additions are allowed (no mutations or deletions)";
        errors.push(FieldError::invalid("spec.nodeSelector", &is["nodeSelector"], detail));
    }
    put_back(is, was, "nodeSelector");
    affinity(is, was, errors);
    let before = was.get("affinity").and_then(|affinity| present(affinity, "/nodeAffinity"));
    let rest_is_empty = is
        .get("affinity")
        .and_then(Value::as_object)
        .is_some_and(|affinity| affinity.iter().all(|(key, value)| key == "nodeAffinity" || value.is_null()));
    match before {
        Some(before) if was.get("affinity").is_some() => {
            let before = before.clone();
            if is.get("affinity").is_none() {
                set(is, "affinity", json!({}));
            }
            with(is, "/affinity", |affinity| set(affinity, "nodeAffinity", before));
        }
        _ if rest_is_empty => put_back(is, was, "affinity"),
        _ => with(is, "/affinity", |affinity| remove(affinity, "nodeAffinity")),
    }
}

fn put_back(is: &mut Value, was: &Value, key: &str) {
    match was.get(key) {
        Some(value) => set(is, key, value.clone()),
        None => remove(is, key),
    }
}

/// Terms that are required may get more requirements, and none less.
fn affinity(is: &Value, was: &Value, errors: &mut Errors) {
    let terms = |spec: &Value| {
        at(spec, &format!("/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms"))
            .and_then(Value::as_array)
            .cloned()
    };
    let Some(before) = terms(was) else { return };
    let path = format!("{AFFINITY}.{REQUIRED}.nodeSelectorTerms");
    let now = terms(is).unwrap_or_default();
    if now.len() != before.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        return errors.push(FieldError::invalid(path, &now.into(), detail));
    }
    for (index, (is, was)) in now.iter().zip(&before).enumerate() {
        let grows = |key: &str| {
            let (was, is) = (list(was, key), list(is, key));
            is.len() >= was.len() && is[..was.len()] == *was
        };
        let was_empty = ["/matchExpressions", "/matchFields"].iter().all(|key| list(was, key).is_empty());
        let is_empty = ["/matchExpressions", "/matchFields"].iter().all(|key| list(is, key).is_empty());
        let same = was_empty && is_empty;
        if !same && (was_empty || !grows("/matchExpressions") || !grows("/matchFields")) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(format!("{path}[{index}]"), is, detail));
        }
    }
}

/// Of the subresource `ephemeralcontainers`: containers come, and none of them goes or changes.
pub fn ephemeral_containers(new: &Value, old: &Value) -> Errors {
    let field = "spec.ephemeralContainers";
    if old
        .pointer("/metadata/annotations")
        .is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some())
    {
        return vec![FieldError::forbidden("[]", "static pods do not support ephemeral containers")];
    }
    let mut errors = Vec::new();
    super::validate::pod(new, &mut errors);
    let now = list(new, "/spec/ephemeralContainers");
    for was in list(old, "/spec/ephemeralContainers") {
        let name = text(was, "/name");
        let done = match find(now, "name", name) {
            None => "removed",
            Some(is) if is != was => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers \"{name}\" may not be {done}\n");
        errors.push(FieldError::forbidden(field, &detail));
    }
    errors
}
