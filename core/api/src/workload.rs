//! What kinds with a Pod template share: defaults, validation, selectors, columns.

use serde_json::{Value, json};

use crate::{
    access::{ensure, entries, has, int, list, present, set, text},
    field::FieldError,
    kind::{Column, ScalePaths},
    pod,
    table::joined,
    validate::{Errors, labels, metadata, not_negative},
};

/// Where the figures of `scale` stand in Deployments and their like.
pub const SCALE: ScalePaths = ScalePaths {
    spec_replicas: "/spec/replicas",
    status_replicas: "/status/replicas",
    selector: "/spec/selector",
};

/// Defaults of the Pod template at `/spec/template`.
pub fn default_template(object: &mut Value) {
    if let Some(spec) = object.pointer_mut("/spec/template/spec") {
        pod::defaults::spec(spec);
    }
}

/// The labels of its Pods, for an object that has none itself.
pub fn own_labels(object: &mut Value, labels: Value) {
    if entries(object, "/metadata/labels").count() == 0
        && let Some(metadata) = ensure(object, "metadata")
    {
        set(metadata, "labels", labels);
    }
}

/// The template of a workload whose Pods run for ever.
pub fn validate_template(object: &Value, kind: &str, errors: &mut Errors) {
    let Some(template) = present(object, "/spec/template") else {
        errors.push(FieldError::required("spec.template", ""));
        return;
    };
    validate_pod_template(template, "spec.template", &["Always"], errors);
    if has(template, "/spec/activeDeadlineSeconds") {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden("spec.template.spec.activeDeadlineSeconds", &detail));
    }
}

/// A Pod template at `path`, whose Pods may restart only as listed.
pub fn validate_pod_template(template: &Value, path: &str, restart_policies: &[&str], errors: &mut Errors) {
    let meta = template.get("metadata").unwrap_or(&Value::Null);
    labels::labels(meta.get("labels"), &format!("{path}.labels"), errors);
    metadata::annotations(meta, path, errors);
    let Some(spec) = present(template, "/spec") else {
        errors.push(FieldError::required(format!("{path}.spec.containers"), ""));
        return;
    };
    pod::validate::spec(spec, &format!("{path}.spec"), errors);
    if !list(spec, "/ephemeralContainers").is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(format!("{path}.spec.ephemeralContainers"), detail));
    }
    let policy = text(spec, "/restartPolicy");
    if !restart_policies.contains(&policy) && pod::RESTART_POLICIES.contains(&policy) {
        errors.push(FieldError::not_supported(
            format!("{path}.spec.restartPolicy"),
            policy,
            restart_policies,
        ));
    }
}

/// A label selector that must be there, not be empty, and match the template's labels.
pub fn validate_selector(object: &Value, kind: &str, errors: &mut Errors) {
    let Some(selector) = present(object, "/spec/selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        return;
    };
    labels::selector(selector, "spec.selector", errors);
    if labels::is_empty(Some(selector)) {
        let detail = format!("empty selector is invalid for {kind}");
        errors.push(FieldError::invalid("spec.selector", selector, detail));
        return;
    }
    let empty = serde_json::Map::new();
    let own = object.pointer("/spec/template/metadata/labels").and_then(Value::as_object).unwrap_or(&empty);
    if !labels::matches(selector, own) {
        let field = "spec.template.metadata.labels";
        errors.push(FieldError::invalid(field, &json!(own), "`selector` does not match template `labels`"));
    }
}

/// `replicas` and its like, none below zero.
pub fn validate_counts(object: &Value, keys: &[&str], errors: &mut Errors) {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    keys.iter().for_each(|key| not_negative(spec, key, "spec", errors));
}

/// A status of counts: none below zero, those of `within` not above `replicas` (nor what is available
/// above what is ready), and collisions only become more.
pub fn validate_status(new: &Value, old: &Value, counts: &[&str], within: &[&str]) -> Errors {
    let mut errors = Vec::new();
    let empty = json!({});
    let status = new.get("status").unwrap_or(&empty);
    let count = |key: &str| int(status, &format!("/{key}")).unwrap_or(0);
    for key in counts.iter().chain(within).chain(&["observedGeneration", "collisionCount"]) {
        not_negative(status, key, "status", &mut errors);
    }
    let mut refuse = |key: &str, detail: &str| {
        errors.push(FieldError::invalid(format!("status.{key}"), &count(key).into(), detail));
    };
    for key in within.iter().filter(|key| count(key) > count("replicas")) {
        refuse(key, "cannot be greater than status.replicas");
    }
    let both = within.contains(&"availableReplicas") && within.contains(&"readyReplicas");
    if both && count("availableReplicas") > count("readyReplicas") {
        refuse("availableReplicas", "cannot be greater than readyReplicas");
    }
    if count("collisionCount") < int(old, "/status/collisionCount").unwrap_or(0) {
        refuse("collisionCount", "cannot be decremented");
    }
    errors
}

/// The columns Containers, Images and Selector of `-o wide`.
pub const CONTAINERS: Column = Column::text("Containers", |object, _| of_containers(object, "name")).wide();
pub const IMAGES: Column = Column::text("Images", |object, _| of_containers(object, "image")).wide();
pub const SELECTOR: Column =
    Column::text("Selector", |object, _| labels::to_text(object.pointer("/spec/selector")).into()).wide();

fn of_containers(object: &Value, key: &str) -> Value {
    joined(list(object, "/spec/template/spec/containers").iter().filter_map(|c| c.get(key)?.as_str()))
}

/// `2/3` of two numbers.
pub fn ratio(object: &Value, ready: &str, wanted: &str) -> Value {
    let number = |pointer| int(object, pointer).unwrap_or_default();
    format!("{}/{}", number(ready), number(wanted)).into()
}

/// Labels as `a=b,c=d`, or `<none>`.
pub fn label_text(object: &Value, pointer: &str) -> Value {
    let pairs: Vec<String> =
        entries(object, pointer).map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}
