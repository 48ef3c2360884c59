//! The claims of a StatefulSet's Pods, and who owns them. Pure.
//!
//! A claim outlives its Pod. Whether it outlives the set, or the ordinal's end by
//! scaling, is said by owner references, so that the garbage collector carries it out:
//!
//! | whenDeleted | whenScaled | owner of a claim |
//! |---|---|---|
//! | Retain | Retain | nobody |
//! | Delete | Retain | the set |
//! | Retain | Delete | a Pod that scaling takes away |
//! | Delete | Delete | the set; a Pod that scaling takes away instead |
//!
//! References that another controller made, or that are left of a former object of the
//! name, are not ours: such a claim is let alone.

use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::Resource;
use tiphys_client::LeanPod;

use super::identity::{self, Ordinal};
use crate::{object, owner};

/// The names of volumes that are claims, and of the claims.
pub fn names(set: &StatefulSet, ordinal: Ordinal) -> impl Iterator<Item = (&str, String)> {
    let templates = set.spec.volume_claim_templates.as_deref().unwrap_or_default();
    templates.iter().map(move |template| {
        let volume = object::name(template);
        (volume, format!("{volume}-{}", identity::pod_name(set, ordinal)))
    })
}

/// The ordinal whose claim this is, when it is one of the set's.
pub fn ordinal(set: &StatefulSet, claim: &str) -> Option<Ordinal> {
    let templates = set.spec.volume_claim_templates.as_deref().unwrap_or_default();
    templates.iter().find_map(|template| {
        let pod = claim.strip_prefix(object::name(template))?.strip_prefix('-')?;
        identity::ordinal(set, pod)
    })
}

/// The claims to create for a Pod that stays.
pub fn wanted(set: &StatefulSet, ordinal: Ordinal) -> Vec<PersistentVolumeClaim> {
    let templates = set.spec.volume_claim_templates.iter().flatten();
    let labels = set.spec.selector.match_labels.iter().flatten();
    let claim = |(template, (_, name)): (&PersistentVolumeClaim, (&str, String))| {
        let mut claim = template.clone();
        claim.metadata.name = Some(name);
        claim.metadata.namespace = set.metadata.namespace.clone();
        let labels = labels.clone().map(|(key, value)| (key.clone(), value.clone()));
        claim.metadata.labels.get_or_insert_default().extend(labels);
        let owned = Policy::of(set).owners(false).0;
        claim.metadata.owner_references = owned.then(|| vec![owner::reference(set)]);
        claim.status = None;
        claim
    };
    templates.zip(names(set, ordinal)).map(claim).collect()
}

#[derive(Debug, Clone, Copy)]
struct Policy {
    with_set: bool,
    with_ordinal: bool,
}

impl Policy {
    fn of(set: &StatefulSet) -> Self {
        let policy = set.spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
        let deletes = |when: Option<String>| when.as_deref() == Some("Delete");
        Self { with_set: deletes(policy.when_deleted), with_ordinal: deletes(policy.when_scaled) }
    }

    /// Whether the set, and whether the Pod owns a claim.
    fn owners(self, scaled_away: bool) -> (bool, bool) {
        let of_pod = self.with_ordinal && scaled_away;
        (self.with_set && !of_pod, of_pod)
    }
}

/// Whether the claim of a Pod that is yet to be made belongs to a former one, with
/// which it will go.
pub fn is_stale(set: &StatefulSet, pod: &str, claim: &PersistentVolumeClaim) -> bool {
    Policy::of(set).with_ordinal && owners(claim).iter().any(|owner| is_pod(owner, pod))
}

/// What a claim's owners should be.
#[derive(Debug, PartialEq)]
pub struct Correction {
    pub owners: Vec<OwnerReference>,
    /// Another controller owns the claim: the policy does not hold for it.
    pub conflict: bool,
}

/// The owners that a claim of this Pod should have, where it has others.
pub fn correction(set: &StatefulSet, pod: &LeanPod, claim: &PersistentVolumeClaim) -> Option<Correction> {
    let owners = owners(claim);
    let (set_name, set_uid) = (object::name(set), object::uid(set));
    let (pod_name, pod_uid) = (object::name(pod), object::uid(pod));
    let ours = |owner: &OwnerReference| is_set(owner, set_name) || is_pod(owner, pod_name);
    let is_former = |owner: &&OwnerReference| owner.uid != set_uid && owner.uid != pod_uid;
    if owners.iter().filter(|owner| ours(owner)).any(|owner| is_former(&owner)) {
        return None;
    }
    let has = |uid: &str| owners.iter().any(|owner| owner.uid == uid);
    let policy = Policy::of(set);
    let others: Vec<_> = owners.iter().filter(|owner| !ours(owner)).cloned().collect();
    let managed = others.iter().any(|owner| owner.controller == Some(true));
    if managed && (policy.with_set || policy.with_ordinal) {
        let ours_too = has(set_uid) || has(pod_uid);
        return ours_too.then_some(Correction { owners: others, conflict: true });
    }
    let scaled_away =
        identity::ordinal(set, pod_name).is_none_or(|ordinal| !identity::in_range(set, ordinal));
    let (of_set, of_pod) = policy.owners(scaled_away);
    let plain = owners.iter().any(|owner| ours(owner) && owner.controller != Some(true));
    if !plain && (has(set_uid), has(pod_uid)) == (of_set, of_pod) {
        return None;
    }
    let mut owners = others;
    owners.extend(of_set.then(|| owner::reference(set)));
    owners.extend(of_pod.then(|| pod_reference(pod)));
    Some(Correction { owners, conflict: false })
}

fn owners(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim.metadata.owner_references.as_deref().unwrap_or_default()
}

fn is_set(owner: &OwnerReference, name: &str) -> bool {
    owner.api_version == StatefulSet::api_version(&()) && owner.kind == "StatefulSet" && owner.name == name
}

fn is_pod(owner: &OwnerReference, name: &str) -> bool {
    owner.api_version == "v1" && owner.kind == "Pod" && owner.name == name
}

fn pod_reference(pod: &LeanPod) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: object::name(pod).to_owned(),
        uid: object::uid(pod).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statefulset::sample::{Stage, pod, set};
    use serde_json::json;

    fn with_policy(deleted: &str, scaled: &str) -> StatefulSet {
        set(json!({
            "replicas": 2,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled},
            "volumeClaimTemplates": [
                {"metadata": {"name": "data", "labels": {"tier": "db"}}, "spec": {"accessModes": ["ReadWriteOnce"]}},
            ],
        }))
    }

    fn reference(kind: &str, name: &str, uid: &str, controller: bool) -> OwnerReference {
        let api_version = if kind == "Pod" { "v1" } else { "apps/v1" }.to_owned();
        let (kind, name, uid) = (kind.to_owned(), name.to_owned(), uid.to_owned());
        let controller = Some(controller).filter(|controller| *controller);
        OwnerReference { api_version, kind, name, uid, controller, block_owner_deletion: controller }
    }

    fn owned(owners: &[OwnerReference]) -> PersistentVolumeClaim {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.owner_references = Some(owners.to_vec());
        claim
    }

    #[test]
    fn claims_are_named_by_template_and_pod_and_found_again() {
        let set = with_policy("Delete", "Retain");
        let [claim] = &wanted(&set, 1)[..] else { panic!("one claim") };
        assert_eq!((object::name(claim), object::namespace(claim)), ("data-web-1", "n"));
        assert_eq!(
            serde_json::to_value(object::labels(claim)).expect("JSON"),
            json!({"app": "web", "tier": "db"})
        );
        assert_eq!(owners(claim), [owner::reference(&set)]);
        assert!(owners(&wanted(&with_policy("Retain", "Delete"), 1)[0]).is_empty());
        for (name, expected) in
            [("data-web-1", Some(1)), ("data-web-01", None), ("log-web-1", None), ("data-db-1", None)]
        {
            assert_eq!(ordinal(&set, name), expected, "{name}");
        }
    }

    #[test]
    fn owners_follow_the_policy() {
        let set_owner = || reference("StatefulSet", "web", "web-uid", true);
        let pod_owner = |name: &str| reference("Pod", name, &format!("{name}-uid"), true);
        for (deleted, scaled, name, expected) in [
            ("Retain", "Retain", "web-1", vec![]),
            ("Retain", "Retain", "web-2", vec![]),
            ("Delete", "Retain", "web-1", vec![set_owner()]),
            ("Delete", "Retain", "web-2", vec![set_owner()]),
            ("Retain", "Delete", "web-1", vec![]),
            ("Retain", "Delete", "web-2", vec![pod_owner("web-2")]),
            ("Delete", "Delete", "web-1", vec![set_owner()]),
            ("Delete", "Delete", "web-2", vec![pod_owner("web-2")]),
        ] {
            let (set, pod) = (with_policy(deleted, scaled), pod(name, "r", Stage::Ready(0), false));
            for before in
                [vec![], vec![set_owner()], vec![pod_owner(name)], vec![set_owner(), pod_owner(name)]]
            {
                let corrected = correction(&set, &pod, &owned(&before)).map(|correction| correction.owners);
                let expected = (before != expected).then(|| expected.clone());
                assert_eq!(corrected, expected, "{deleted} {scaled} {name} {before:?}");
            }
        }
    }

    #[test]
    fn what_others_own_is_let_alone() {
        let set = with_policy("Delete", "Delete");
        let pod = pod("web-2", "r", Stage::Ready(0), false);
        let check = |why: &str, before: &[OwnerReference], expected: Option<(Vec<OwnerReference>, bool)>| {
            let corrected = correction(&set, &pod, &owned(before));
            let expected = expected.map(|(owners, conflict)| Correction { owners, conflict });
            assert_eq!(corrected, expected, "{why}");
        };
        let mine = || reference("Pod", "web-2", "web-2-uid", true);
        let backup = || reference("Backup", "b", "b", true);
        let plain = || reference("Backup", "b", "b", false);
        check("a former set", &[reference("StatefulSet", "web", "former", true)], None);
        check("a former Pod", &[reference("Pod", "web-2", "former", true)], None);
        check("a controller", &[backup()], None);
        check("a controller beside us", &[backup(), mine()], Some((vec![backup()], true)));
        check("a plain owner", &[plain()], Some((vec![plain(), mine()], false)));
        let not_controller = reference("Pod", "web-2", "web-2-uid", false);
        check("our own, no controller", &[not_controller], Some((vec![mine()], false)));
        let retains = with_policy("Retain", "Retain");
        assert_eq!(correction(&retains, &pod, &owned(&[backup()])), None);
    }

    #[test]
    fn a_claim_of_a_former_pod_is_stale_where_scaling_deletes() {
        let former = owned(&[reference("Pod", "web-1", "former", true)]);
        assert!(is_stale(&with_policy("Retain", "Delete"), "web-1", &former));
        assert!(!is_stale(&with_policy("Retain", "Retain"), "web-1", &former));
        assert!(!is_stale(&with_policy("Retain", "Delete"), "web-2", &former));
        assert!(!is_stale(&with_policy("Retain", "Delete"), "web-1", &owned(&[])));
    }
}
