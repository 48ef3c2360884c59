//! CronJob: Jobs by the clock. Served; nothing starts them yet.

use serde_json::Value;

use super::job;
use crate::{
    access::{default, empty_status, ensure, flag, has, keep_status, list, present, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, joined, text_or_none},
    validate::{Errors, labels, not_negative, one_of, schedule},
    workload::default_template,
};

const LONGEST_NAME: usize = 52;

pub static KIND: Kind = Kind {
    short_names: &["cj"],
    categories: &["all"],
    subresources: &[Subresource::Status],
    default: defaults,
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    validate_create,
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
    // The Job's own defaults come with each Job.
    if let Some(template) = spec.get_mut("jobTemplate") {
        default_template(template);
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let schedule = text(spec, "/schedule");
    let mut refuse = |detail: String| {
        errors.push(FieldError::invalid("spec.schedule", &schedule.into(), detail));
    };
    if let Some(why) = schedule::cron(schedule).err().filter(|_| !schedule.is_empty()) {
        refuse(why);
    }
    if schedule.contains("TZ") {
        refuse("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".into());
    }
    if schedule.is_empty() {
        errors.push(FieldError::required("spec.schedule", ""));
    }
    if let Some(zone) = present(spec, "/timeZone")
        && let Some(why) = schedule::time_zone(zone.as_str().unwrap_or_default())
    {
        errors.push(FieldError::invalid("spec.timeZone", zone, why));
    }
    one_of(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], &mut errors);
    for key in ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(spec, key, "spec", &mut errors);
    }
    let template = spec.pointer("/jobTemplate/spec").unwrap_or(&Value::Null);
    job::validate_spec(template, "spec.jobTemplate.spec", &mut errors);
    if let Some(selector) = present(template, "/selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(FieldError::invalid("spec.jobTemplate.spec.selector", selector, detail));
    }
    if flag(template, "/manualSelector") {
        let field = "spec.jobTemplate.spec.manualSelector";
        errors.push(FieldError::not_supported(field, "true", &["nil", "false"]));
    }
    errors
}

/// What is wrong only with a new one: its Jobs' names are its own and a moment.
fn validate_create(object: &Value) -> Errors {
    let name = text(object, "/metadata/name");
    let long = name.len() > LONGEST_NAME;
    let error = || FieldError::invalid("metadata.name", &name.into(), "must be no more than 52 characters");
    long.then(error).into_iter().collect()
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
