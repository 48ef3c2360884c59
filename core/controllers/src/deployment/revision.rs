//! Which ReplicaSet has the Deployment's template, what a new one is called and
//! carries, and which old ones are no longer kept. Pure.
//!
//! A ReplicaSet is the new one when its template equals the Deployment's apart
//! from the label `pod-template-hash`; the hash itself only makes names. So a
//! hash may change with a version without a rollout.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{View, rollout};
use crate::{object, owner};

pub const HASH: &str = "pod-template-hash";
pub const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";

/// The Deployment's annotations that its ReplicaSets don't inherit.
const OWN_ANNOTATIONS: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    rollout::DESIRED,
    rollout::MAX,
    "deprecated.deployment.rollback.to",
];

/// Tells the new ReplicaSet (the oldest, should there be several) from the old ones.
pub fn split(deployment: Arc<Deployment>, mut sets: Vec<Arc<ReplicaSet>>) -> View {
    sets.sort_by_key(|set| (object::created(&**set), object::name(&**set).to_owned()));
    let position = sets.iter().position(|set| same_template(&deployment, set));
    let new = position.map(|position| sets.remove(position));
    View { deployment, new, old: sets }
}

pub fn same_template(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let own = without_hash(&deployment.spec.template);
    set.spec.template.as_ref().is_some_and(|template| without_hash(template) == own)
}

fn without_hash(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let meta = template.metadata.get_or_insert_default();
    meta.creation_timestamp = None;
    meta.labels.get_or_insert_default().remove(HASH);
    meta.annotations.get_or_insert_default();
    template
}

/// A short name of the template; `collisions` makes another one when it is taken.
pub fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    // FNV-1a: stable over versions and platforms, which std's hashers are not.
    let mut hash: u32 = 0x811c_9dc5;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    feed(&serde_json::to_vec(template).unwrap_or_default());
    if collisions > 0 {
        feed(&collisions.to_le_bytes());
    }
    // No vowels and no lookalike digits: a name must not spell a word.
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digit = |digit: char| char::from(ALPHABET[digit as usize % ALPHABET.len()]);
    hash.to_string().chars().map(digit).collect()
}

/// The ReplicaSet to create for the Deployment's template.
pub fn new_set(view: &View) -> ReplicaSet {
    let deployment = &*view.deployment;
    let spec = deployment.spec.clone();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = hash(&spec.template, collisions);
    let (mut template, mut selector) = (spec.template, spec.selector);
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
    let mut annotations = inherited(deployment);
    annotations.insert(REVISION.to_owned(), next_revision(view).to_string());
    annotations.extend(sizes(deployment));
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", object::name(deployment))),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![owner::reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(rollout::new_size(view, 0)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// The annotations that tell what a ReplicaSet was sized for.
pub fn sizes(deployment: &Deployment) -> [(String, String); 2] {
    let replicas = rollout::wanted(deployment);
    let max = replicas.saturating_add(rollout::bounds(deployment).0);
    [(rollout::DESIRED.to_owned(), replicas.to_string()), (rollout::MAX.to_owned(), max.to_string())]
}

pub fn revision(set: &ReplicaSet) -> i64 {
    object::annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn next_revision(view: &View) -> i64 {
    view.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
}

fn inherited(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| !OWN_ANNOTATIONS.contains(&key.as_str()));
    annotations
}

/// The annotations that the new ReplicaSet should have: inherited ones, and a
/// revision above all old ones (which is how a rollback moves to the front).
pub fn annotations(view: &View, new: &ReplicaSet) -> BTreeMap<String, String> {
    let mut annotations = new.metadata.annotations.clone().unwrap_or_default();
    annotations.extend(inherited(&view.deployment));
    let (current, next) = (revision(new), next_revision(view));
    if current < next {
        if current > 0 {
            let history = annotations.get(HISTORY).map(|text| format!("{text},")).unwrap_or_default();
            annotations.insert(HISTORY.to_owned(), format!("{history}{current}"));
        }
        annotations.insert(REVISION.to_owned(), next.to_string());
    }
    annotations
}

/// Old ReplicaSets beyond `revisionHistoryLimit`, oldest revision first; only
/// those that have nothing left to do.
pub fn superfluous(view: &View) -> Vec<Arc<ReplicaSet>> {
    let limit = view.deployment.spec.revision_history_limit.unwrap_or(10);
    let mut old: Vec<_> = view.old.iter().filter(|set| !object::deleting(&***set)).cloned().collect();
    let surplus = old.len().saturating_sub(limit.max(0) as usize);
    old.sort_by_key(|set| revision(set));
    old.truncate(surplus);
    old.retain(|set| {
        let status = set.status.clone().unwrap_or_default();
        let observed = status.observed_generation.unwrap_or(0);
        status.replicas == 0 && rollout::size(set) == 0 && object::generation(&**set) <= observed
    });
    old
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::sample::{Set, deployment, view};
    use serde_json::json;

    fn with_revision(mut set: ReplicaSet, revision: i64) -> Arc<ReplicaSet> {
        set.metadata.annotations.get_or_insert_default().insert(REVISION.into(), revision.to_string());
        Arc::new(set)
    }

    #[test]
    fn a_created_set_is_found_again_as_the_new_one() {
        let deployment = deployment(3, json!(1), json!(0));
        let set = new_set(&view(&deployment, &[]));
        assert_eq!(set.spec.replicas, Some(3));
        assert_eq!(revision(&set), 1);
        let view = split(deployment.clone(), vec![Arc::new(set.clone())]);
        assert!(view.new.is_some());

        let mut changed = (*deployment).clone();
        let template = &mut changed.spec.template;
        template.spec.get_or_insert_default().host_network = Some(true);
        let next = split(Arc::new(changed), vec![Arc::new(set.clone())]);
        assert!(next.new.is_none());
        assert_ne!(new_set(&next).metadata.name, set.metadata.name);
        assert_eq!(revision(&new_set(&next)), 2);
    }

    #[test]
    fn the_hash_is_stable_and_collisions_change_it() {
        let deployment = deployment(1, json!(1), json!(0));
        let template = &deployment.spec.template;
        assert_eq!(hash(template, 0), hash(template, 0));
        assert_ne!(hash(template, 0), hash(template, 1));
        assert!(hash(template, 0).bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)));
    }

    #[test]
    fn a_rollback_takes_the_next_revision_and_remembers_its_former_one() {
        let deployment = deployment(1, json!(1), json!(0));
        let set = with_revision(new_set(&view(&deployment, &[])), 1);
        let other = with_revision(ReplicaSet::default(), 2);
        let view = split(deployment, vec![set.clone(), other]);
        let annotations = annotations(&view, &set);
        assert_eq!(annotations[REVISION], "3");
        assert_eq!(annotations[HISTORY], "1");
    }

    #[test]
    fn history_beyond_the_limit_goes_oldest_first() {
        let mut deployment = (*deployment(1, json!(1), json!(0))).clone();
        deployment.spec.revision_history_limit = Some(1);
        let mut view =
            view(&Arc::new(deployment), &[Set::old("a", 0, 0), Set::old("b", 0, 0), Set::old("c", 1, 1)]);
        let numbered = view.old.iter().enumerate();
        view.old = numbered.map(|(number, set)| with_revision((**set).clone(), 3 - number as i64)).collect();
        let names: Vec<_> = superfluous(&view).iter().map(|set| object::name(&**set).to_owned()).collect();
        // c still has Pods; a is the newest and is kept.
        assert_eq!(names, ["b"]);
    }
}
