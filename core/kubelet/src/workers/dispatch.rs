//! Who wakes whom: the API's watch, containerd's events, static Pods, and a slow
//! relist in case an event was lost.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::{
    api::core::v1::{Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::OnError;
use tiphys_runtime::{
    containerd::{EventKind, subscribe},
    cri::v1,
};
use tokio::sync::mpsc;

use super::{Context, Desired, worker::Worker};
use crate::{
    Error,
    pod::{names, spec},
    statics::StaticChange,
};

const RELIST: Duration = Duration::from_secs(30);

/// Starts the tasks that feed the workers.
pub(crate) fn dispatch(context: &Arc<Context>, pods: Cache<Pod>, statics: mpsc::Receiver<StaticChange>) {
    let own = context.clone();
    context.tasks.spawn("kubelet pods", OnError::Stop, async move { follow_pods(own, pods).await });
    let own = context.clone();
    context.tasks.spawn("kubelet static pods", OnError::Log, async move {
        let mut statics = statics;
        while let Some(change) = statics.recv().await {
            match change {
                StaticChange::Applied(pod) => tell(&own, Desired::As(pod)),
                StaticChange::Removed(pod) => tell(&own, Desired::Gone(pod)),
            }
        }
        Ok::<(), Error>(())
    });
    let own = context.clone();
    context.tasks.spawn_restarting("kubelet container events", move || follow_events(own.clone()));
    let own = context.clone();
    context.tasks.spawn_restarting("kubelet relist", move || relist(own.clone()));
}

async fn follow_pods(context: Arc<Context>, pods: Cache<Pod>) -> Result<(), Error> {
    let mut changes = Box::pin(pods.changes());
    pods.ready().await;
    resync(&context, &pods);
    adopt_orphans(&context).await;
    while let Some(change) = changes.next().await {
        match change {
            Change::Applied(pod) => applied(&context, pod),
            Change::Deleted(pod) => {
                if context.registry.has(spec::uid(&pod)) {
                    tell(&context, Desired::Gone(pod));
                }
            }
            Change::Resync => resync(&context, &pods),
        }
    }
    Ok(())
}

fn applied(context: &Arc<Context>, pod: Arc<Pod>) {
    // A copy of a static Pod tells nothing that the file does not.
    if spec::annotation(&pod, names::MIRROR).is_some() {
        return;
    }
    for namesake in context.registry.namesakes(&pod) {
        tell(context, Desired::Gone(namesake));
    }
    // Of a Pod that has ended and that the runtime forgot, there is nothing to do.
    tell(context, Desired::As(pod));
}

fn resync(context: &Arc<Context>, pods: &Cache<Pod>) {
    let all = pods.list();
    let uids: HashSet<String> = all.iter().map(|pod| spec::uid(pod).to_owned()).collect();
    context.registry.retain(&uids);
    all.into_iter().for_each(|pod| applied(context, pod));
}

fn tell(context: &Arc<Context>, desired: Desired) {
    let name = format!("pod {}/{}", spec::namespace(desired.pod()), spec::name(desired.pod()));
    if let Some(seat) = context.registry.tell(desired) {
        let worker = Worker::new(context.clone(), seat);
        context.metrics.workers.set(context.registry.count() as i64);
        context.tasks.spawn(name, OnError::Log, async move {
            worker.run().await;
            Ok::<(), Error>(())
        });
    }
}

/// What the runtime or the disk has of Pods that neither the API nor a file knows.
async fn adopt_orphans(context: &Arc<Context>) {
    let sandboxes = match context.cri.list_sandboxes(HashMap::new()).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            tracing::warn!(%error, "sandboxes could not be listed");
            return;
        }
    };
    let mut known: HashMap<String, Pod> = HashMap::new();
    for sandbox in sandboxes {
        let pod = skeleton(&sandbox);
        known.insert(spec::uid(&pod).to_owned(), pod);
    }
    for uid in context.volumes.known_pods() {
        known.entry(uid.clone()).or_insert_with(|| Pod {
            metadata: ObjectMeta { uid: Some(uid), ..Default::default() },
            ..Default::default()
        });
    }
    remove_stale_groups(context, &known).await;
    for (uid, pod) in known {
        if !uid.is_empty() && !context.registry.has(&uid) {
            tracing::info!(uid, pod = spec::name(&pod), "nobody asks for this pod any more; it is ended");
            tell(context, Desired::Gone(Arc::new(pod)));
        }
    }
}

/// Control groups of Pods of which nothing else is left.
async fn remove_stale_groups(context: &Context, known: &HashMap<String, Pod>) {
    let base = context.config.pods_group.trim_end_matches('/');
    for class in ["", "/burstable", "/besteffort"] {
        for name in context.hierarchy.children(&format!("{base}{class}")) {
            let Some(uid) = name.strip_prefix("pod") else { continue };
            if known.contains_key(uid) || context.registry.has(uid) {
                continue;
            }
            if let Err(error) = context.hierarchy.remove(&format!("{base}{class}/{name}")).await {
                tracing::warn!(uid, %error, "control group of a pod that is gone was not removed");
            }
        }
    }
}

/// As much of a Pod as its sandbox tells.
fn skeleton(sandbox: &v1::PodSandbox) -> Pod {
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    let grace = sandbox.annotations.get(names::GRACE).and_then(|seconds| seconds.parse().ok());
    Pod {
        metadata: ObjectMeta {
            name: Some(metadata.name),
            namespace: Some(metadata.namespace),
            uid: Some(metadata.uid),
            ..Default::default()
        },
        spec: Some(PodSpec { termination_grace_period_seconds: grace, ..Default::default() }),
        status: None,
    }
}

async fn follow_events(context: Arc<Context>) -> Result<(), Error> {
    let mut events = Box::pin(subscribe(&context.socket).await?);
    // What happened while nobody listened is found by looking.
    context.registry.views().iter().for_each(|view| context.registry.wake(spec::uid(&view.pod)));
    while let Some(event) = events.next().await {
        let event = event?;
        match event.kind {
            EventKind::Exited => context.registry.ended(&event.id),
            // What starts was started by a worker, which looks by itself; a container
            // that ran out of memory ends, which is an event of its own.
            EventKind::Started | EventKind::OutOfMemory => {}
        }
    }
    Err(Error::Spec("containerd ended the stream of events".into()))
}

/// Compares all containers with what was there half a minute ago.
async fn relist(context: Arc<Context>) -> Result<(), Error> {
    let mut before: BTreeMap<String, i32> = BTreeMap::new();
    loop {
        tokio::time::sleep(RELIST).await;
        context.metrics.safety_relists.inc();
        let containers = context.cri.list_containers(HashMap::new()).await?;
        let sandboxes = context.cri.list_sandboxes(HashMap::new()).await?;
        let now: BTreeMap<String, i32> = containers
            .iter()
            .map(|container| (container.id.clone(), container.state))
            .chain(sandboxes.iter().map(|sandbox| (sandbox.id.clone(), 10 + sandbox.state)))
            .collect();
        let seen = seen(&context);
        for (id, state) in &now {
            let lost = before.get(id) == Some(state) && seen.get(id).is_some_and(|seen| seen != state);
            if lost && let Some(uid) = context.registry.owner(id) {
                context.metrics.missed_events.inc();
                context.registry.wake(&uid);
            }
        }
        before = now;
    }
}

/// States as the workers last saw them, in CRI's numbers.
fn seen(context: &Context) -> HashMap<String, i32> {
    use crate::pod::runtime::State;
    let mut seen = HashMap::new();
    for view in context.registry.views() {
        for container in &view.runtime.containers {
            let state = match container.state {
                State::Created => v1::ContainerState::ContainerCreated,
                State::Running { .. } => v1::ContainerState::ContainerRunning,
                State::Exited(_) => v1::ContainerState::ContainerExited,
            };
            seen.insert(container.id.clone(), state.into());
        }
        for sandbox in &view.runtime.sandboxes {
            seen.insert(sandbox.id.clone(), 10 + i32::from(!sandbox.ready));
        }
    }
    seen
}
