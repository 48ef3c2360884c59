//! The Pod's status, computed and written when it changed.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{last_words::last_words, registry::is_local, worker::Worker};
use crate::{
    error::is_not_found,
    pod::{
        container_status::Knowledge,
        plan::Plan,
        runtime::State,
        spec,
        status::{Surroundings, status},
    },
};

impl Worker {
    /// False when the API could not be told.
    pub(super) async fn report(&mut self, plan: &Plan) -> bool {
        self.age_problems();
        self.report_as(plan, plan.finished || self.failure.is_some()).await
    }

    /// `over`: nothing of the Pod will run again.
    pub(super) async fn report_as(&mut self, plan: &Plan, over: bool) -> bool {
        let probes = self.probing.board.all();
        let known = Knowledge {
            pod: &self.pod,
            runtime: &self.runtime,
            probes: &probes,
            problems: &self.problems,
            crash_loops: &plan.crash_loops,
            over,
        };
        let around = Surroundings {
            host_ips: &self.context.config.node_ips,
            failure: self.failure.as_ref(),
            now: Timestamp::now(),
        };
        let now = status(&known, &around);
        let unchanged = self.written.as_ref() == Some(&now);
        let mut pod = Pod::clone(&self.pod);
        pod.status = Some(now.clone());
        self.pod = Arc::new(pod);
        self.show();
        self.say_crash_loops(plan);
        if unchanged || is_local(&self.pod) {
            self.written = Some(now);
            return true;
        }
        self.write(now).await
    }

    fn say_crash_loops(&self, plan: &Plan) {
        use crate::events::Kind;
        for (name, message) in &plan.crash_loops {
            let message = format!(
                "Back-off restarting failed container {name} in pod {}: {message}",
                spec::name(&self.pod)
            );
            self.context.events.container(&self.pod, name, Kind::Warning, "BackOff", message);
        }
    }

    async fn write(&mut self, now: PodStatus) -> bool {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), spec::namespace(&self.pod));
        let before = serde_json::to_value(&self.written).unwrap_or_default();
        let after = serde_json::to_value(&now).unwrap_or_default();
        let patch = json!({"metadata": {"uid": self.uid}, "status": difference(&before, &after)});
        let written =
            api.patch_status(spec::name(&self.pod), &PatchParams::default(), &Patch::Merge(patch)).await;
        self.context.metrics.status_writes.inc();
        match written {
            Ok(_) => {
                self.written = Some(now);
                true
            }
            Err(error) if is_not_found(&error) => true,
            Err(error) => {
                tracing::debug!(pod = spec::name(&self.pod), %error, "status was not written");
                false
            }
        }
    }

    /// What containers said at their end becomes part of their record.
    pub(super) fn read_last_words(&mut self) {
        let root = self.context.config.log_root.clone();
        for container in &mut self.runtime.containers {
            let State::Exited(exit) = &mut container.state else { continue };
            if !exit.message.is_empty() {
                continue;
            }
            let message = self.messages.entry(container.id.clone()).or_insert_with(|| {
                let file =
                    self.context.volumes.termination_log(&self.uid, &container.name, container.attempt);
                let log = root.join(&container.log_path);
                last_words(&file, &log, spec::container(&self.pod, &container.name), exit.code)
            });
            exit.message = message.clone();
        }
        let runtime = &self.runtime;
        self.messages.retain(|id, _| runtime.containers.iter().any(|container| container.id == *id));
    }
}

/// A merge patch from one value to another: null for what is gone.
fn difference(before: &Value, after: &Value) -> Value {
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return after.clone() };
    let mut patch: serde_json::Map<String, Value> = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    patch.extend(old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null)));
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_holds_what_changed_and_what_is_gone() {
        let before = json!({"phase": "Pending", "message": "x", "conditions": [1]});
        let after = json!({"phase": "Running", "conditions": [1]});
        assert_eq!(difference(&before, &after), json!({"phase": "Running", "message": null}));
        assert_eq!(difference(&Value::Null, &after), after);
    }
}
