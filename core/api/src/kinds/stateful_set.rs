//! StatefulSet: Pods with a number each, their own claims and a stable name.

use serde_json::{Value, json};

use super::claim;
use crate::{
    access::{default, each, ensure, has, keep_status, remove, set, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, one_of},
    workload::{
        CONTAINERS, IMAGES, SCALE, default_template, ratio, validate_counts, validate_selector,
        validate_template,
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
    validate_update,
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
    default(strategy, "type", "RollingUpdate");
    if text(strategy, "/type") == "RollingUpdate"
        && let Some(rolling) = ensure(strategy, "rollingUpdate")
    {
        default(rolling, "partition", 0);
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_selector(object, "statefulset", &mut errors);
    validate_template(object, &["Always"], &mut errors);
    validate_counts(object, &["replicas", "minReadySeconds", "revisionHistoryLimit"], &mut errors);
    let spec = object.get("spec").unwrap_or(&Value::Null);
    one_of(spec, "podManagementPolicy", "spec", &["OrderedReady", "Parallel"], &mut errors);
    let strategy = spec.get("updateStrategy").unwrap_or(&Value::Null);
    one_of(strategy, "type", "spec.updateStrategy", &["RollingUpdate", "OnDelete"], &mut errors);
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
