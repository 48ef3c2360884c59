//! The end of a Pod: hooks, grace, then nothing is left.
//!
//! ```text
//! preStop ─> stop (grace) ─> sidecars, last started first ─> sandbox ─> volumes ─> group ─> API object
//! ```
//!
//! Every step may be repeated: a restarted kubelet begins again and finds less to do.
//! An end that has begun is brought to its end, though the Pod may be wanted again
//! meanwhile (a manifest moved away and back): then it starts anew afterwards.
//! The log folder stays until its lines are taken over (see `logs::retention`).

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};

use super::{Desired, registry::News, worker::Worker};
use crate::{
    Error,
    error::is_not_found,
    events::Kind,
    pod::{plan::Plan, resources, runtime::Container, spec},
    probe::run_handler,
};

/// Even a forced deletion leaves a container this long.
const LEAST_GRACE: Duration = Duration::from_secs(1);

impl Worker {
    /// Brings the Pod to its end; `None` when nothing is left.
    pub(super) async fn terminate(&mut self) -> Result<Option<Duration>, Error> {
        self.probing.stop();
        self.starting = None;
        loop {
            let grace = self.grace();
            let mut desired = self.desired.clone();
            desired.mark_unchanged();
            let changed = async {
                // A second deletion may leave less time than the first.
                loop {
                    if desired.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    if grace_of(&desired.borrow()) < grace {
                        return;
                    }
                }
            };
            tokio::select! {
                stopped = self.stop_containers(grace) => {
                    stopped?;
                    break;
                }
                () = changed => self.take_shorter_grace(),
            }
        }
        self.refresh(&News::default()).await?;
        self.report_over().await;
        self.clean().await?;
        let deleted = self.desired.borrow().deleted().cloned();
        if let Some(pod) = deleted {
            self.forget(&pod).await?;
        }
        Ok(None)
    }

    fn grace(&self) -> Duration {
        grace_of(&self.desired.borrow())
    }

    fn take_shorter_grace(&mut self) {
        let desired = self.desired.borrow_and_update().clone();
        let mut pod = Pod::clone(desired.pod());
        pod.status = self.pod.status.clone();
        self.pod = std::sync::Arc::new(pod);
    }

    /// Containers first, then sidecars from the last to the first: they serve the others.
    pub(super) async fn stop_containers(&mut self, grace: Duration) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + grace;
        let sidecars: Vec<String> = spec::init_containers(&self.pod)
            .iter()
            .filter(|container| spec::is_sidecar(container))
            .map(|container| container.name.clone())
            .collect();
        let running: Vec<Container> = self.runtime.running().cloned().collect();
        let (aside, main): (Vec<_>, Vec<_>) =
            running.into_iter().partition(|found| sidecars.contains(&found.name));
        let stops = main.iter().map(|container| self.kill(container, "", grace));
        for stopped in join_all(stops).await {
            stopped?;
        }
        for name in sidecars.iter().rev() {
            for container in aside.iter().filter(|container| container.name == *name) {
                let left = deadline.saturating_duration_since(tokio::time::Instant::now()).max(LEAST_GRACE);
                self.kill(container, "", left).await?;
            }
        }
        Ok(())
    }

    /// Runs the preStop hook and stops the container, both within its grace.
    pub(super) async fn kill(&self, container: &Container, why: &str, grace: Duration) -> Result<(), Error> {
        let message = match why {
            "" => format!("Stopping container {}", container.name),
            why => why.to_owned(),
        };
        self.context.events.container(&self.pod, &container.name, Kind::Normal, "Killing", message);
        let begun = tokio::time::Instant::now();
        let spec = spec::container(&self.pod, &container.name);
        let hook = spec.as_deref().and_then(|spec| Some((spec, spec.lifecycle.as_ref()?.pre_stop.as_ref()?)));
        if let Some((spec, hook)) = hook.filter(|_| !grace.is_zero()) {
            let target = self.target(&container.id);
            let ran = tokio::time::timeout(grace, Box::pin(run_handler(&target, spec, hook, grace))).await;
            if let Ok(Err(message)) = ran {
                let said = format!("PreStopHook failed: {message}");
                self.context.events.container(
                    &self.pod,
                    &container.name,
                    Kind::Warning,
                    "FailedPreStopHook",
                    said,
                );
            }
        }
        let left = grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace));
        Ok(self.context.cri.stop_container(&container.id, left).await?)
    }

    /// The status at the end, while there is somebody to read it.
    async fn report_over(&mut self) {
        let is_deleted = self.desired.borrow().deleted().is_some();
        if is_deleted {
            self.report_as(&Plan::default(), true).await;
        }
    }

    async fn clean(&mut self) -> Result<(), Error> {
        let cri = &self.context.cri;
        let recorded = self.runtime.sandboxes.iter().map(|sandbox| sandbox.group.clone());
        let mut groups: Vec<String> = recorded.filter(|group| !group.is_empty()).collect();
        if self.pod.spec.is_some() {
            groups.push(resources::pod_group(&self.context.config.pods_group, &self.pod));
        }
        groups.sort();
        groups.dedup();
        for sandbox in &self.runtime.sandboxes {
            cri.stop_sandbox(&sandbox.id).await?;
        }
        // Removing a sandbox removes its containers; those of a lost sandbox go alone.
        for sandbox in &self.runtime.sandboxes {
            cri.remove_sandbox(&sandbox.id).await?;
        }
        let lost = |container: &&Container| {
            !self.runtime.sandboxes.iter().any(|sandbox| sandbox.id == container.sandbox)
        };
        for container in self.runtime.containers.iter().filter(lost) {
            cri.remove_container(&container.id).await?;
        }
        let (volumes, uid) = (self.context.volumes.clone(), self.uid.clone());
        match tokio::task::spawn_blocking(move || volumes.remove(&uid)).await {
            Ok(removed) => removed?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        for group in groups {
            self.context.hierarchy.remove(&group).await?;
        }
        Ok(())
    }

    /// Takes the object out of the API: nothing of the Pod is left here.
    async fn forget(&self, pod: &Pod) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), spec::namespace(pod));
        let mut how = DeleteParams::default().grace_period(0);
        how.preconditions = Some(Preconditions { uid: pod.metadata.uid.clone(), resource_version: None });
        match api.delete(spec::name(pod), &how).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Another Pod has the name already.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

fn grace_of(desired: &Desired) -> Duration {
    Duration::from_secs(spec::grace_seconds(desired.pod()).unsigned_abs())
}
