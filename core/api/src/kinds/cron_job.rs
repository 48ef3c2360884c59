//! CronJob: Jobs by the clock. Served; nothing starts them yet.

use serde_json::Value;

use super::job;
use crate::{
    access::{default, empty_status, ensure, flag, has, keep_status, list, present, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, joined, text_or_none},
    validate::{Errors, labels, not_negative, one_of},
    workload::validate_pod_template,
};

pub static KIND: Kind = Kind {
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[Subresource::Status],
    default: defaults,
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Schedule", |c, _| text_or_none(c, "/spec/schedule")),
        Column::text("Timezone", |c, _| text_or_none(c, "/spec/timeZone")),
        Column::text("Suspend", |c, _| if flag(c, "/spec/suspend") { "True" } else { "False" }.into()),
        Column::number("Active", |c, _| list(c, "/status/active").len().into()),
        Column::text("Last Schedule", last_schedule),
        AGE,
        Column::text("Containers", |c, _| of_containers(c, "name")).wide(),
        Column::text("Images", |c, _| of_containers(c, "image")).wide(),
        Column::text("Selector", |c, _| labels::to_text(c.pointer("/spec/jobTemplate/spec/selector")).into())
            .wide(),
    ],
    ..Kind::namespaced("batch", "v1", "CronJob", "cronjobs", "cronjob", "io.k8s.api.batch.v1.CronJob")
};

fn defaults(object: &mut Value) {
    let Some(spec) = ensure(object, "spec") else { return };
    default(spec, "concurrencyPolicy", "Allow");
    default(spec, "suspend", false);
    default(spec, "successfulJobsHistoryLimit", 3);
    default(spec, "failedJobsHistoryLimit", 1);
    if let Some(template) = spec.get_mut("jobTemplate") {
        job::template_defaults(template);
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let schedule = text(spec, "/schedule");
    let n_fields = schedule.split_whitespace().count();
    if schedule.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    } else if n_fields != 5 && !schedule.starts_with('@') {
        let detail = format!("expected exactly 5 fields, found {n_fields}: {schedule:?}");
        errors.push(FieldError::invalid("spec.schedule", &schedule.into(), detail));
    }
    one_of(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], &mut errors);
    for key in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(spec, key, "spec", &mut errors);
    }
    let path = "spec.jobTemplate.spec.template";
    match present(spec, "/jobTemplate/spec/template") {
        Some(template) => {
            validate_pod_template(template, path, &["OnFailure", "Never"], &mut errors);
            job::required_policy(template.get("spec"), &format!("{path}.spec"), &mut errors);
        }
        None => errors.push(FieldError::required(path, "")),
    }
    errors
}

fn last_schedule(object: &Value, now: i64) -> Value {
    if !has(object, "/status/lastScheduleTime") {
        return "<none>".into();
    }
    human::since(object.pointer("/status/lastScheduleTime"), now).into()
}

fn of_containers(object: &Value, key: &str) -> Value {
    let containers = list(object, "/spec/jobTemplate/spec/template/spec/containers");
    joined(containers.iter().filter_map(|c| c.get(key)?.as_str()))
}
