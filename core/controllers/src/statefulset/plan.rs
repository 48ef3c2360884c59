//! What a StatefulSet's Pods and claims need now. Pure.
//!
//! ```text
//! replicas    ordinals in range, upwards: replace what finished, make what is missing
//! condemned   the others, downwards: settle their claims, delete
//! update      from the highest down to the partition: delete what is of another revision
//! ```
//!
//! An ordered set stops at the first Pod that is not available: nothing behind it is
//! made, and nothing is deleted before. A parallel one does all at once; only an
//! update keeps within maxUnavailable.
//! <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::StatefulSet, core::v1::PersistentVolumeClaim},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tiphys_client::{LeanPod, Phase};

use super::{
    claims::{self, Correction},
    identity::{self, Ordinal},
};
use crate::{deployment::resolve_share, history::REVISION, object, pod, pod_writer::BURST};

/// A StatefulSet with what is there of it.
pub struct View<'a> {
    pub set: &'a StatefulSet,
    /// The revision that all Pods had when the last update was through.
    pub current: &'a str,
    /// The revision of the present template.
    pub newest: &'a str,
    pub pods: BTreeMap<Ordinal, Arc<LeanPod>>,
    /// By name.
    pub claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    pub now: Timestamp,
}

/// In the order in which it is done.
#[derive(Debug, Default)]
pub struct Plan {
    /// Ordinals whose Pod waits, maybe for these missing claims.
    pub claims: Vec<Ordinal>,
    /// Claims by name that should have other owners.
    pub own: Vec<(String, Correction)>,
    /// Pods without the labels or volumes of their ordinal.
    pub identify: Vec<(Ordinal, Arc<LeanPod>)>,
    pub create: Vec<New>,
    pub delete: Vec<Arc<LeanPod>>,
    /// So many of the deleted ones go for an update.
    pub outdated: i32,
}

/// A Pod to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct New {
    pub ordinal: Ordinal,
    /// Of the newest revision, not of the current one.
    pub newest: bool,
}

/// Whether what comes behind a Pod may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Wait,
}

impl View<'_> {
    fn start(&self) -> Ordinal {
        identity::start(self.set)
    }

    fn end(&self) -> Ordinal {
        self.start() + Ordinal::from(identity::replicas(self.set))
    }

    /// The Pods that should be there, upwards.
    fn replicas(&self) -> impl DoubleEndedIterator<Item = (Ordinal, &Arc<LeanPod>)> {
        self.pods.range(self.start()..self.end()).map(|(ordinal, pod)| (*ordinal, pod))
    }

    /// The Pods that should not, upwards.
    fn condemned(&self) -> impl DoubleEndedIterator<Item = (Ordinal, &Arc<LeanPod>)> {
        let outside = |ordinal: &Ordinal| !identity::in_range(self.set, *ordinal);
        let pods = self.pods.iter().map(|(ordinal, pod)| (*ordinal, pod));
        pods.filter(move |(ordinal, _)| outside(ordinal))
    }

    pub fn min_ready(&self) -> i32 {
        self.set.spec.min_ready_seconds.unwrap_or(0)
    }

    pub fn available(&self, pod: &LeanPod) -> bool {
        pod::available(pod, self.min_ready(), self.now)
    }

    /// Available, and not about to go.
    fn serves(&self, pod: &LeanPod) -> bool {
        running_and_ready(pod) && self.available(pod) && !object::deleting(pod)
    }

    fn is_outdated(&self, pod: &LeanPod) -> bool {
        object::labels(pod).get(REVISION) != Some(self.newest) && !object::deleting(pod)
    }

    /// Whether an update reaches the Pods by itself.
    pub fn rolls(&self) -> bool {
        let strategy = self.set.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    fn rolling(&self) -> Rolling {
        let given = self.set.spec.update_strategy.as_ref().and_then(|all| all.rolling_update.as_ref());
        let one = IntOrString::Int(1);
        let most = given.and_then(|given| given.max_unavailable.as_ref()).unwrap_or(&one);
        Rolling {
            partition: given.map(|given| given.partition.unwrap_or(0).max(0).into()),
            max_unavailable: resolve_share(most, identity::replicas(self.set), false).max(1),
        }
    }

    /// Whether a new Pod of this ordinal is of the newest revision.
    fn gets_newest(&self, ordinal: Ordinal) -> bool {
        let status = self.set.status.as_ref().filter(|_| self.rolls());
        let current = status.and_then(|status| status.current_replicas).unwrap_or(0);
        // Without a partition, so many are left of the current revision as the status counts.
        ordinal >= self.start() + self.rolling().partition.unwrap_or(current.into())
    }
}

/// How an update goes.
struct Rolling {
    /// So many Pods stay of the current revision.
    partition: Option<Ordinal>,
    max_unavailable: i32,
}

pub fn running_and_ready(pod: &LeanPod) -> bool {
    pod.status.phase == Phase::Running && pod::ready(pod)
}

/// Ordinals of a set that lack a Pod: as many as a plan may be about.
pub fn missing_ordinals(
    set: &StatefulSet,
    pods: &BTreeMap<Ordinal, Arc<LeanPod>>,
) -> impl Iterator<Item = Ordinal> {
    let start = identity::start(set);
    let range = start..start + Ordinal::from(identity::replicas(set));
    range.filter(move |ordinal| !pods.contains_key(ordinal)).take(BURST)
}

/// The whole plan for a set that is not being deleted.
pub fn plan(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    if replicas(view, &mut plan) == Next::GoOn && condemned(view, &mut plan) == Next::GoOn && view.rolls() {
        update(view, &mut plan);
    }
    plan
}

fn replicas(view: &View<'_>, plan: &mut Plan) -> Next {
    let ordered = identity::ordered(view.set);
    for ordinal in view.start()..view.end() {
        let next = match view.pods.get(&ordinal) {
            Some(pod) => present(view, ordinal, pod, plan),
            None => missing(view, ordinal, plan),
        };
        if ordered && next == Next::Wait || plan.create.len() == BURST {
            return Next::Wait;
        }
    }
    Next::GoOn
}

fn missing(view: &View<'_>, ordinal: Ordinal, plan: &mut Plan) -> Next {
    let pod = identity::pod_name(view.set, ordinal);
    let mut claims = claims::names(view.set, ordinal).filter_map(|(_, claim)| view.claims.get(&claim));
    // A claim that goes with a former Pod must be gone before the Pod gets a new one.
    if !claims.any(|claim| claims::is_stale(view.set, &pod, claim)) {
        plan.create.push(New { ordinal, newest: view.gets_newest(ordinal) });
    }
    Next::Wait
}

fn present(view: &View<'_>, ordinal: Ordinal, pod: &Arc<LeanPod>, plan: &mut Plan) -> Next {
    if pod.finished() {
        if !object::deleting(&**pod) {
            plan.delete.push(pod.clone());
        }
        return Next::Wait;
    }
    let waits = pod.status.phase == Phase::Pending;
    if waits && claims::names(view.set, ordinal).any(|(_, claim)| !view.claims.contains_key(&claim)) {
        plan.claims.push(ordinal);
    }
    let serves = view.serves(pod);
    if waits || serves || !identity::ordered(view.set) {
        own(view, ordinal, pod, plan);
    }
    if !serves && identity::ordered(view.set) {
        return Next::Wait;
    }
    if !identity::matches(view.set, ordinal, pod) {
        plan.identify.push((ordinal, pod.clone()));
    }
    Next::GoOn
}

/// The claims of a Pod get the owners that they should have.
fn own(view: &View<'_>, ordinal: Ordinal, pod: &LeanPod, plan: &mut Plan) {
    for (_, name) in claims::names(view.set, ordinal) {
        let correction = view.claims.get(&name).and_then(|claim| claims::correction(view.set, pod, claim));
        plan.own.extend(correction.map(|correction| (name, correction)));
    }
}

fn condemned(view: &View<'_>, plan: &mut Plan) -> Next {
    for (ordinal, pod) in view.condemned() {
        own(view, ordinal, pod, plan);
    }
    let ordered = identity::ordered(view.set);
    // Of those that serve nobody only the lowest may go before its successors are well, and what has
    // ended: that is never well again.
    let lowest = view.condemned().find(|(_, pod)| !view.serves(pod)).map(|(ordinal, _)| ordinal);
    for (ordinal, pod) in view.condemned().rev() {
        let going = object::deleting(&**pod);
        if !going && (!ordered || view.serves(pod) || pod.finished() || lowest == Some(ordinal)) {
            plan.delete.push(pod.clone());
        }
        if ordered {
            return Next::Wait;
        }
    }
    Next::GoOn
}

fn update(view: &View<'_>, plan: &mut Plan) {
    let rolling = view.rolling();
    let first = view.start() + rolling.partition.unwrap_or(0);
    let serving = view.replicas().filter(|(_, pod)| view.serves(pod)).count();
    let unavailable = identity::replicas(view.set).saturating_sub(i32::try_from(serving).unwrap_or(i32::MAX));
    let room = usize::try_from(rolling.max_unavailable - unavailable).unwrap_or(0);
    let leaving: HashSet<String> = plan.delete.iter().map(|pod| object::uid(&**pod).to_owned()).collect();
    let targets = view.replicas().rev().filter(|(ordinal, pod)| {
        *ordinal >= first && view.is_outdated(pod) && !leaving.contains(object::uid(&***pod))
    });
    let (serving, idle): (Vec<_>, Vec<_>) = targets.partition(|(_, pod)| view.serves(pod));
    // Nothing is lost with idle ones, and the new revision may be what heals them.
    let idle = idle.into_iter().filter(|_| !identity::ordered(view.set));
    let gone: Vec<_> = idle.chain(serving.into_iter().take(room)).collect();
    plan.outdated = i32::try_from(gone.len()).unwrap_or(i32::MAX);
    plan.delete.extend(gone.into_iter().map(|(_, pod)| pod.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statefulset::sample::{
        Stage::{self, Failed, Pending, Ready, Running, Succeeded},
        pod, set, view,
    };
    use serde_json::{Value, json};

    const UP: Stage = Ready(100);

    /// Pods by what their short words say: ordinal, revision, stage.
    type Pods<'a> = &'a [(Ordinal, &'a str, Stage)];

    fn check(why: &str, spec: Value, pods: Pods<'_>, create: &[Ordinal], delete: &[Ordinal]) {
        check_leaving(why, spec, pods, &[], create, delete);
    }

    fn check_leaving(
        why: &str,
        spec: Value,
        pods: Pods<'_>,
        leaving: &[Ordinal],
        create: &[Ordinal],
        delete: &[Ordinal],
    ) {
        let set = set(spec);
        let made = pods.iter().map(|(ordinal, revision, stage)| {
            pod(&format!("web-{ordinal}"), revision, *stage, leaving.contains(ordinal))
        });
        let view = view(&set, made.collect());
        let plan = plan(&view);
        let created: Vec<_> = plan.create.iter().map(|new| new.ordinal).collect();
        assert_eq!(created, create, "{why}: created");
        let deleted: Vec<_> =
            plan.delete.iter().filter_map(|pod| identity::ordinal(&set, &pod.name)).collect();
        assert_eq!(deleted, delete, "{why}: deleted");
    }

    #[test]
    fn an_ordered_set_comes_up_one_after_the_other() {
        let three = || json!({"replicas": 3});
        let slow = || json!({"replicas": 3, "minReadySeconds": 10});
        check("first", three(), &[], &[0], &[]);
        check("waits while pending", three(), &[(0, "new", Pending)], &[], &[]);
        check("waits until ready", three(), &[(0, "new", Running)], &[], &[]);
        check("second", three(), &[(0, "new", Ready(0))], &[1], &[]);
        check("waits until available", slow(), &[(0, "new", Ready(9))], &[], &[]);
        check("is available", slow(), &[(0, "new", Ready(10))], &[1], &[]);
        check("fills a gap", three(), &[(0, "new", UP), (2, "new", UP)], &[1], &[]);
        check("a gap is behind", three(), &[(0, "new", Running), (2, "new", UP)], &[], &[]);
        check("replaces a failed one", three(), &[(0, "new", UP), (1, "new", Failed)], &[], &[1]);
        check("replaces one that ended", three(), &[(0, "new", Succeeded), (1, "new", UP)], &[], &[0]);
        check_leaving("waits for one that goes", three(), &[(0, "new", UP)], &[0], &[], &[]);
        check_leaving("failed and goes", three(), &[(0, "new", Failed)], &[0], &[], &[]);
        let from_five = json!({"replicas": 2, "ordinals": {"start": 5}});
        check("begins at five", from_five.clone(), &[], &[5], &[]);
        check("moves to five", from_five.clone(), &[(0, "new", UP), (5, "new", UP)], &[6], &[]);
        check("has moved", from_five, &[(0, "new", UP), (5, "new", UP), (6, "new", UP)], &[], &[0]);
    }

    #[test]
    fn an_ordered_set_goes_down_from_the_highest() {
        let one = || json!({"replicas": 1});
        let all = [(0, "new", UP), (1, "new", UP), (2, "new", UP)];
        check("highest", one(), &all, &[], &[2]);
        check_leaving("waits for it", one(), &all, &[2], &[], &[]);
        check("not while a lower one waits", one(), &[(0, "new", Running), (1, "new", UP)], &[], &[]);
        check("to nothing", json!({"replicas": 0}), &[(0, "new", UP)], &[], &[0]);
        check("two have ended", one(), &[(0, "new", UP), (1, "new", Failed), (2, "new", Failed)], &[], &[2]);
        let broken = [(0, "new", UP), (1, "new", Running), (2, "new", UP)];
        check("highest, though a lower one is broken", one(), &broken, &[], &[2]);
        let two = [(0, "new", UP), (1, "new", Running), (2, "new", Running)];
        check("the lowest broken one is waited for", one(), &two, &[], &[]);
        let highest = [(0, "new", UP), (1, "new", UP), (2, "new", Running)];
        check("the only broken one goes", one(), &highest, &[], &[2]);
    }

    #[test]
    fn a_parallel_set_does_all_at_once() {
        let parallel = |replicas: i32| json!({"replicas": replicas, "podManagementPolicy": "Parallel"});
        check("up", parallel(3), &[(1, "new", Pending)], &[0, 2], &[]);
        check("down", parallel(1), &[(0, "new", Running), (1, "new", UP), (2, "new", Pending)], &[], &[2, 1]);
        check("replaces", parallel(3), &[(0, "new", Failed), (1, "new", UP)], &[2], &[0]);
        let many = set(parallel(2000));
        assert_eq!(plan(&view(&many, Vec::new())).create.len(), BURST);
    }

    #[test]
    fn an_update_goes_down_to_the_partition() {
        let rolling = |partition: i32, most: Value| {
            json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate",
                "rollingUpdate": {"partition": partition, "maxUnavailable": most}}})
        };
        let old = [(0, "old", UP), (1, "old", UP), (2, "old", UP)];
        check("highest first", rolling(0, json!(1)), &old, &[], &[2]);
        check("two at once", rolling(0, json!(2)), &old, &[], &[2, 1]);
        check("a share is rounded down", rolling(0, json!("67%")), &old, &[], &[2, 1]);
        check("but not to nothing", rolling(0, json!("1%")), &old, &[], &[2]);
        check("not below the partition", rolling(2, json!(3)), &old, &[], &[2]);
        check("nothing above it", rolling(3, json!(3)), &old, &[], &[]);
        let next = [(0, "old", UP), (1, "old", UP), (2, "new", UP)];
        check("next", rolling(0, json!(1)), &next, &[], &[1]);
        let waits = [(0, "old", UP), (1, "old", UP), (2, "new", Running)];
        check("waits for the new one", rolling(0, json!(1)), &waits, &[], &[]);
        let stuck = [(0, "old", Running), (1, "old", UP), (2, "old", UP)];
        check("a broken old one holds it", rolling(0, json!(1)), &stuck, &[], &[]);
        let on_delete = json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}});
        check("on delete", on_delete.clone(), &old, &[], &[]);
        check("on delete, a gap", on_delete, &old[..2], &[2], &[]);
        let from_five = json!({"replicas": 2, "ordinals": {"start": 5}, "updateStrategy": {
            "type": "RollingUpdate", "rollingUpdate": {"partition": 1, "maxUnavailable": 2}}});
        check("counts from the start", from_five, &[(5, "old", UP), (6, "old", UP)], &[], &[6]);
        let scaled = json!({"replicas": 2});
        check("scaling comes first", scaled, &old, &[], &[2]);
    }

    #[test]
    fn a_parallel_update_heals_what_is_broken_first() {
        let rolling = |replicas: i32, partition: i32, most: i32| {
            json!({"replicas": replicas, "podManagementPolicy": "Parallel", "updateStrategy": {
                "type": "RollingUpdate", "rollingUpdate": {"partition": partition, "maxUnavailable": most}}})
        };
        let pods = |broken: &[Ordinal], count: Ordinal| -> Vec<_> {
            let stage = |n: &Ordinal| if broken.contains(n) { Running } else { UP };
            (0..count).map(|n| (n, "old", stage(&n))).collect()
        };
        check("one replica", rolling(1, 0, 1), &pods(&[0], 1), &[], &[0]);
        check("the highest", rolling(3, 0, 1), &pods(&[2], 3), &[], &[2]);
        check("all broken ones", rolling(5, 0, 2), &pods(&[3, 4], 5), &[], &[4, 3]);
        check("the lower ones, no good one", rolling(4, 0, 2), &pods(&[0, 1], 4), &[], &[1, 0]);
        check("and one good one", rolling(5, 0, 3), &pods(&[0, 1], 5), &[], &[1, 0, 4]);
        check("below the partition it counts", rolling(5, 2, 1), &pods(&[1], 5), &[], &[]);
        check("at the partition it goes", rolling(5, 2, 1), &pods(&[2], 5), &[], &[2]);
        check("one below, one above", rolling(5, 3, 2), &pods(&[1, 4], 5), &[], &[4]);
        check_leaving("one that goes counts", rolling(3, 0, 1), &pods(&[], 3), &[2], &[], &[]);
        check_leaving("one goes, one is broken", rolling(5, 0, 3), &pods(&[3], 5), &[4], &[], &[3, 2]);
        let mut new = pods(&[], 3);
        new[2] = (2, "new", Running);
        check("a new one that waits counts", rolling(3, 0, 1), &new, &[], &[]);
        check("missing ones count", rolling(3, 0, 2), &pods(&[], 2), &[2], &[1]);
    }

    #[test]
    fn new_pods_below_the_partition_are_of_the_current_revision() {
        for (strategy, counted, expected) in [
            (json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}), 0, 2),
            (json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}), 3, 0),
            (json!({"type": "RollingUpdate"}), 3, 3),
            (json!({"type": "OnDelete"}), 3, 0),
        ] {
            let mut set = set(json!({"replicas": 5, "podManagementPolicy": "Parallel",
                "ordinals": {"start": 7}, "updateStrategy": strategy}));
            set.status.get_or_insert_default().current_replicas = Some(counted);
            let plan = plan(&view(&set, Vec::new()));
            let old = plan.create.iter().take_while(|new| !new.newest).count();
            assert_eq!(old, expected, "{strategy}");
            assert!(plan.create[old..].iter().all(|new| new.newest));
        }
    }

    #[test]
    fn claims_come_with_pods_and_hold_new_ones_back() {
        let set = set(json!({
            "replicas": 2,
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Delete"},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        }));
        let claim = |owner: Option<&str>| -> Arc<PersistentVolumeClaim> {
            let owners: Vec<_> = owner
                .iter()
                .map(|uid| json!({"apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": uid, "controller": true}))
                .collect();
            Arc::new(
                serde_json::from_value(json!({"metadata": {"ownerReferences": owners}})).expect("a claim"),
            )
        };
        let up = |name: &str, stage: Stage| pod(name, "new", stage, false);
        let with = |pods: Vec<Arc<LeanPod>>, claims: &[(&str, Option<&str>)]| {
            let mut view = view(&set, pods);
            view.claims = claims.iter().map(|(name, owner)| ((*name).to_owned(), claim(*owner))).collect();
            plan(&view)
        };
        let plan = with(vec![up("web-0", Pending)], &[]);
        assert_eq!(plan.claims, [0], "a Pod that waits gets its claim again");
        let plan = with(vec![up("web-0", Pending)], &[("data-web-0", None)]);
        assert!(plan.claims.is_empty() && plan.own.is_empty());
        let former = with(vec![up("web-0", UP)], &[("data-web-0", None), ("data-web-1", Some("former"))]);
        assert!(former.create.is_empty(), "the claim goes with the former Pod");
        let plan = with(vec![up("web-0", UP)], &[("data-web-0", None), ("data-web-1", None)]);
        assert_eq!(plan.create.len(), 1);
        let back = with(
            vec![up("web-0", UP), up("web-1", UP)],
            &[("data-web-0", None), ("data-web-1", Some("web-1-uid"))],
        );
        let [(name, correction)] = &back.own[..] else { panic!("one claim: {:?}", back.own) };
        assert!(name == "data-web-1" && correction.owners.is_empty(), "its Pod stays after all");
    }
}
