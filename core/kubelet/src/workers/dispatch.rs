//! Who wakes whom: the API's watch, containerd's events, static Pods, and a slow
//! relist in case an event was lost.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use tiphys_client::{Cache, Change};
use tiphys_lifecycle::OnError;
use tiphys_runtime::containerd::{EventKind, subscribe};
use tokio::sync::watch;

use super::{
    Context, Desired,
    relist::{Told, left_static, relist},
    worker::Worker,
};
use crate::{
    Error, mirrors,
    pod::{names, spec},
    statics::Manifests,
};

/// So long static Pods wait for the API, whose copies tell what they were; they run
/// without it, too.
const WAIT_FOR_API: Duration = Duration::from_secs(10);

/// Starts the tasks that feed the workers.
pub(crate) fn dispatch(
    context: &Arc<Context>,
    pods: &Cache<Pod>,
    manifests: &watch::Receiver<Option<Manifests>>,
) {
    let told = watch::Sender::new(Told::default());
    let both = told.subscribe();
    let (own, cache, tell_told) = (context.clone(), pods.clone(), told.clone());
    let follow = async move { follow_pods(own, cache, tell_told).await };
    context.tasks.spawn("kubelet pods", OnError::Stop, follow);
    let (own, cache, files) = (context.clone(), pods.clone(), manifests.clone());
    let follow = async move { follow_manifests(own, cache, files, told).await };
    context.tasks.spawn("kubelet static pods", OnError::Log, follow);
    let (own, files) = (context.clone(), manifests.clone());
    context.tasks.spawn_restarting("kubelet mirror pods", move || mirrors::keep(own.clone(), files.clone()));
    let own = context.clone();
    context.tasks.spawn_restarting("kubelet container events", move || follow_events(own.clone()));
    let own = context.clone();
    context.tasks.spawn_restarting("kubelet relist", move || relist(own.clone(), both.clone()));
}

async fn follow_pods(
    context: Arc<Context>,
    pods: Cache<Pod>,
    told: watch::Sender<Told>,
) -> Result<(), Error> {
    let mut changes = Box::pin(pods.changes());
    pods.ready().await;
    resync(&context, &pods);
    told.send_modify(|told| told.api = true);
    while let Some(change) = changes.next().await {
        match change {
            // The change may be older than what was read at the last resync.
            Change::Applied(pod) => {
                if let Some(newest) = pods.get(spec::namespace(&pod), spec::name(&pod)) {
                    applied(&context, newest);
                }
            }
            Change::Deleted(pod) => {
                context.registry.mirror_gone(&pod);
                if context.registry.has(spec::uid(&pod)) {
                    tell(&context, Desired::Gone(pod));
                }
            }
            Change::Resync => resync(&context, &pods),
        }
    }
    Ok(())
}

async fn follow_manifests(
    context: Arc<Context>,
    pods: Cache<Pod>,
    mut manifests: watch::Receiver<Option<Manifests>>,
    told: watch::Sender<Told>,
) -> Result<(), Error> {
    // Without an answer they start all the same.
    let _ = tokio::time::timeout(WAIT_FOR_API, pods.ready()).await;
    loop {
        let wanted = manifests.borrow_and_update().clone();
        if let Some(wanted) = wanted {
            if !told.borrow().files {
                end_left(&context, &wanted).await;
            }
            for gone in
                context.registry.locals().into_iter().filter(|pod| !wanted.contains_key(spec::uid(pod)))
            {
                tell(&context, Desired::Gone(gone));
            }
            wanted.into_values().for_each(|pod| tell(&context, Desired::As(pod)));
            told.send_modify(|told| told.files = true);
        }
        if manifests.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Told before any other, so that a changed Pod waits for the one before.
async fn end_left(context: &Arc<Context>, wanted: &Manifests) {
    match left_static(context, wanted).await {
        Ok(left) => left.into_iter().for_each(|pod| tell(context, Desired::Gone(Arc::new(pod)))),
        // The relist ends them later.
        Err(error) => tracing::warn!(%error, "static pods of an earlier kubelet were not looked for"),
    }
}

fn applied(context: &Arc<Context>, pod: Arc<Pod>) {
    // A copy of a static Pod tells nothing that the file does not.
    if is_copy(&pod) {
        return context.registry.mirror(pod);
    }
    for namesake in context.registry.namesakes(&pod) {
        tell(context, Desired::Gone(namesake));
    }
    // Of a Pod that has ended and that the runtime forgot, there is nothing to do.
    tell(context, Desired::As(pod));
}

fn is_copy(pod: &Pod) -> bool {
    spec::annotation(pod, names::MIRROR).is_some()
}

fn resync(context: &Arc<Context>, pods: &Cache<Pod>) {
    let all = pods.list();
    let uids: HashSet<String> = all.iter().map(|pod| spec::uid(pod).to_owned()).collect();
    context.registry.retain(&uids);
    let (copies, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|pod| is_copy(pod));
    context.registry.mirror_all(copies);
    others.into_iter().for_each(|pod| applied(context, pod));
}

pub(super) fn tell(context: &Arc<Context>, desired: Desired) {
    let name = format!("pod {}/{}", spec::namespace(desired.pod()), spec::name(desired.pod()));
    let pod = desired.pod().clone();
    if let Some(seat) = context.registry.tell(desired) {
        // Before it has a group: from its start on it has its part of what its class weighs.
        context.classes.takes(&pod);
        let worker = Worker::new(context.clone(), seat);
        context.metrics.workers.set(context.registry.count() as i64);
        context.tasks.spawn(name, OnError::Log, async move {
            worker.run().await;
            Ok::<(), Error>(())
        });
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
