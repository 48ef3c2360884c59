//! Jobs.

use k8s_openapi::api::batch::v1::Job;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_job_info", Gauge, "A Job"),
    ("kube_job_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_job_owner", Gauge, "Who owns it"),
    ("kube_job_spec_parallelism", Gauge, "Pods that may run at a time"),
    ("kube_job_spec_completions", Gauge, "Pods that must succeed"),
    ("kube_job_spec_active_deadline_seconds", Gauge, "How long it may run"),
    ("kube_job_status_active", Gauge, "Pods that run"),
    ("kube_job_status_ready", Gauge, "Pods that are ready"),
    ("kube_job_status_succeeded", Gauge, "Pods that succeeded"),
    ("kube_job_status_failed", Gauge, "Pods that failed"),
    ("kube_job_status_start_time", Gauge, "When it began, since the Unix epoch"),
    ("kube_job_status_completion_time", Gauge, "When it was done, since the Unix epoch"),
    ("kube_job_status_suspended", Gauge, "Whether it is held"),
    ("kube_job_complete", Gauge, "Whether it is done, in each state"),
    ("kube_job_failed", Gauge, "Whether it failed, in each state"),
];

pub fn tell(object: &Job) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("job_name", meta);
    rows.put("kube_job_info", 1);
    rows.time("kube_job_created", meta.creation_timestamp.as_ref());
    rows.owners("kube_job_owner", meta);
    if let Some(spec) = &object.spec {
        rows.some("kube_job_spec_parallelism", spec.parallelism);
        rows.some("kube_job_spec_completions", spec.completions);
        rows.whole("kube_job_spec_active_deadline_seconds", spec.active_deadline_seconds);
    }
    let Some(status) = &object.status else { return rows };
    rows.put("kube_job_status_active", status.active.unwrap_or_default());
    rows.put("kube_job_status_ready", status.ready.unwrap_or_default());
    rows.put("kube_job_status_succeeded", status.succeeded.unwrap_or_default());
    rows.put("kube_job_status_failed", status.failed.unwrap_or_default());
    rows.time("kube_job_status_start_time", status.start_time.as_ref());
    rows.time("kube_job_status_completion_time", status.completion_time.as_ref());
    for condition in status.conditions.iter().flatten() {
        let name = match condition.type_.as_str() {
            "Complete" => "kube_job_complete",
            "Failed" => "kube_job_failed",
            "Suspended" => {
                rows.flag("kube_job_status_suspended", condition.status == "True");
                continue;
            }
            _ => continue,
        };
        for (state, shown) in [("True", "true"), ("False", "false"), ("Unknown", "unknown")] {
            let holds = f64::from(u8::from(condition.status == state));
            rows.with(name, &[("condition", shown)], holds);
        }
    }
    rows
}
