//! A slow look at everything the runtime and the disk have: whether an event was
//! lost, and what of Pods is left that nobody asks for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Pod, PodSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use tiphys_runtime::cri::v1;
use tokio::sync::watch;

use super::{Context, Desired, dispatch::tell, registry::is_local};
use crate::{
    Error,
    pod::{names, runtime::State, spec},
    statics::Manifests,
};

const RELIST: Duration = Duration::from_secs(30);

/// Who has told already which Pods are to run here. Before both have, what runs
/// may only seem to be left over.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub api: bool,
    pub files: bool,
}

/// Until the kubelet stops. Begins when it is known which Pods are to run.
pub(super) async fn relist(context: Arc<Context>, mut told: watch::Receiver<Told>) -> Result<(), Error> {
    if told.wait_for(|told| told.api && told.files).await.is_err() {
        return Ok(());
    }
    let mut before: BTreeMap<String, i32> = BTreeMap::new();
    loop {
        context.metrics.safety_relists.inc();
        let containers = context.cri.list_containers(HashMap::new()).await?;
        let sandboxes = context.cri.list_sandboxes(HashMap::new()).await?;
        let left = found(&sandboxes, context.volumes.known_pods());
        remove_stale_groups(&context, &left).await;
        for pod in orphans(left, |uid| context.registry.has(uid)) {
            let (uid, name) = (spec::uid(&pod), spec::name(&pod));
            tracing::info!(uid, pod = name, "nobody asks for this pod any more; it is ended");
            tell(&context, Desired::Gone(Arc::new(pod)));
        }
        let now = states(&containers, &sandboxes);
        wake_for_lost(&context, &before, &now);
        before = now;
        tokio::time::sleep(RELIST).await;
    }
}

/// Pods, by uid, of which the runtime or the disk has something.
fn found(sandboxes: &[v1::PodSandbox], folders: Vec<String>) -> HashMap<String, Pod> {
    let bare = |uid: String| Pod {
        metadata: ObjectMeta { uid: Some(uid), ..Default::default() },
        ..Default::default()
    };
    let mut found: HashMap<String, Pod> = folders.into_iter().map(|uid| (uid.clone(), bare(uid))).collect();
    for pod in sandboxes.iter().map(skeleton) {
        found.insert(spec::uid(&pod).to_owned(), pod);
    }
    found
}

/// Those that neither the API nor a file knows.
fn orphans(found: HashMap<String, Pod>, is_known: impl Fn(&str) -> bool) -> Vec<Pod> {
    found.into_iter().filter(|(uid, _)| !uid.is_empty() && !is_known(uid)).map(|(_, pod)| pod).collect()
}

/// Static Pods that run and of which no file tells any more: their manifests went or
/// changed while no kubelet ran.
pub(super) async fn left_static(context: &Context, wanted: &Manifests) -> Result<Vec<Pod>, Error> {
    let sandboxes = context.cri.list_sandboxes(HashMap::new()).await?;
    let pods = sandboxes.iter().map(skeleton);
    Ok(pods.filter(|pod| is_local(pod) && !wanted.contains_key(spec::uid(pod))).collect())
}

/// As much of a Pod as its sandbox tells.
fn skeleton(sandbox: &v1::PodSandbox) -> Pod {
    let source = sandbox.annotations.get_key_value(names::CONFIG_SOURCE);
    let metadata = sandbox.metadata.clone().unwrap_or_default();
    let grace = sandbox.annotations.get(names::GRACE).and_then(|seconds| seconds.parse().ok());
    Pod {
        metadata: ObjectMeta {
            name: Some(metadata.name),
            namespace: Some(metadata.namespace),
            uid: Some(metadata.uid),
            annotations: source.map(|(key, value)| [(key.clone(), value.clone())].into()),
            ..Default::default()
        },
        spec: Some(PodSpec { termination_grace_period_seconds: grace, ..Default::default() }),
        status: None,
    }
}

/// Control groups of Pods of which nothing else is left.
async fn remove_stale_groups(context: &Context, left: &HashMap<String, Pod>) {
    let base = context.config.pods_group.trim_end_matches('/');
    for class in ["", "/burstable", "/besteffort"] {
        for name in context.hierarchy.children(&format!("{base}{class}")) {
            let Some(uid) = name.strip_prefix("pod") else { continue };
            if left.contains_key(uid) || context.registry.has(uid) {
                continue;
            }
            if let Err(error) = context.hierarchy.remove(&format!("{base}{class}/{name}")).await {
                tracing::warn!(uid, %error, "control group of a pod that is gone was not removed");
            }
        }
    }
}

/// Sandboxes have numbers of their own.
const SANDBOX: i32 = 10;

fn states(containers: &[v1::Container], sandboxes: &[v1::PodSandbox]) -> BTreeMap<String, i32> {
    let of_containers = containers.iter().map(|container| (container.id.clone(), container.state));
    let of_sandboxes = sandboxes.iter().map(|sandbox| (sandbox.id.clone(), SANDBOX + sandbox.state));
    of_containers.chain(of_sandboxes).collect()
}

/// What has been otherwise for half a minute than its worker saw it.
fn wake_for_lost(context: &Context, before: &BTreeMap<String, i32>, now: &BTreeMap<String, i32>) {
    let seen = seen(context);
    for (id, state) in now {
        let lost = before.get(id) == Some(state) && seen.get(id).is_some_and(|seen| seen != state);
        if lost && let Some(uid) = context.registry.owner(id) {
            context.metrics.missed_events.inc();
            context.registry.wake(&uid);
        }
    }
}

/// States as the workers last saw them, in CRI's numbers.
fn seen(context: &Context) -> HashMap<String, i32> {
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
            seen.insert(sandbox.id.clone(), SANDBOX + i32::from(!sandbox.ready));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_found_by_sandbox_and_folder() {
        let metadata = v1::PodSandboxMetadata { name: "web".into(), uid: "1".into(), ..Default::default() };
        let annotations = HashMap::from([(names::GRACE.to_owned(), "7".to_owned())]);
        let sandbox = v1::PodSandbox { metadata: Some(metadata), annotations, ..Default::default() };
        // A sandbox that somebody else made has no uid.
        let foreign = v1::PodSandbox::default();
        let left = found(&[sandbox, foreign], ["1", "2", "3"].map(str::to_owned).into());
        let mut orphans = orphans(left, |uid| uid == "3");
        orphans.sort_by(|a, b| spec::uid(a).cmp(spec::uid(b)));
        let uids: Vec<&str> = orphans.iter().map(spec::uid).collect();
        assert_eq!(uids, ["1", "2"]);
        assert_eq!((spec::name(&orphans[0]), spec::grace_seconds(&orphans[0])), ("web", 7));
    }
}
