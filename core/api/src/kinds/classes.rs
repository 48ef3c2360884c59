//! PriorityClass, StorageClass, RuntimeClass: named choices for Pods and claims.

use serde_json::Value;

use super::volume_attributes_class::forbidden_updates;
use crate::{
    access::{annotation, default, entries, flag, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    pod,
    table::{AGE, NAME, number, text_or},
    validate::{Errors, labels, names, obey, quantity, unchanged},
};

/// Above this only the system's own classes may be.
const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

const MOST_PARAMETERS: usize = 512;
const PARAMETERS_LIMIT: usize = 256 * 1024;
const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

pub static PRIORITY_CLASS: Kind = Kind {
    short_names: &["pc"],
    default: |class| default(class, "preemptionPolicy", "PreemptLowerPriority"),
    validate: validate_priority,
    validate_update: validate_priority_update,
    counts_generations: true,
    columns: &[
        NAME,
        Column::number("Value", |c, _| number(c, "/value")),
        Column::text("Global-Default", |c, _| flag(c, "/globalDefault").into()),
        AGE,
        Column::text("PreemptionPolicy", |c, _| text_or(c, "/preemptionPolicy", "")),
    ],
    ..Kind::cluster(
        "scheduling.k8s.io",
        "v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
        "io.k8s.api.scheduling.v1.PriorityClass",
    )
};

pub static STORAGE_CLASS: Kind = Kind {
    short_names: &["sc"],
    default: |class| {
        default(class, "reclaimPolicy", "Delete");
        default(class, "volumeBindingMode", "Immediate");
    },
    validate: validate_storage,
    validate_update: |new, old| {
        let mut errors = forbidden_updates(new, old, &["parameters", "provisioner", "reclaimPolicy"]);
        errors.extend(unchanged(new, old, &["/volumeBindingMode"]));
        errors
    },
    columns: &[
        Column { cell: |c, _| name_with_default(c, IS_DEFAULT).into(), ..NAME },
        Column::text("Provisioner", |c, _| text_or(c, "/provisioner", "")),
        Column::text("ReclaimPolicy", |c, _| text_or(c, "/reclaimPolicy", "Delete")),
        Column::text("VolumeBindingMode", |c, _| text_or(c, "/volumeBindingMode", "Immediate")),
        Column {
            kind: "boolean",
            ..Column::text("AllowVolumeExpansion", |c, _| flag(c, "/allowVolumeExpansion").into())
        },
        AGE,
    ],
    ..Kind::cluster(
        "storage.k8s.io",
        "v1",
        "StorageClass",
        "storageclasses",
        "storageclass",
        "io.k8s.api.storage.v1.StorageClass",
    )
};

pub static RUNTIME_CLASS: Kind = Kind {
    validate: validate_runtime,
    validate_update: |new, old| unchanged(new, old, &["/handler"]),
    columns: &[NAME, Column::text("Handler", |c, _| text_or(c, "/handler", "")), AGE],
    ..Kind::cluster(
        "node.k8s.io",
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "runtimeclass",
        "io.k8s.api.node.v1.RuntimeClass",
    )
};

fn validate_runtime(class: &Value) -> Errors {
    let mut errors = Vec::new();
    obey(names::dns_label, text(class, "/handler"), "handler", &mut errors);
    for (name, amount) in entries(class, "/overhead/podFixed") {
        labels::key_of(name, "overhead.podFixed", &mut errors);
        quantity(amount, &format!("overhead.podFixed[{name}]"), &mut errors);
    }
    if let Some(scheduling) = present(class, "/scheduling") {
        labels::labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector", &mut errors);
        let tolerations = list(scheduling, "/tolerations");
        pod::placing::tolerations(tolerations, "scheduling.tolerations", &mut errors);
        for (index, one) in
            tolerations.iter().enumerate().filter(|(at, one)| tolerations[..*at].contains(one))
        {
            errors.push(FieldError::duplicate(format!("scheduling.tolerations[{index}]"), one));
        }
    }
    errors
}

fn validate_priority(class: &Value) -> Errors {
    let mut errors = Vec::new();
    let (name, value) = (text(class, "/metadata/name"), int(class, "/value").unwrap_or_default());
    let system = SYSTEM.iter().find(|(known, _)| *known == name);
    match system {
        Some((_, expected)) if value != *expected => {
            let detail = "priority class names with 'system-' prefix are reserved for system use only. error: value of \
                          system-node-critical PriorityClass must be 2000001000";
            let detail =
                detail.replace("system-node-critical", name).replace("2000001000", &expected.to_string());
            errors.push(FieldError::forbidden("metadata.name", &detail));
        }
        Some(_) => {}
        None if name.starts_with("system-") => {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a \
                 known system priority class"
            );
            errors.push(FieldError::forbidden("metadata.name", &detail));
        }
        None if value > HIGHEST_USER_PRIORITY => {
            let detail =
                format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
            errors.push(FieldError::forbidden("value", &detail));
        }
        None => {}
    }
    known(class, "preemptionPolicy", &["Never", "PreemptLowerPriority"], &mut errors);
    errors
}

fn validate_priority_update(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    if new.get("value") != old.get("value") {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
    errors.extend(unchanged(new, old, &["/preemptionPolicy"]));
    errors
}

/// A top-level text that is one of these, or absent.
fn known(class: &Value, key: &str, values: &[&str], errors: &mut Errors) {
    let value = text(class, &format!("/{key}"));
    if !value.is_empty() && !values.contains(&value) {
        errors.push(FieldError::not_supported(key, value, values));
    }
}

fn validate_storage(class: &Value) -> Errors {
    let mut errors = Vec::new();
    provisioner(class, "provisioner", &mut errors);
    parameters(class, &mut errors);
    known(class, "reclaimPolicy", &["Delete", "Retain"], &mut errors);
    known(class, "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"], &mut errors);
    topologies(list(class, "/allowedTopologies"), &mut errors);
    errors
}

/// Who makes or changes volumes: a name that may stand before a key.
pub fn provisioner(class: &Value, key: &str, errors: &mut Errors) {
    let name = text(class, &format!("/{key}"));
    if name.is_empty() {
        errors.push(FieldError::required(key, ""));
    } else {
        labels::key_of(&name.to_lowercase(), key, errors);
    }
}

/// What is handed to it.
pub fn parameters(class: &Value, errors: &mut Errors) {
    let (path, count) = ("parameters", entries(class, "/parameters").count());
    if count > MOST_PARAMETERS {
        return errors.push(FieldError::too_long(path, MOST_PARAMETERS));
    }
    if entries(class, "/parameters").any(|(key, _)| key.is_empty()) {
        errors.push(FieldError::invalid(path, &"".into(), "field can not be empty."));
    }
    let size: usize = entries(class, "/parameters")
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > PARAMETERS_LIMIT {
        errors.push(FieldError::too_long(path, PARAMETERS_LIMIT));
    }
}

fn topologies(terms: &[Value], errors: &mut Errors) {
    for (index, term) in terms.iter().enumerate() {
        let path = format!("allowedTopologies[{index}].matchLabelExpressions");
        let wanted = list(term, "/matchLabelExpressions");
        for (at, requirement) in wanted.iter().enumerate() {
            let path = format!("{path}[{at}]");
            let (key, values) = (text(requirement, "/key"), list(requirement, "/values"));
            if wanted[..at].iter().any(|other| text(other, "/key") == key) {
                errors.push(FieldError::duplicate(format!("{path}.key"), &key.into()));
            }
            if values.is_empty() {
                errors.push(FieldError::required(format!("{path}.values"), ""));
            }
            for (n, value) in values.iter().enumerate().filter(|(n, value)| values[..*n].contains(value)) {
                errors.push(FieldError::duplicate(format!("{path}.values[{n}]"), value));
            }
            labels::key_of(key, &format!("{path}.key"), errors);
        }
        if terms[..index].contains(term) {
            errors.push(FieldError::duplicate(path, &"".into()));
        }
    }
}

/// A class that is taken where none is named says so.
pub fn name_with_default(class: &Value, is_default: &str) -> String {
    let name = text(class, "/metadata/name");
    if annotation(class, is_default) == Some("true") { format!("{name} (default)") } else { name.to_owned() }
}
