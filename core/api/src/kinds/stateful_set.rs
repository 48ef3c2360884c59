//! StatefulSet: Pods with a number each, their own claims and a stable name.

use serde_json::{Value, json};

use super::claim;
use crate::{
    access::{default, each, ensure, has, keep_status, list, present, remove, set, text, with},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, count_or_share, names, not_negative, obey, one_of},
    workload::{
        CONTAINERS, IMAGES, SCALE, default_template, ratio, validate_counts, validate_selector,
        validate_status, validate_template,
    },
};

const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub static KIND: Kind = Kind {
    short_names: &["sts"],
    categories: &["all"],
    subresources: &[Subresource::Status, Subresource::Scale(SCALE)],
    default: defaults,
    prepare_create: |object| set(object, "status", json!({"replicas": 0, "availableReplicas": 0})),
    prepare_update: keep_status,
    validate,
    validate_create,
    validate_update,
    validate_status: |new, old| {
        let within = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
        validate_status(new, old, &["replicas"], &within)
    },
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Ready", |s, _| ratio(s, "/status/readyReplicas", "/spec/replicas")),
        AGE,
        CONTAINERS,
        IMAGES,
    ],
    ..Kind::namespaced(
        "apps",
        "v1",
        "StatefulSet",
        "statefulsets",
        "statefulset",
        "io.k8s.api.apps.v1.StatefulSet",
    )
};

fn defaults(object: &mut Value) {
    default_template(object);
    let Some(spec) = ensure(object, "spec") else { return };
    default(spec, "replicas", 1);
    default(spec, "revisionHistoryLimit", 10);
    default(spec, "podManagementPolicy", "OrderedReady");
    if !has(spec, "/serviceName") {
        set(spec, "serviceName", json!(""));
    }
    if let Some(policy) = ensure(spec, "persistentVolumeClaimRetentionPolicy") {
        default(policy, "whenDeleted", "Retain");
        default(policy, "whenScaled", "Retain");
    }
    each(spec, "/volumeClaimTemplates", |template| {
        default(template, "apiVersion", "v1");
        default(template, "kind", "PersistentVolumeClaim");
        claim::defaults(template);
        set(template, "status", json!({"phase": "Pending"}));
    });
    let Some(strategy) = ensure(spec, "updateStrategy") else { return };
    if text(strategy, "/type").is_empty() {
        set(strategy, "type", json!("RollingUpdate"));
        let _ = ensure(strategy, "rollingUpdate");
    }
    if text(strategy, "/type") == "RollingUpdate" {
        with(strategy, "/rollingUpdate", |rolling| {
            default(rolling, "partition", 0);
            default(rolling, "maxUnavailable", 1);
        });
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_selector(object, "statefulset", &mut errors);
    validate_template(&with_claims(object), "StatefulSet", &mut errors);
    validate_counts(object, &["replicas", "minReadySeconds", "revisionHistoryLimit"], &mut errors);
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let policy = text(spec, "/podManagementPolicy");
    if !["OrderedReady", "Parallel"].contains(&policy) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        errors.push(FieldError::invalid("spec.podManagementPolicy", &policy.into(), detail));
    }
    strategy(spec, &mut errors);
    let policy = spec.get("persistentVolumeClaimRetentionPolicy").unwrap_or(&Value::Null);
    for key in ["whenDeleted", "whenScaled"] {
        let path = "spec.persistentVolumeClaimRetentionPolicy";
        one_of(policy, key, path, &["Retain", "Delete"], &mut errors);
    }
    not_negative(spec.get("ordinals").unwrap_or(&Value::Null), "start", "spec.ordinals", &mut errors);
    errors
}

/// The Pods' volumes are those of the template and, above them, their own claims.
fn with_claims(object: &Value) -> Value {
    let claims = list(object, "/spec/volumeClaimTemplates");
    let name = |claim: &Value| text(claim, "/metadata/name").to_owned();
    let names: Vec<String> = claims.iter().map(name).filter(|name| !name.is_empty()).collect();
    let mut object = object.clone();
    let Some(spec) = object.pointer_mut("/spec/template/spec").filter(|_| !names.is_empty()) else {
        return object;
    };
    let mut volumes = list(spec, "/volumes").to_vec();
    volumes.retain(|volume| !names.iter().any(|name| name == text(volume, "/name")));
    volumes
        .extend(names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": name}})));
    set(spec, "volumes", volumes.into());
    object
}

fn strategy(spec: &Value, errors: &mut Errors) {
    let (path, rolling) = ("spec.updateStrategy", present(spec, "/updateStrategy/rollingUpdate"));
    let field = format!("{path}.rollingUpdate");
    match (text(spec, "/updateStrategy/type"), rolling) {
        ("RollingUpdate", Some(rolling)) => {
            not_negative(rolling, "partition", &field, errors);
            let (most, field) = (present(rolling, "/maxUnavailable"), format!("{field}.maxUnavailable"));
            count_or_share(most, &field, errors);
            if let Some(most) = most.filter(|most| **most == json!(0) || **most == json!("0%")) {
                errors.push(FieldError::invalid(field, most, "cannot be 0"));
            }
        }
        ("OnDelete", Some(rolling)) => {
            let detail = "only allowed for updateStrategy 'RollingUpdate'";
            errors.push(FieldError::invalid(field, rolling, detail));
        }
        ("RollingUpdate" | "OnDelete", None) => {}
        _ => {
            let given = spec.get("updateStrategy").unwrap_or(&Value::Null);
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            errors.push(FieldError::invalid(path, given, detail));
        }
    }
}

/// What is wrong only with a new one: its name becomes its Pods' and their hosts'.
fn validate_create(object: &Value) -> Errors {
    let mut errors = Vec::new();
    obey(names::dns_label, text(object, "/metadata/name"), "metadata.name", &mut errors);
    let service = text(object, "/spec/serviceName");
    if !service.is_empty() {
        obey(names::dns_label, service, "spec.serviceName", &mut errors);
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let frozen = |object: &Value| {
        let mut spec = object.get("spec").cloned().unwrap_or_default();
        MUTABLE.iter().for_each(|key| remove(&mut spec, key));
        spec
    };
    if frozen(new) == frozen(old) {
        return Vec::new();
    }
    let [others @ .., last] = MUTABLE.map(|key| format!("'{key}'"));
    let others = others.join(", ");
    let detail =
        format!("updates to statefulset spec for fields other than {others} and {last} are forbidden");
    vec![FieldError::forbidden("spec", &detail)]
}
