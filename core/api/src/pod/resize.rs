//! What the subresource `resize` may change: CPU and memory of containers that run, and whether a
//! container starts anew for it.

use serde_json::{Value, json};

use super::{qos, validate};
use crate::{
    access::{each, find, has, list, present, remove, set, text},
    amounts,
    field::FieldError,
    quantity::Quantity,
    validate::Errors,
};

const SIZES: [&str; 2] = ["cpu", "memory"];
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// The stored Pod with the sizes of the wanted one, and nothing else of it.
pub fn apply(old: &Value, wanted: &Value) -> Value {
    let mut new = old.clone();
    for key in LISTS {
        let containers = list(wanted, &format!("/spec/{key}")).to_vec();
        each(&mut new, &format!("/spec/{key}"), |container| {
            let Some(from) = find(&containers, "name", text(container, "/name")) else { return };
            for field in ["resources", "resizePolicy"] {
                match from.get(field) {
                    Some(value) => set(container, field, value.clone()),
                    None => remove(container, field),
                }
            }
        });
    }
    new
}

/// What is wrong with a resize.
pub fn check(new: &Value, old: &Value) -> Errors {
    let whole = |detail: &str| vec![FieldError::forbidden("[]", detail)];
    if old
        .pointer("/metadata/annotations")
        .is_some_and(|all| all.get("kubernetes.io/config.mirror").is_some())
    {
        return whole("static pods cannot be resized");
    }
    if text(old, "/spec/os/name") == "windows" {
        return whole("windows pods cannot be resized");
    }
    let mut errors = Vec::new();
    validate::pod(new, &mut errors);
    let class = |pod: &Value| qos::class(pod.get("spec").unwrap_or(&Value::Null));
    if class(new) != class(old) && has(old, "/status/qosClass") {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid("spec", &class(new).into(), detail));
    }
    for key in LISTS {
        let (was, is) = (list(old, &format!("/spec/{key}")), list(new, &format!("/spec/{key}")));
        for (index, (was, is)) in was.iter().zip(is).enumerate() {
            let sidecar = text(was, "/restartPolicy") == "Always";
            if key == "containers" || sidecar {
                container(is, was, &format!("spec.{key}[{index}].resources"), &mut errors);
            }
            let detail = match (key, sidecar) {
                ("containers", _) if rest(is, was) => continue,
                ("initContainers", true) if rest(is, was) => continue,
                ("initContainers", false) if is == was => continue,
                ("containers", _) => "only cpu and memory resources are mutable",
                (_, true) => "only cpu and memory resources for sidecar containers are mutable",
                (_, false) => "resources for non-sidecar init containers are immutable",
            };
            errors.push(FieldError::forbidden("spec", detail));
        }
    }
    errors
}

/// Whether all but the sizes and what follows from them is as it was.
fn rest(is: &Value, was: &Value) -> bool {
    let without = |container: &Value| {
        let mut container = container.clone();
        remove(&mut container, "resizePolicy");
        for kind in ["limits", "requests"] {
            if let Some(amounts) = container.pointer_mut(&format!("/resources/{kind}")) {
                SIZES.iter().for_each(|size| remove(amounts, size));
            }
            let empty =
                container.pointer(&format!("/resources/{kind}")).is_some_and(|amounts| amounts == &json!({}));
            if empty && let Some(resources) = container.get_mut("resources") {
                remove(resources, kind);
            }
        }
        container
    };
    without(is) == without(was)
}

fn container(is: &Value, was: &Value, path: &str, errors: &mut Errors) {
    for kind in ["requests", "limits"] {
        let pointer = format!("/resources/{kind}");
        let names =
            |container: &Value| -> Vec<String> { amounts::read(container, &pointer).into_keys().collect() };
        let now = names(is);
        if names(was).iter().any(|name| !now.contains(name)) {
            let detail = format!("resource {kind} cannot be removed");
            errors.push(FieldError::forbidden(format!("{path}.{kind}"), &detail));
        }
    }
    let policy = find(list(is, "/resizePolicy"), "resourceName", "memory");
    if policy.is_some_and(|policy| text(policy, "/restartPolicy") == "RestartContainer") {
        return;
    }
    let limit = |container: &Value| -> Option<Quantity> {
        present(container, "/resources/limits/memory")?.as_str()?.parse().ok()
    };
    if limit(was).is_none() && limit(is).is_some() {
        let detail = "memory limits cannot be added unless resizePolicy is RestartContainer";
        errors.push(FieldError::forbidden(format!("{path}.limits[memory]"), detail));
    }
}
