//! Which Pods a DaemonSet lacks and which it has too many. Pure.
//!
//! First every eligible Node gets its Pod and every other loses it; then, when
//! the update strategy is RollingUpdate, Pods of an older template are deleted
//! (or, with maxSurge, get a second one beside them), never with more than
//! maxUnavailable Nodes without an available Pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use k8s_openapi::{
    api::apps::v1::{DaemonSet, DaemonSetStatus},
    apimachinery::pkg::util::intstr::IntOrString,
};

use tiphys_client::{LeanPod, Phase};

use super::place::{Fit, node_of};
use crate::{deployment::resolve_share, history::REVISION, object, pod};

/// A DaemonSet's Pods by Node, and the Nodes.
pub struct View<'a> {
    pub set: &'a DaemonSet,
    pub hash: &'a str,
    /// Every Node with its fit.
    pub nodes: BTreeMap<String, Fit>,
    pub pods: BTreeMap<String, Vec<Arc<LeanPod>>>,
    pub now: Timestamp,
}

#[derive(Debug, Default)]
pub struct Plan {
    /// Nodes that get a Pod.
    pub create: BTreeSet<String>,
    pub delete: Vec<Arc<LeanPod>>,
    /// Deleted because they failed; creating again is slowed down by the caller.
    pub failed: Vec<Arc<LeanPod>>,
}

/// Pods by Node, the oldest first.
pub fn by_node(pods: Vec<Arc<LeanPod>>) -> BTreeMap<String, Vec<Arc<LeanPod>>> {
    let mut by_node: BTreeMap<String, Vec<Arc<LeanPod>>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = node_of(&pod) {
            by_node.entry(node.to_owned()).or_default().push(pod.clone());
        }
    }
    for pods in by_node.values_mut() {
        // A bound Pod counts before one that still waits for the scheduler.
        pods.sort_by_key(|pod| (pod.node.is_empty(), pod.created, pod.name.clone()));
    }
    by_node
}

impl View<'_> {
    pub fn desired(&self) -> i32 {
        self.nodes.values().filter(|fit| fit.should_run).count() as i32
    }

    fn pods_on(&self, node: &str) -> &[Arc<LeanPod>] {
        self.pods.get(node).map(Vec::as_slice).unwrap_or_default()
    }

    fn available(&self, pod: &LeanPod) -> bool {
        let min_ready = self.set.spec.min_ready_seconds.unwrap_or(0);
        !object::deleting(pod) && pod::available(pod, min_ready, self.now)
    }

    fn is_new(&self, pod: &LeanPod) -> bool {
        object::labels(pod).get(REVISION).is_some_and(|hash| hash == self.hash)
    }

    fn rolls(&self) -> bool {
        let strategy = self.set.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate") == "RollingUpdate"
    }

    /// maxSurge and maxUnavailable in Pods.
    fn bounds(&self) -> (i32, i32) {
        let strategy = self.set.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
        let desired = self.desired();
        let surge = rolling.max_surge.map_or(0, |value| resolve_share(&value, desired, true));
        let default = IntOrString::Int(1);
        let unavailable = resolve_share(rolling.max_unavailable.as_ref().unwrap_or(&default), desired, true);
        (surge, if surge == 0 { unavailable.max(1) } else { unavailable })
    }
}

/// The whole plan: Pods by Node, then the next step of an update.
pub fn plan(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    let nodes: BTreeSet<&String> = view.nodes.keys().chain(view.pods.keys()).collect();
    for node in nodes {
        let fit = view.nodes.get(node).copied().unwrap_or(Fit { should_run: false, may_stay: false });
        manage(view, node, fit, &mut plan);
    }
    if view.rolls() {
        update(view, &mut plan);
    }
    plan
}

fn manage(view: &View<'_>, node: &str, fit: Fit, plan: &mut Plan) {
    let pods = view.pods_on(node);
    if !fit.may_stay {
        plan.delete.extend(pods.iter().filter(|pod| !object::deleting(&***pod)).cloned());
        return;
    }
    if pods.is_empty() {
        if fit.should_run {
            plan.create.insert(node.to_owned());
        }
        return;
    }
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| !object::deleting(&***pod)) {
        if pod.status.phase == Phase::Failed {
            plan.failed.push(pod.clone());
        } else if view.is_new(pod) {
            new.push(pod.clone());
        } else {
            old.push(pod.clone());
        }
    }
    let surges = view.rolls() && view.bounds().0 > 0;
    if surges && !old.is_empty() && !new.is_empty() {
        // Side by side until the new one is available.
        plan.delete.extend(old.into_iter().skip(1));
        plan.delete.extend(new.into_iter().skip(1));
    } else {
        plan.delete.extend(new.into_iter().chain(old).skip(1));
    }
}

fn update(view: &View<'_>, plan: &mut Plan) {
    let (surge, unavailable_bound) = view.bounds();
    let (mut unavailable, mut surging) = (0, 0);
    let (mut replace, mut candidates, mut wanted) = (Vec::new(), Vec::new(), Vec::new());
    for (node, fit) in &view.nodes {
        let pods = view.pods_on(node).iter().filter(|pod| pod.status.phase != Phase::Failed);
        let (new, old): (Vec<_>, Vec<_>) =
            pods.filter(|pod| !object::deleting(&***pod)).partition(|pod| view.is_new(pod));
        match (old.first(), new.first()) {
            (None, None) => unavailable += i32::from(fit.should_run),
            (None, Some(new)) => unavailable += i32::from(!view.available(new)),
            // Without a surge, the second Pod is on its way out already.
            (Some(_), Some(new)) if surge == 0 => unavailable += i32::from(!view.available(new)),
            (Some(old), Some(new)) => {
                surging += 1;
                if view.available(new) || !view.available(old) {
                    replace.push((*old).clone());
                }
            }
            (Some(old), None) if !view.available(old) => {
                unavailable += 1;
                replace.push((*old).clone());
            }
            (Some(old), None) => {
                candidates.push((*old).clone());
                if fit.should_run {
                    wanted.push(node.clone());
                }
            }
        }
    }
    plan.delete.extend(replace);
    if surge > 0 {
        plan.create.extend(wanted.into_iter().take((surge - surging).max(0) as usize));
    } else {
        plan.delete.extend(candidates.into_iter().take((unavailable_bound - unavailable).max(0) as usize));
    }
}

/// The status that follows.
pub fn status(view: &View<'_>) -> DaemonSetStatus {
    let old = view.set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        desired_number_scheduled: view.desired(),
        observed_generation: view.set.metadata.generation,
        collision_count: old.collision_count,
        conditions: old.conditions,
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    for (node, fit) in &view.nodes {
        let pods = view.pods_on(node);
        let mut live = pods.iter().filter(|pod| !object::deleting(&***pod));
        let Some(pod) = live.next().or(pods.first()) else { continue };
        if !fit.should_run {
            status.number_misscheduled += 1;
            continue;
        }
        status.current_number_scheduled += 1;
        if pod::ready(pod) {
            status.number_ready += 1;
            available += i32::from(view.available(pod));
        }
        updated += i32::from(pods.iter().any(|pod| view.is_new(pod) && !object::deleting(&**pod)));
    }
    status.updated_number_scheduled = Some(updated);
    status.number_available = Some(available);
    status.number_unavailable = Some(status.desired_number_scheduled - available);
    status
}

/// Whether writing `new` would change anything; absent figures are zeros.
pub fn differs(old: Option<&DaemonSetStatus>, new: &DaemonSetStatus) -> bool {
    let plain = |status: &DaemonSetStatus| DaemonSetStatus {
        updated_number_scheduled: Some(status.updated_number_scheduled.unwrap_or(0)),
        number_available: Some(status.number_available.unwrap_or(0)),
        number_unavailable: Some(status.number_unavailable.unwrap_or(0)),
        ..status.clone()
    };
    old.is_none_or(|old| plain(old) != plain(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const YES: Fit = Fit { should_run: true, may_stay: true };

    fn set(strategy: Value) -> DaemonSet {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "namespace": "default", "uid": "d", "generation": 1},
            "spec": {"selector": {}, "template": {}, "updateStrategy": strategy},
        }))
        .unwrap()
    }

    fn pod(node: &str, hash: &str, phase: &str, ready: bool) -> Arc<LeanPod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": format!("{node}-{hash}"), "uid": format!("{node}-{hash}"), "labels": {REVISION: hash}},
                "spec": {"nodeName": node, "containers": []},
                "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
            }))
            .unwrap(),
        )
    }

    fn check(
        why: &str,
        strategy: Value,
        nodes: &[(&str, Fit)],
        pods: Vec<Arc<LeanPod>>,
        create: &[&str],
        delete: &[&str],
    ) {
        let set = set(strategy);
        let view = View {
            set: &set,
            hash: "new",
            nodes: nodes.iter().map(|(name, fit)| ((*name).to_owned(), *fit)).collect(),
            pods: by_node(pods),
            now: Timestamp::UNIX_EPOCH,
        };
        let plan = plan(&view);
        assert_eq!(plan.create.iter().map(String::as_str).collect::<Vec<_>>(), create, "{why}");
        let mut deleted: Vec<_> = plan.delete.iter().map(|pod| object::name(&**pod)).collect();
        deleted.sort_unstable();
        assert_eq!(deleted, delete, "{why}");
    }

    #[test]
    fn every_eligible_node_has_one_pod() {
        let no = Fit { should_run: false, may_stay: false };
        let stays = Fit { should_run: false, may_stay: true };
        let run = |node| pod(node, "new", "Running", true);
        check("missing", json!({}), &[("a", YES), ("b", YES)], vec![run("a")], &["b"], &[]);
        check("unwanted", json!({}), &[("a", no)], vec![run("a")], &[], &["a-new"]);
        check("tolerated", json!({}), &[("a", stays)], vec![run("a")], &[], &[]);
        check("no new one there", json!({}), &[("a", stays)], vec![], &[], &[]);
        check("gone node", json!({}), &[], vec![run("a")], &[], &["a-new"]);
        check(
            "two",
            json!({}),
            &[("a", YES)],
            vec![run("a"), pod("a", "x", "Pending", false)],
            &[],
            &["a-x"],
        );
    }

    #[test]
    fn a_rolling_update_keeps_within_max_unavailable() {
        let nodes = [("a", YES), ("b", YES), ("c", YES)];
        let old = |node| pod(node, "old", "Running", true);
        let rolling = |unavailable: Value| json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}});
        let all = || vec![old("a"), old("b"), old("c")];
        check("one", rolling(json!(1)), &nodes, all(), &[], &["a-old"]);
        check("two of three", rolling(json!("50%")), &nodes, all(), &[], &["a-old", "b-old"]);
        let waiting = vec![pod("a", "new", "Pending", false), old("b"), old("c")];
        check("waits for the new one", rolling(json!(1)), &nodes, waiting, &[], &[]);
        let broken = vec![pod("a", "new", "Running", true), old("b"), pod("c", "old", "Running", false)];
        check("unavailable old ones first", rolling(json!(1)), &nodes, broken, &[], &["c-old"]);
        check("on delete", json!({"type": "OnDelete"}), &nodes, all(), &[], &[]);
    }

    #[test]
    fn a_surge_makes_the_new_pod_before_the_old_one_goes() {
        let nodes = [("a", YES), ("b", YES)];
        let surge =
            || json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        let old = |node| pod(node, "old", "Running", true);
        check("starts", surge(), &nodes, vec![old("a"), old("b")], &["a"], &[]);
        let both = |ready| vec![old("a"), pod("a", "new", "Running", ready), old("b")];
        check("waits", surge(), &nodes, both(false), &[], &[]);
        check("replaces", surge(), &nodes, both(true), &[], &["a-old"]);
    }

    #[test]
    fn status_counts_nodes() {
        let set = set(json!({}));
        let stays = Fit { should_run: false, may_stay: true };
        let view = View {
            set: &set,
            hash: "new",
            nodes: [("a", YES), ("b", YES), ("c", stays), ("d", YES)].map(|(n, f)| (n.to_owned(), f)).into(),
            pods: by_node(vec![
                pod("a", "new", "Running", true),
                pod("b", "old", "Running", false),
                pod("c", "new", "Running", true),
            ]),
            now: Timestamp::UNIX_EPOCH,
        };
        let status = status(&view);
        assert_eq!((status.desired_number_scheduled, status.current_number_scheduled), (3, 2));
        assert_eq!((status.number_ready, status.number_available), (1, Some(1)));
        assert_eq!((status.number_misscheduled, status.number_unavailable), (1, Some(2)));
        assert_eq!(status.updated_number_scheduled, Some(1));
    }
}
