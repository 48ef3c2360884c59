//! Copies of static Pods in the API, for people to see. They are made again should
//! somebody delete them, and go with their manifest, also one that went while no
//! kubelet ran. An ordinary Pod that has the name already stays.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams, Preconditions},
};
use tokio::{sync::watch, time::Instant};

use crate::{
    Error,
    error::is_not_found,
    pod::{names, spec},
    statics::Manifests,
    workers::{Context, Mirrors},
};

/// After a copy could not be made or removed.
const RETRY: Duration = Duration::from_secs(20);
/// How long a copy is away that somebody has deleted. Who waits for that looks by its name: made
/// again at once it would never seem gone, and `kubectl delete` would wait for ever.
const AWAY: Duration = Duration::from_secs(1);

/// Until the kubelet stops.
pub(crate) async fn keep(
    context: Arc<Context>,
    mut manifests: watch::Receiver<Option<Manifests>>,
) -> Result<(), Error> {
    let mut copies = context.registry.mirrors();
    let mut followed = true;
    let mut away_until = Instant::now();
    let mut before = Mirrors::new();
    loop {
        let (wanted, known) = (manifests.borrow_and_update().clone(), copies.borrow_and_update().clone());
        let mut again_at = None;
        if let (Some(wanted), Some(known)) = (wanted, known) {
            // Deleted without a grace period.
            if before.keys().any(|uid| !known.contains_key(uid)) {
                away_until = Instant::now() + AWAY;
            }
            for step in steps(&wanted, known.values()) {
                if matches!(step, Step::Make(_)) && Instant::now() < away_until {
                    again_at = Some(away_until);
                    continue;
                }
                if step.is_asked_for() {
                    away_until = Instant::now() + AWAY;
                }
                if !carry_out(&context, &step).await {
                    again_at = again_at.or(Some(Instant::now() + RETRY));
                }
            }
            before = known;
        }
        let pause = async {
            match again_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Without a folder the first set is the last.
            changed = manifests.changed(), if followed => followed = changed.is_ok(),
            changed = copies.changed() => if changed.is_err() { return Ok(()) },
            () = pause => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Remove(Arc<Pod>),
    Make(Arc<Pod>),
}

impl Step {
    fn pod(&self) -> &Arc<Pod> {
        match self {
            Self::Remove(pod) | Self::Make(pod) => pod,
        }
    }

    /// Whether it ends what somebody has begun to delete.
    fn is_asked_for(&self) -> bool {
        matches!(self, Self::Remove(copy) if copy.metadata.deletion_timestamp.is_some())
    }
}

/// First what is to go: it may hold a name that is needed.
fn steps<'a>(wanted: &Manifests, copies: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<Step> {
    let (good, bad): (Vec<&Arc<Pod>>, Vec<&Arc<Pod>>) = copies.partition(|copy| {
        let of = wanted.get(spec::annotation(copy, names::MIRROR).unwrap_or_default());
        copy.metadata.deletion_timestamp.is_none() && of.is_some_and(|pod| has_name_of(copy, pod))
    });
    let missing = wanted.values().filter(|pod| !good.iter().any(|copy| has_name_of(copy, pod)));
    let removals = bad.into_iter().cloned().map(Step::Remove);
    removals.chain(missing.cloned().map(Step::Make)).collect()
}

fn has_name_of(copy: &Pod, pod: &Pod) -> bool {
    (spec::namespace(copy), spec::name(copy)) == (spec::namespace(pod), spec::name(pod))
}

/// False when it has to be tried again.
async fn carry_out(context: &Context, step: &Step) -> bool {
    let result = match step {
        Step::Remove(copy) => remove(context, copy).await,
        Step::Make(pod) => make(context, pod).await,
    };
    match result {
        Ok(()) => true,
        // The Pod runs all the same, but nobody sees it.
        Err(kube::Error::Api(refused)) => {
            let (namespace, pod) = (spec::namespace(step.pod()), spec::name(step.pod()));
            let error = &refused.message;
            tracing::warn!(namespace, pod, error, "the API refuses the copy of a static pod; tried again");
            false
        }
        Err(error) => {
            tracing::debug!(?step, %error, "copy of a static pod is not as it should be; tried again");
            false
        }
    }
}

async fn make(context: &Context, pod: &Pod) -> Result<(), kube::Error> {
    let node = &context.config.node_name;
    let nodes: Api<Node> = Api::all(context.client.clone());
    let owner = nodes.get_opt(node).await?.and_then(|node| node.metadata.uid).map(|uid| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node.clone(),
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    });
    let mut copy = pod.clone();
    copy.metadata.uid = None;
    copy.metadata.owner_references = owner.map(|owner| vec![owner]);
    let annotations = copy.metadata.annotations.get_or_insert_default();
    annotations.insert(names::MIRROR.into(), spec::uid(pod).to_owned());
    let api: Api<Pod> = Api::namespaced(context.client.clone(), spec::namespace(pod));
    let made = api.create(&PostParams::default(), &copy).await.map(drop);
    let is_taken = made.as_ref().is_err_and(is_conflict);
    if is_taken
        && let Some(there) = api.get_opt(spec::name(pod)).await?
        && spec::annotation(&there, names::MIRROR) == Some(spec::uid(pod))
    {
        // It was made before, and the watch has not told of it yet.
        return Ok(());
    }
    made
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

async fn remove(context: &Context, copy: &Pod) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), spec::namespace(copy));
    let mut how = DeleteParams::default().grace_period(0);
    how.preconditions = Some(Preconditions { uid: copy.metadata.uid.clone(), resource_version: None });
    match api.delete(spec::name(copy), &how).await {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, uid: &str) -> Arc<Pod> {
        let metadata = json!({"name": name, "namespace": "default", "uid": uid});
        Arc::new(serde_json::from_value(json!({"metadata": metadata})).expect("a Pod"))
    }

    fn copy(name: &str, of: &str, deleted: bool) -> Arc<Pod> {
        let mut copy = Pod::clone(&pod(name, "copy"));
        copy.metadata.annotations = Some([(names::MIRROR.to_owned(), of.to_owned())].into());
        if deleted {
            copy.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).ok();
        }
        Arc::new(copy)
    }

    #[test]
    fn copies_follow_the_manifests() {
        let wanted: Manifests = [("u".to_owned(), pod("web", "u"))].into();
        let (make, remove) = (|| Step::Make(pod("web", "u")), |copy: &Arc<Pod>| Step::Remove(copy.clone()));
        let check = |copies: &[Arc<Pod>], expected: &[Step]| {
            assert_eq!(steps(&wanted, copies.iter()), expected, "{copies:?}");
        };
        check(&[], &[make()]);
        check(&[copy("web", "u", false)], &[]);
        // Somebody deletes it; the manifest changed; the manifest went.
        let deleted = copy("web", "u", true);
        check(std::slice::from_ref(&deleted), &[remove(&deleted), make()]);
        let older = copy("web", "before", false);
        check(std::slice::from_ref(&older), &[remove(&older), make()]);
        let left = copy("gone", "other", false);
        check(&[copy("web", "u", false), left.clone()], &[remove(&left)]);
    }
}
