//! The revisions of a workload's template: what `kubectl rollout history` shows and
//! `kubectl rollout undo` goes back to. [`plan`] is pure, [`settle`] carries it out.
//!
//! A ControllerRevision holds a template as a patch of its owner. The one that
//! equals the present template is the newest revision, and the Pods made from it
//! say so by a label. The hash in its name only tells names apart: should it be
//! computed otherwise one day, no Pod is replaced for that.

use std::sync::Arc;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{ControllerRevision, DaemonSet, StatefulSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    deployment::template_hash,
    error::{Error, code, found, namespace_terminating},
    object, owner,
    selector::Matcher,
    watched::{Kind, Watched},
};

/// By which label a Pod tells its revision.
pub const REVISION: &str = "controller-revision-hash";
/// Revisions kept when the owner does not say.
const LIMIT: i32 = 10;

/// A kind whose templates are kept as revisions.
pub trait Revised: Kind + Resource<Scope = NamespaceResourceScope> + Sync {
    /// The label of a revision with the hash of its template.
    const HASH: &str;
    /// Whether revisions that Pods are of count against the limit.
    const LIVE_ONES_COUNT: bool;

    fn template(&self) -> &PodTemplateSpec;

    fn limit(&self) -> Option<i32>;

    fn collisions(&self) -> i32;
}

impl Revised for DaemonSet {
    const HASH: &str = REVISION;
    const LIVE_ONES_COUNT: bool = true;

    fn template(&self) -> &PodTemplateSpec {
        &self.spec.template
    }

    fn limit(&self) -> Option<i32> {
        self.spec.revision_history_limit
    }

    fn collisions(&self) -> i32 {
        self.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
    }
}

impl Revised for StatefulSet {
    const HASH: &str = "controller.kubernetes.io/hash";
    const LIVE_ONES_COUNT: bool = false;

    fn template(&self) -> &PodTemplateSpec {
        &self.spec.template
    }

    fn limit(&self) -> Option<i32> {
        self.spec.revision_history_limit
    }

    fn collisions(&self) -> i32 {
        self.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)
    }
}

/// The revisions as they should be, and what is to be done for it.
#[derive(Debug)]
pub struct History {
    /// Holds the present template.
    pub newest: Arc<ControllerRevision>,
    /// The others, the oldest first.
    pub older: Vec<Arc<ControllerRevision>>,
    step: Step,
    /// Old revisions beyond the limit.
    delete: Vec<Arc<ControllerRevision>>,
}

/// What the newest revision needs.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Create,
    /// It goes to the front with this number, as after an undo.
    Renumber(i64),
}

/// How [`settle`] ended.
pub enum Settled {
    Kept(History),
    /// The newest revision's name is another template's: a hash with one more collision
    /// is to be tried.
    Taken,
    /// The namespace is going away and takes nothing new.
    Leaving,
}

/// What the revisions of `owner` should be; `live` tells those that are in use.
pub fn plan<O: Revised>(
    owner: &O,
    mut revisions: Vec<Arc<ControllerRevision>>,
    live: impl Fn(&ControllerRevision) -> bool,
) -> History {
    revisions.retain(|revision| !object::deleting(&**revision));
    revisions.sort_by_key(|revision| (number(revision), object::created(&**revision)));
    let highest = revisions.last().map_or(0, |revision| number(revision));
    let position = revisions.iter().rposition(|revision| is_of(revision, owner.template()));
    let (newest, step) = match position.map(|position| revisions.remove(position)) {
        Some(newest) if number(&newest) < highest => (newest, Step::Renumber(highest + 1)),
        Some(newest) => (newest, Step::Nothing),
        None => (Arc::new(snapshot(owner, highest + 1)), Step::Create),
    };
    let unused = revisions.iter().filter(|revision| !live(revision));
    let counted = if O::LIVE_ONES_COUNT { revisions.len() } else { unused.clone().count() };
    let surplus = counted.saturating_sub(owner.limit().unwrap_or(LIMIT).max(0) as usize);
    let delete = unused.take(surplus).cloned().collect();
    History { newest, older: revisions, step, delete }
}

fn number(revision: &ControllerRevision) -> i64 {
    revision.revision.unwrap_or(0)
}

/// The template that a revision holds.
pub fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let held = revision.data.0.pointer("/spec/template")?;
    serde_json::from_value(held.clone()).ok()
}

fn is_of(revision: &ControllerRevision, present: &PodTemplateSpec) -> bool {
    template(revision).is_some_and(|held| held == *present)
}

fn snapshot<O: Revised>(owner: &O, revision: i64) -> ControllerRevision {
    let hash = template_hash(owner.template(), owner.collisions());
    let mut template = serde_json::to_value(owner.template()).unwrap_or_default();
    if let Value::Object(template) = &mut template {
        // As a strategic patch it takes the place of the whole template.
        template.insert("$patch".to_owned(), json!("replace"));
    }
    let mut labels = owner.template().metadata.clone().unwrap_or_default().labels.unwrap_or_default();
    labels.insert(O::HASH.to_owned(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", object::name(owner))),
            namespace: owner.meta().namespace.clone(),
            labels: Some(labels),
            annotations: owner.meta().annotations.clone(),
            owner_references: Some(vec![owner::reference(owner)]),
            ..ObjectMeta::default()
        },
        data: RawExtension(json!({"spec": {"template": template}})),
        revision: Some(revision),
    }
}

/// Takes the revisions that `selector` matches for `owner`'s and brings them up to date;
/// those of an owner that is being deleted stay as they are.
///
/// # Errors
/// The API's.
pub async fn settle<O: Revised>(
    client: &Client,
    revisions: &Watched<ControllerRevision>,
    owner: &O,
    selector: &Matcher,
    live: impl Fn(&ControllerRevision) -> bool,
) -> Result<Settled, Error> {
    let mut all = revisions.controlled_by(object::uid(owner));
    all.extend(revisions.orphans(object::namespace(owner)));
    let all = owner::claim_all(client, owner, selector, all).await?;
    let history = plan(owner, all, live);
    if object::deleting(owner) {
        return Ok(Settled::Kept(history));
    }
    match history.keep(client, owner).await {
        Ok(true) => Ok(Settled::Kept(history)),
        Ok(false) => Ok(Settled::Taken),
        Err(Error::Api(error)) if namespace_terminating(&error) => Ok(Settled::Leaving),
        Err(error) => Err(error),
    }
}

impl History {
    /// Makes it so. False when the newest revision's name is another template's.
    async fn keep<O: Revised>(&self, client: &Client, owner: &O) -> Result<bool, Error> {
        let api: Api<ControllerRevision> = Api::namespaced(client.clone(), object::namespace(owner));
        let newest = &*self.newest;
        match self.step {
            Step::Nothing => {}
            Step::Create => match api.create(&PostParams::default(), newest).await {
                Ok(_) => {}
                Err(error) if code(&error) == 409 => {
                    // Most often our own, which the cache doesn't show yet.
                    let there = found(api.get(object::name(newest)).await)?;
                    let same = |there: &ControllerRevision| {
                        is_of(there, owner.template())
                            && there.metadata.owner_references == newest.metadata.owner_references
                    };
                    if !there.as_ref().is_some_and(same) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            },
            Step::Renumber(revision) => {
                let patch = json!({
                    "metadata": {"resourceVersion": newest.metadata.resource_version},
                    "revision": revision,
                });
                api.patch(object::name(newest), &PatchParams::default(), &Patch::Merge(patch)).await?;
            }
        }
        for old in &self.delete {
            found(api.delete(object::name(&**old), &DeleteParams::default()).await)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made<O: Revised>(kind: &str, image: &str, limit: i32) -> O {
        let set = json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": "d", "namespace": "default", "uid": "d"},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "revisionHistoryLimit": limit, "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            }},
        });
        serde_json::from_value(set).expect("a workload")
    }

    fn set(image: &str, limit: i32) -> DaemonSet {
        made("DaemonSet", image, limit)
    }

    fn hash(revision: &ControllerRevision) -> &str {
        &object::labels(revision)[REVISION]
    }

    fn revisions(images: &[(&str, i64)]) -> Vec<Arc<ControllerRevision>> {
        images.iter().map(|(image, number)| Arc::new(snapshot(&set(image, 10), *number))).collect()
    }

    #[test]
    fn a_new_template_gets_the_next_revision() {
        let first = plan(&set("one", 10), Vec::new(), |_| false);
        assert_eq!(first.step, Step::Create);
        let made = &*first.newest;
        assert_eq!((number(made), object::name(made)), (1, &*format!("d-{}", hash(made))));
        assert_eq!(object::labels(made)["app"], "d");
        assert_eq!(made.data.0["spec"]["template"]["$patch"], "replace");
        assert_eq!(template(made).as_ref(), Some(set("one", 10).template()));
        let second = plan(&set("two", 10), vec![first.newest.clone()], |_| false);
        assert_eq!((&second.step, number(&second.newest)), (&Step::Create, 2));
        assert_ne!(hash(&second.newest), hash(&first.newest));
        let mut again = set("two", 10);
        again.status.get_or_insert_default().collision_count = Some(1);
        assert_ne!(hash(&plan(&again, Vec::new(), |_| false).newest), hash(&second.newest));
    }

    #[test]
    fn the_template_of_a_revision_is_found_again_and_goes_to_the_front() {
        let there = revisions(&[("one", 1), ("two", 2)]);
        let stays = plan(&set("two", 10), there.clone(), |_| false);
        assert!(stays.step == Step::Nothing && stays.delete.is_empty());
        let back = plan(&set("one", 10), there.clone(), |_| false);
        assert_eq!(back.step, Step::Renumber(3), "it was the first");
        assert_eq!(object::name(&*back.newest), object::name(&*there[0]));
        assert_eq!(object::name(&*back.older[0]), object::name(&*there[1]));
    }

    #[test]
    fn old_revisions_go_unless_a_pod_is_of_them() {
        fn check<O: Revised>(kind: &str, limit: i32, live: &[usize], gone: &[usize]) {
            let images = ["one", "two", "three", "four"];
            let there: Vec<_> = (1..)
                .zip(images)
                .map(|(number, image)| Arc::new(snapshot(&made::<O>(kind, image, 10), number)))
                .collect();
            let names = |places: &[usize]| -> Vec<_> {
                places.iter().map(|place| object::name(&*there[*place]).to_owned()).collect()
            };
            let live = names(live);
            let is_live = |revision: &ControllerRevision| live.iter().any(|n| n == object::name(revision));
            let deleted = plan(&made::<O>(kind, "four", limit), there.clone(), is_live).delete;
            let deleted: Vec<_> = deleted.iter().map(|revision| object::name(&**revision)).collect();
            assert_eq!(deleted, names(gone), "{kind} {limit} {live:?}");
        }
        let daemons = check::<DaemonSet>;
        daemons("DaemonSet", 10, &[], &[]);
        daemons("DaemonSet", 1, &[], &[0, 1]);
        daemons("DaemonSet", 1, &[0], &[1, 2]);
        daemons("DaemonSet", 0, &[], &[0, 1, 2]);
        let stateful = check::<StatefulSet>;
        stateful("StatefulSet", 1, &[], &[0, 1]);
        stateful("StatefulSet", 1, &[0], &[1]);
        stateful("StatefulSet", 0, &[1], &[0, 2]);
    }
}
