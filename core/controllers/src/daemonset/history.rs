//! The revisions of a DaemonSet's template: what `kubectl rollout history` shows and
//! `kubectl rollout undo` goes back to. [`plan`] is pure, [`History::keep`] carries it out.
//!
//! A ControllerRevision holds a template as a patch of the DaemonSet. The one that
//! equals the present template is the current revision, and its hash is the label of
//! the Pods made from it: so the label stays the same should the hash be computed
//! otherwise one day, and no Pod is replaced for that.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{ControllerRevision, DaemonSet},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::place::{self, HASH};
use crate::{
    error::{Error, code, found},
    object, owner,
};

/// Revisions kept when the DaemonSet does not say.
const LIMIT: i32 = 10;

/// What is to be done so that the revisions are right.
#[derive(Debug, Default)]
pub struct History {
    /// The hash of the current revision: the label of its Pods.
    pub hash: String,
    /// The current revision, where it is not there yet.
    create: Option<ControllerRevision>,
    /// The current revision goes to the front, as after an undo.
    renumber: Option<(Arc<ControllerRevision>, i64)>,
    /// Old revisions beyond the limit.
    delete: Vec<Arc<ControllerRevision>>,
}

/// What the revisions of `set` should be. `live` are the hashes that Pods carry.
pub fn plan(set: &DaemonSet, mut revisions: Vec<Arc<ControllerRevision>>, live: &BTreeSet<&str>) -> History {
    revisions.retain(|revision| !object::deleting(&**revision));
    revisions.sort_by_key(|revision| (number(revision), object::created(&**revision)));
    let newest = revisions.last().map_or(0, |revision| number(revision));
    let position = revisions.iter().rposition(|revision| is_of(revision, &set.spec.template));
    let mut history = History::default();
    match position.map(|position| revisions.remove(position)) {
        Some(current) => {
            history.hash = object::labels(&*current).get(HASH).cloned().unwrap_or_default();
            if number(&current) < newest {
                history.renumber = Some((current, newest + 1));
            }
        }
        None => {
            let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
            history.hash = place::hash(&set.spec.template, collisions);
            history.create = Some(snapshot(set, &history.hash, newest + 1));
        }
    }
    let limit = set.spec.revision_history_limit.unwrap_or(LIMIT).max(0);
    let surplus = revisions.len().saturating_sub(limit as usize);
    let unused = |revision: &Arc<ControllerRevision>| {
        object::labels(&**revision).get(HASH).is_none_or(|hash| !live.contains(hash.as_str()))
    };
    history.delete = revisions.into_iter().filter(unused).take(surplus).collect();
    history
}

fn number(revision: &ControllerRevision) -> i64 {
    revision.revision.unwrap_or(0)
}

/// Whether the revision holds this template.
fn is_of(revision: &ControllerRevision, template: &PodTemplateSpec) -> bool {
    revision.data.0.pointer("/spec/template").is_some_and(|held| {
        serde_json::from_value::<PodTemplateSpec>(held.clone()).is_ok_and(|held| held == *template)
    })
}

fn snapshot(set: &DaemonSet, hash: &str, revision: i64) -> ControllerRevision {
    let mut template = serde_json::to_value(&set.spec.template).unwrap_or_default();
    if let Value::Object(template) = &mut template {
        // As a strategic patch it takes the place of the whole template.
        template.insert("$patch".to_owned(), json!("replace"));
    }
    let mut labels = set.spec.template.metadata.clone().unwrap_or_default().labels.unwrap_or_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", object::name(set))),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![owner::reference(set)]),
            ..ObjectMeta::default()
        },
        data: RawExtension(json!({"spec": {"template": template}})),
        revision: Some(revision),
    }
}

impl History {
    /// Makes it so. False when the current revision's name is another template's: then
    /// a hash with one more collision is to be tried.
    ///
    /// # Errors
    /// The API's.
    pub async fn keep(&self, client: &Client, set: &DaemonSet) -> Result<bool, Error> {
        let api: Api<ControllerRevision> = Api::namespaced(client.clone(), object::namespace(set));
        if let Some(new) = &self.create {
            match api.create(&PostParams::default(), new).await {
                Ok(_) => {}
                Err(error) if code(&error) == 409 => {
                    // Most often our own, which the cache doesn't show yet.
                    let there = found(api.get(object::name(new)).await)?;
                    let same = |there: &ControllerRevision| {
                        is_of(there, &set.spec.template)
                            && there.metadata.owner_references == new.metadata.owner_references
                    };
                    if !there.as_ref().is_some_and(same) {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some((current, revision)) = &self.renumber {
            let patch = json!({
                "metadata": {"resourceVersion": current.metadata.resource_version},
                "revision": revision,
            });
            api.patch(object::name(&**current), &PatchParams::default(), &Patch::Merge(patch)).await?;
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

    fn set(image: &str, limit: i32) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "default", "uid": "d"},
            "spec": {"selector": {"matchLabels": {"app": "d"}}, "revisionHistoryLimit": limit, "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            }},
        }))
        .expect("a DaemonSet")
    }

    fn revisions(images: &[(&str, i64)]) -> Vec<Arc<ControllerRevision>> {
        let made = images.iter().map(|(image, number)| {
            let set = set(image, 10);
            snapshot(&set, &place::hash(&set.spec.template, 0), *number)
        });
        made.map(Arc::new).collect()
    }

    #[test]
    fn a_new_template_gets_the_next_revision() {
        let first = plan(&set("one", 10), Vec::new(), &BTreeSet::new());
        let made = first.create.expect("it is new");
        assert_eq!((number(&made), object::name(&made)), (1, &*format!("d-{}", first.hash)));
        assert_eq!(object::labels(&made)["app"], "d");
        assert_eq!(made.data.0["spec"]["template"]["$patch"], "replace");
        let second = plan(&set("two", 10), vec![Arc::new(made)], &BTreeSet::new());
        assert_eq!(second.create.as_ref().map(number), Some(2));
        assert_ne!(second.hash, first.hash);
    }

    #[test]
    fn the_template_of_a_revision_is_found_again_and_goes_to_the_front() {
        let there = revisions(&[("one", 1), ("two", 2)]);
        let stays = plan(&set("two", 10), there.clone(), &BTreeSet::new());
        assert!(stays.create.is_none() && stays.renumber.is_none() && stays.delete.is_empty());
        let back = plan(&set("one", 10), there.clone(), &BTreeSet::new());
        let (current, number) = back.renumber.expect("it was the first");
        assert_eq!((object::name(&*current), number), (object::name(&*there[0]), 3));
        assert!(back.create.is_none());
        assert_eq!(back.hash, object::labels(&*there[0])[HASH]);
    }

    #[test]
    fn old_revisions_go_unless_a_pod_is_of_them() {
        let there = revisions(&[("one", 1), ("two", 2), ("three", 3), ("four", 4)]);
        let check = |limit, live: &[usize], gone: &[usize]| {
            let live = live.iter().map(|place| object::labels(&*there[*place])[HASH].as_str()).collect();
            let deleted = plan(&set("four", limit), there.clone(), &live).delete;
            let expected: Vec<_> = gone.iter().map(|place| object::name(&*there[*place])).collect();
            let deleted: Vec<_> = deleted.iter().map(|revision| object::name(&**revision)).collect();
            assert_eq!(deleted, expected, "{limit} {live:?}");
        };
        check(10, &[], &[]);
        check(1, &[], &[0, 1]);
        check(1, &[0], &[1, 2]);
        check(0, &[], &[0, 1, 2]);
    }
}
