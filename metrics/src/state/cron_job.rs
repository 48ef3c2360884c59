//! CronJobs.

use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::CronJob;

use super::{
    Name,
    rows::{Rows, seconds},
    schedule::Schedule,
};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_cronjob_info", Gauge, "A CronJob, with its schedule"),
    ("kube_cronjob_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_cronjob_status_active", Gauge, "Jobs of it that run"),
    ("kube_cronjob_status_last_schedule_time", Gauge, "When it last made a Job, since the Unix epoch"),
    (
        "kube_cronjob_status_last_successful_time",
        Gauge,
        "When a Job of it last succeeded, since the Unix epoch",
    ),
    (
        "kube_cronjob_next_schedule_time",
        Gauge,
        "When it is due next after it last made a Job, since the Unix epoch",
    ),
    ("kube_cronjob_schedule_invalid", Gauge, "Its schedule or time zone can't be understood"),
    ("kube_cronjob_spec_suspend", Gauge, "Whether it makes no Jobs"),
    ("kube_cronjob_spec_starting_deadline_seconds", Gauge, "How late a Job may begin"),
    ("kube_cronjob_spec_successful_job_history_limit", Gauge, "Jobs kept that succeeded"),
    ("kube_cronjob_spec_failed_job_history_limit", Gauge, "Jobs kept that failed"),
    ("kube_cronjob_metadata_resource_version", Gauge, "The version of the object"),
];

pub fn tell(object: &CronJob) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("cronjob", meta);
    rows.time("kube_cronjob_created", meta.creation_timestamp.as_ref());
    rows.version("kube_cronjob_metadata_resource_version", meta);
    let spec = &object.spec;
    let policy = spec.concurrency_policy.as_deref().unwrap_or("Allow");
    let zone = spec.time_zone.as_deref().unwrap_or("local");
    let info = [("schedule", spec.schedule.as_str()), ("concurrency_policy", policy), ("timezone", zone)];
    rows.with("kube_cronjob_info", &info, 1.0);
    rows.flag("kube_cronjob_spec_suspend", spec.suspend == Some(true));
    rows.whole("kube_cronjob_spec_starting_deadline_seconds", spec.starting_deadline_seconds);
    rows.some("kube_cronjob_spec_successful_job_history_limit", spec.successful_jobs_history_limit);
    rows.some("kube_cronjob_spec_failed_job_history_limit", spec.failed_jobs_history_limit);
    let status = object.status.as_ref();
    let active = status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len);
    rows.put("kube_cronjob_status_active", active as u32);
    rows.time(
        "kube_cronjob_status_last_schedule_time",
        status.and_then(|status| status.last_schedule_time.as_ref()),
    );
    rows.time(
        "kube_cronjob_status_last_successful_time",
        status.and_then(|status| status.last_successful_time.as_ref()),
    );
    due(&mut rows, object);
    rows
}

/// When it is due. One that is late has a time that is over.
fn due(rows: &mut Rows, object: &CronJob) {
    let zone = match object.spec.time_zone.as_deref() {
        Some(name) => TimeZone::get(name).ok(),
        None => Some(TimeZone::system()),
    };
    let Some((schedule, zone)) = Schedule::parse(&object.spec.schedule).zip(zone) else {
        return rows.put("kube_cronjob_schedule_invalid", 1);
    };
    if object.spec.suspend == Some(true) {
        return;
    }
    let last = object.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let since = last.or(object.metadata.creation_timestamp.as_ref());
    if let Some(next) = since.and_then(|since| schedule.next(since.0, &zone)) {
        rows.with("kube_cronjob_next_schedule_time", &[], seconds(next));
    }
}
