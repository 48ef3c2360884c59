//! Job: Pods that run to completion. Served; nothing runs Jobs yet.

use serde_json::{Value, json};

use crate::{
    access::{condition, default, empty_status, ensure, flag, has, int, keep_status, set, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, one_of, unchanged},
    workload::{CONTAINERS, IMAGES, SELECTOR, default_template, validate_counts, validate_template},
};

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
    },
    prepare_create: |job| {
        empty_status(job);
        generate_selector(job);
    },
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/selector", "/spec/completionMode"]),
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

/// Also of a CronJob's template.
pub fn spec_defaults(spec: &mut Value) {
    if !has(spec, "/completions") && !has(spec, "/parallelism") {
        set(spec, "completions", json!(1));
    }
    default(spec, "parallelism", 1);
    default(spec, "backoffLimit", 6);
    default(spec, "completionMode", "NonIndexed");
    default(spec, "suspend", false);
    default(spec, "podReplacementPolicy", "TerminatingOrFailed");
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
    validate_template(job, &["OnFailure", "Never"], &mut errors);
    required_policy(job.pointer("/spec/template/spec"), "spec.template.spec", &mut errors);
    validate_counts(
        job,
        &["parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"],
        &mut errors,
    );
    let spec = job.get("spec").unwrap_or(&Value::Null);
    one_of(spec, "completionMode", "spec", &["Indexed", "NonIndexed"], &mut errors);
    errors
}

/// A Job's Pods may not restart for ever, so the default won't do.
pub fn required_policy(spec: Option<&Value>, path: &str, errors: &mut Errors) {
    let policy = spec.map_or("", |s| text(s, "/restartPolicy"));
    let known = errors.iter().any(|e| e.field == format!("{path}.restartPolicy"));
    if policy == "Always" && !known {
        errors.push(FieldError::required(
            format!("{path}.restartPolicy"),
            "valid values: \"OnFailure\", \"Never\"",
        ));
    }
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

/// A CronJob's template of a Job: its Pods' defaults.
pub fn template_defaults(template: &mut Value) {
    default_template(template);
    if let Some(spec) = ensure(template, "spec") {
        spec_defaults(spec);
    }
}
