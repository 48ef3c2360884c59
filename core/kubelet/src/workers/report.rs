//! The Pod's status, computed and written when it changed.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{last_words::last_words, registry::is_local, worker::Worker};
use crate::{
    error::is_not_found,
    pod::{
        container_status::Knowledge,
        plan::Plan,
        runtime::State,
        spec,
        status::{Surroundings, status},
        status_patch::status_patch,
    },
    versions::is_newer,
};

impl Worker {
    /// False when the API does not show it yet.
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
        let mut pod = Pod::clone(&self.pod);
        pod.status = Some(now.clone());
        self.pod = Arc::new(pod);
        self.show();
        self.context.classes.takes(&self.pod);
        self.say_crash_loops(plan);
        self.status = Some(now.clone());
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

    /// The object that shows the status, as new as it is known: the Pod's own, or the
    /// copy of a static Pod. `None` when there is no such object.
    fn object(&self) -> Option<Arc<Pod>> {
        let told = match is_local(&self.pod) {
            false => self.desired.borrow().pod().clone(),
            true => self.context.registry.mirror_of(&self.uid)?,
        };
        // The watch may tell of our last write later.
        let written = self.written.as_ref().filter(|written| is_newer(&written.metadata, &told.metadata));
        Some(written.cloned().unwrap_or(told))
    }

    /// Compares with what the object shows, not with what was sent last: others may
    /// have written over it.
    async fn write(&mut self, now: PodStatus) -> bool {
        let Some(object) = self.object() else { return true };
        let Some(patch) = status_patch(object.status.as_ref(), &now) else { return true };
        let uid = spec::uid(&object);
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), spec::namespace(&self.pod));
        let patch = Patch::Strategic(json!({"metadata": {"uid": uid}, "status": patch}));
        let written = api.patch_status(spec::name(&self.pod), &PatchParams::default(), &patch).await;
        self.context.metrics.status_writes.inc();
        match written {
            Ok(answer) => {
                // Somebody else's word may have come between.
                let complete = status_patch(answer.status.as_ref(), &now).is_none();
                self.written = Some(Arc::new(answer));
                complete
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
                let spec = spec::container(&self.pod, &container.name);
                last_words(&file, &root, &log, spec.as_deref(), exit.code)
            });
            exit.message = message.clone();
        }
        let runtime = &self.runtime;
        self.messages.retain(|id, _| runtime.containers.iter().any(|container| container.id == *id));
    }
}
