//! Which container instances of a Pod are probed: exactly those that run.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use tokio::task::{AbortHandle, JoinSet};

use super::worker::Worker;
use crate::{
    pod::{
        plan::Probed,
        runtime::{Container, State},
        spec,
    },
    probe::{Board, Counting, ProbeContext, Target, watch},
};

pub(crate) struct Probing {
    pub board: Board,
    /// Of the Pod, from its first probe on.
    counting: Option<Arc<Counting>>,
    tasks: JoinSet<()>,
    running: HashMap<String, AbortHandle>,
}

impl Probing {
    pub(crate) fn new(changed: impl Fn() + Send + Sync + 'static) -> Self {
        Self { board: Board::new(changed), counting: None, tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// Ends the probing of instances that don't run any more.
    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.running.retain(|id, task| {
            let kept = keep(id);
            if !kept {
                task.abort();
            }
            kept
        });
        self.board.retain(keep);
        while self.tasks.try_join_next().is_some() {}
    }

    pub(crate) fn stop(&mut self) {
        self.tasks.abort_all();
        self.running.clear();
    }
}

impl Worker {
    pub(super) fn follow_probes(&mut self) {
        let runtime = self.runtime.clone();
        self.probing.retain(|id| runtime.running().any(|container| container.id == id));
        for instance in runtime.running() {
            if !self.probing.board.has(&instance.id) && !self.hooks_pending(instance) {
                self.probe(instance);
            }
        }
    }

    /// Running instances whose hook has yet to run, by id.
    pub(super) fn hooks_due(&self) -> BTreeSet<String> {
        let due = self.runtime.running().filter(|instance| self.hooks_pending(instance));
        due.map(|instance| instance.id.clone()).collect()
    }

    /// While its postStart hook runs, an instance is neither started nor ready.
    fn hooks_pending(&self, instance: &Container) -> bool {
        let spec = spec::container(&self.pod, &instance.name);
        let has_hook =
            spec.as_deref().and_then(|spec| spec.lifecycle.as_ref()?.post_start.as_ref()).is_some();
        has_hook && !self.hooks_run.contains(&instance.id) && !was_started(&self.pod, instance)
    }

    fn probe(&mut self, instance: &Container) {
        let State::Running { started_at } = instance.state else { return };
        let board = self.probing.board.clone();
        let Some(container) = spec::container(&self.pod, &instance.name) else {
            return board.put(&instance.id, Probed { started: true, ready: true, failed: None });
        };
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        if probes.iter().all(|probe| probe.is_none()) {
            return board.put(&instance.id, Probed { started: true, ready: true, failed: None });
        }
        let own = self.runtime.sandboxes.first().and_then(|sandbox| sandbox.ips.first());
        let ip = own.or(self.context.config.node_ips.first()).cloned().unwrap_or_default();
        let (was_ready, was_started) = (was_ready(&self.pod, instance), was_started(&self.pod, instance));
        // On the board at once, so that the status that is computed next knows it.
        let started = container.startup_probe.is_none() || was_started;
        let ready = container.readiness_probe.is_none() || was_ready;
        board.put(&instance.id, Probed { started, ready, failed: None });
        let new = || Arc::new(self.context.metrics.probes.of(&self.pod));
        let counting = self.probing.counting.get_or_insert_with(new).clone();
        let context = ProbeContext {
            pod: Arc::clone(&self.pod),
            container: container.into_owned(),
            target: Target { cri: self.context.cri.clone(), container_id: instance.id.clone(), ip },
            started_at,
            board,
            events: self.context.events.clone(),
            counting,
            was_ready,
            was_started,
        };
        let task = self.probing.tasks.spawn(watch(context));
        self.probing.running.insert(instance.id.clone(), task);
    }
}

fn reported<'a>(
    pod: &'a Pod,
    instance: &Container,
) -> Option<&'a k8s_openapi::api::core::v1::ContainerStatus> {
    let id = format!("containerd://{}", instance.id);
    let status = pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| status.container_id.as_deref() == Some(&id))
}

/// The API already showed this very instance as ready: a restarted kubelet goes on from there.
fn was_ready(pod: &Pod, instance: &Container) -> bool {
    reported(pod, instance).is_some_and(|status| status.ready)
}

fn was_started(pod: &Pod, instance: &Container) -> bool {
    reported(pod, instance).is_some_and(|status| status.started == Some(true))
}
