//! What may change in a Pod that exists.
//!
//! Images, the deadline (downwards), tolerations (more of them), the grace period when it is negative,
//! scheduling gates (fewer of them): nothing else of the spec.

use serde_json::{Value, json};

use crate::{
    access::{each, int, list, present, remove, set},
    field::FieldError,
    validate::Errors,
};

const MUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

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
    if frozen(is) != frozen(was) {
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
            errors.push(FieldError::invalid(
                field,
                new,
                format!("must be less than or equal to previous value {old}"),
            ));
        }
        (None, Some(_)) => {
            errors.push(FieldError::invalid(
                field,
                &Value::Null,
                "must not update from a positive integer to nil value",
            ));
        }
        _ => {}
    }
}
