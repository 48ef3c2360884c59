//! Job: Pods that run to completion. Served; nothing runs Jobs yet.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    access::{
        condition, default, each, empty_status, ensure, flag, has, int, keep_status, list, present, remove,
        set, text, with,
    },
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    pod::RESTART_POLICIES,
    table::{AGE, NAME},
    validate::{Errors, domain_path, labels, not_negative, optional_one_of, unchanged},
    workload::{CONTAINERS, IMAGES, SELECTOR, default_template, own_labels, validate_pod_template},
};

mod policy;

const COUNTS: [&str; 7] = [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
];
const MOST_INDEXES: i64 = 100_000;
const MOST_AT_ONCE: i64 = 10_000;
const LONGEST_MANAGER: usize = 63;
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

pub static KIND: Kind = Kind {
    categories: &["all"],
    subresources: &[Subresource::Status],
    default: |job| {
        default_template(job);
        if let Some(spec) = ensure(job, "spec") {
            spec_defaults(spec);
        }
        if let Some(labels) = job.pointer("/spec/template/metadata/labels").cloned() {
            own_labels(job, labels);
        }
    },
    prepare_create: |job| {
        empty_status(job);
        generate_selector(job);
    },
    prepare_update: keep_status,
    validate,
    validate_update,
    validate_status,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Status", |job, _| status(job).into()),
        Column::text("Completions", |job, _| completions(job).into()),
        Column::text("Duration", |job, now| duration(job, now).into()),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    selectable: &["status.successful"],
    ..Kind::namespaced("batch", "v1", "Job", "jobs", "job", "io.k8s.api.batch.v1.Job")
};

fn spec_defaults(spec: &mut Value) {
    if !has(spec, "/completions") && !has(spec, "/parallelism") {
        set(spec, "completions", json!(1));
    }
    default(spec, "parallelism", 1);
    default(spec, "backoffLimit", if has(spec, "/backoffLimitPerIndex") { i32::MAX } else { 6 });
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "manualSelector", false);
    default(
        spec,
        "podReplacementPolicy",
        if has(spec, "/podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" },
    );
    each(spec, "/podFailurePolicy/rules", |rule| {
        each(rule, "/onPodConditions", |pattern| default(pattern, "status", "True"));
    });
}

/// A Job's Pods are found by its own uid, so that no other Pod is taken for one of them.
fn generate_selector(job: &mut Value) {
    let (uid, name) = (text(job, "/metadata/uid").to_owned(), text(job, "/metadata/name").to_owned());
    if flag(job, "/spec/manualSelector") || uid.is_empty() {
        return;
    }
    let Some(spec) = ensure(job, "spec") else { return };
    set(spec, "selector", json!({"matchLabels": {UID_LABELS[0]: uid}}));
    let metadata = ensure(spec, "template").and_then(|t| ensure(t, "metadata"));
    let Some(labels) = metadata.and_then(|m| ensure(m, "labels")) else { return };
    UID_LABELS.iter().for_each(|label| set(labels, label, json!(uid)));
    NAME_LABELS.iter().for_each(|label| set(labels, label, json!(name)));
}

fn validate(job: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = job.get("spec").unwrap_or(&Value::Null);
    validate_spec(spec, "spec", &mut errors);
    let Some(selector) = present(spec, "/selector") else {
        errors.push(FieldError::required("spec.selector", ""));
        return errors;
    };
    labels::selector(selector, "spec.selector", &mut errors);
    let empty = Map::new();
    let own = spec.pointer("/template/metadata/labels").and_then(Value::as_object).unwrap_or(&empty);
    if !labels::matches(selector, own) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", &json!(own), detail));
    }
    if !flag(spec, "/manualSelector") {
        generated(job, selector, own, &mut errors);
    }
    errors
}

/// The selector that the server made, and no other one.
fn generated(job: &Value, selector: &Value, own: &Map<String, Value>, errors: &mut Errors) {
    let (uid, name) = (text(job, "/metadata/uid"), text(job, "/metadata/name"));
    let mut expected = Map::new();
    UID_LABELS.iter().for_each(|label| drop(expected.insert((*label).into(), uid.into())));
    NAME_LABELS.iter().for_each(|label| drop(expected.insert((*label).into(), name.into())));
    for (label, value) in &expected {
        if own.get(label) != Some(value) {
            let field = format!("spec.template.metadata.labels[{label}]");
            let detail = format!("must be '{}'", value.as_str().unwrap_or_default());
            errors.push(FieldError::invalid(field, own.get(label).unwrap_or(&"".into()), detail));
        }
    }
    if !labels::matches(selector, &expected) {
        errors.push(FieldError::invalid("spec.selector", selector, "`selector` not auto-generated"));
    }
}

/// A Job's spec at `path`, also in a CronJob's template, where nothing is defaulted but the Pods.
pub fn validate_spec(spec: &Value, path: &str, errors: &mut Errors) {
    COUNTS.iter().for_each(|key| not_negative(spec, key, path, errors));
    let field = |key: &str| format!("{path}.{key}");
    if has(spec, "/maxFailedIndexes") && !has(spec, "/backoffLimitPerIndex") {
        errors
            .push(FieldError::required(field("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = present(spec, "/managedBy").and_then(Value::as_str) {
        domain_path(manager, &field("managedBy"), errors);
        if manager.len() > LONGEST_MANAGER {
            errors.push(FieldError::too_long(field("managedBy"), LONGEST_MANAGER));
        }
    }
    optional_one_of(spec, "completionMode", path, &["NonIndexed", "Indexed"], errors);
    if text(spec, "/completionMode") == "Indexed" {
        indexed(spec, path, errors);
    } else {
        for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(value) = spec.get(key).filter(|value| !value.is_null()) {
                errors.push(FieldError::invalid(field(key), value, "requires indexed completion mode"));
            }
        }
    }
    policy::failure(spec, path, errors);
    policy::success(spec, path, errors);
    let replacements: &[&str] =
        if has(spec, "/podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    optional_one_of(spec, "podReplacementPolicy", path, replacements, errors);
    let path = format!("{path}.template");
    let Some(template) = present(spec, "/template") else {
        return errors.push(FieldError::required(format!("{path}.spec.containers"), ""));
    };
    validate_pod_template(template, &path, RESTART_POLICIES, errors);
    restart_policy(template, has(spec, "/podFailurePolicy"), &format!("{path}.spec.restartPolicy"), errors);
}

fn indexed(spec: &Value, path: &str, errors: &mut Errors) {
    let field = |key: &str| format!("{path}.{key}");
    let (completions, parallelism) = (int(spec, "/completions"), int(spec, "/parallelism").unwrap_or(0));
    let failed = int(spec, "/maxFailedIndexes");
    if completions.is_none() {
        errors.push(FieldError::required(field("completions"), "when completion mode is Indexed"));
    }
    let mut refuse = |key: &str, value: i64, detail: String| {
        errors.push(FieldError::invalid(format!("{path}.{key}"), &value.into(), detail));
    };
    if parallelism > MOST_INDEXES {
        let detail = format!("must be less than or equal to {MOST_INDEXES} when completion mode is Indexed");
        refuse("parallelism", parallelism, detail);
    }
    if let Some(failed) = failed {
        if completions.is_some_and(|completions| failed > completions) {
            refuse("maxFailedIndexes", failed, "must be less than or equal to completions".into());
        }
        if failed > MOST_INDEXES {
            refuse("maxFailedIndexes", failed, format!("must be less than or equal to {MOST_INDEXES}"));
        }
    }
    if completions.is_none_or(|completions| completions <= MOST_INDEXES)
        || !has(spec, "/backoffLimitPerIndex")
    {
        return;
    }
    let detail = format!(
        "must be less than or equal to {MOST_AT_ONCE} when completions are above {MOST_INDEXES} and used with \
         backoff limit per index"
    );
    for (key, value) in [("parallelism", Some(parallelism)), ("maxFailedIndexes", failed)] {
        match value {
            Some(value) if value > MOST_AT_ONCE => refuse(key, value, detail.clone()),
            _ => {}
        }
    }
    if failed.is_none() {
        let detail = format!("must be specified when completions is above {MOST_INDEXES}");
        errors.push(FieldError::required(field("maxFailedIndexes"), &detail));
    }
}

/// A Job's Pods may not restart for ever, so the default won't do.
fn restart_policy(template: &Value, by_failures: bool, field: &str, errors: &mut Errors) {
    match text(template, "/spec/restartPolicy") {
        "Always" | "" => {
            errors.push(FieldError::required(field, "valid values: \"OnFailure\", \"Never\""));
        }
        policy @ "OnFailure" if by_failures => {
            let detail = "only \"Never\" is supported when podFailurePolicy is specified";
            errors.push(FieldError::invalid(field, &policy.into(), detail));
        }
        _ => {}
    }
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let fixed = [
        "/spec/selector",
        "/spec/completionMode",
        "/spec/podFailurePolicy",
        "/spec/backoffLimitPerIndex",
        "/spec/managedBy",
        "/spec/successPolicy",
    ];
    let mut errors = unchanged(new, old, &fixed);
    let completions = new.pointer("/spec/completions").unwrap_or(&Value::Null);
    if completions != old.pointer("/spec/completions").unwrap_or(&Value::Null) {
        if text(new, "/spec/completionMode") != "Indexed" {
            errors.push(FieldError::immutable("spec.completions", completions));
        } else if Some(completions) != new.pointer("/spec/parallelism") {
            let detail = "can only be modified in tandem with spec.parallelism";
            errors.push(FieldError::invalid("spec.completions", completions, detail));
        }
    }
    let open = flag(old, "/spec/suspend") && !has(old, "/status/startTime");
    let template = |job: &Value| {
        let mut template = job.pointer("/spec/template").cloned().unwrap_or_default();
        if open {
            without_placing(&mut template);
        }
        template
    };
    if template(new) != template(old) {
        let given = new.pointer("/spec/template").unwrap_or(&Value::Null);
        errors.push(FieldError::immutable("spec.template", given));
    }
    errors
}

/// Where the Pods of a Job that has not begun shall run is for queues to say.
fn without_placing(template: &mut Value) {
    with(template, "/metadata", |metadata| {
        ["labels", "annotations"].iter().for_each(|key| remove(metadata, key));
    });
    with(template, "/spec", |spec| {
        ["nodeSelector", "tolerations", "schedulingGates"].iter().for_each(|key| remove(spec, key));
        with(spec, "/affinity", |affinity| remove(affinity, "nodeAffinity"));
        if spec.get("affinity") == Some(&json!({})) {
            remove(spec, "affinity");
        }
        each(spec, "/containers", |container| remove(container, "resources"));
        each(spec, "/initContainers", |container| remove(container, "resources"));
    });
}

/// What is finished stays finished.
fn validate_status(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let status = new.get("status").unwrap_or(&Value::Null);
    ["active", "succeeded", "failed", "ready", "terminating"]
        .iter()
        .for_each(|key| not_negative(status, key, "status", &mut errors));
    let mut seen = BTreeSet::new();
    for key in ["succeeded", "failed"] {
        for (index, uid) in list(status, &format!("/uncountedTerminatedPods/{key}")).iter().enumerate() {
            let field = format!("status.uncountedTerminatedPods.{key}[{index}]");
            match uid.as_str().unwrap_or_default() {
                "" => errors.push(FieldError::invalid(field, uid, "must not be empty")),
                text if !seen.insert(text) => errors.push(FieldError::duplicate(field, uid)),
                _ => {}
            }
        }
    }
    for end in ["Complete", "Failed"] {
        if condition(old, end) && !condition(new, end) {
            let detail = format!("{end} condition can't be removed or set to false");
            errors.push(FieldError::unfit("status.conditions", &detail));
        }
    }
    for (one, other) in [
        ("Complete", "Failed"),
        ("Complete", "FailureTarget"),
        ("SuccessCriteriaMet", "Failed"),
        ("SuccessCriteriaMet", "FailureTarget"),
    ] {
        if condition(new, one) && condition(new, other) {
            let detail = format!("cannot set {one}=True and {other}=true conditions");
            errors.push(FieldError::unfit("status.conditions", &detail));
        }
    }
    if has(status, "/completionTime") && !condition(new, "Complete") && !has(old, "/status/completionTime") {
        let detail = "cannot set completionTime when there is no Complete=True condition";
        errors.push(FieldError::invalid("status.completionTime", &status["completionTime"], detail));
    }
    errors
}

fn status(job: &Value) -> &'static str {
    match () {
        () if condition(job, "Complete") => "Complete",
        () if condition(job, "Failed") => "Failed",
        () if has(job, "/metadata/deletionTimestamp") => "Terminating",
        () if condition(job, "Suspended") => "Suspended",
        () if condition(job, "FailureTarget") => "FailureTarget",
        () if condition(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = int(job, "/status/succeeded").unwrap_or_default();
    match (int(job, "/spec/completions"), int(job, "/spec/parallelism").unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(job: &Value, now: i64) -> String {
    let at = |pointer| human::seconds_of(job.pointer(pointer));
    let end = at("/status/completionTime").unwrap_or(now);
    at("/status/startTime").map(|start| human::duration(end - start)).unwrap_or_default()
}
