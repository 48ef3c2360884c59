//! How many replicas each ReplicaSet should have now. Pure arithmetic.
//!
//! The rules are upstream's: never more than `replicas + maxSurge` Pods, never
//! fewer than `replicas - maxUnavailable` available ones; unhealthy old Pods go
//! first; a change of `replicas` in the middle of a rollout is shared out in
//! proportion. <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/>

use std::{cmp::Reverse, sync::Arc};

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::View;
use crate::object;

/// What a ReplicaSet is scaled to.
#[derive(Debug, Clone)]
pub struct Step {
    pub set: Arc<ReplicaSet>,
    pub replicas: i32,
}

pub const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX: &str = "deployment.kubernetes.io/max-replicas";

pub fn paused(deployment: &Deployment) -> bool {
    deployment.spec.paused == Some(true)
}

pub fn recreates(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.strategy.as_ref();
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

pub fn wanted(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1).max(0)
}

/// `spec.replicas` of a ReplicaSet.
pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1).max(0)
}

pub fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn sum<'a>(sets: impl IntoIterator<Item = &'a Arc<ReplicaSet>>, figure: fn(&ReplicaSet) -> i32) -> i32 {
    sets.into_iter().map(|set| figure(set)).sum()
}

/// `maxSurge` and `maxUnavailable` as numbers of Pods.
pub fn bounds(deployment: &Deployment) -> (i32, i32) {
    if recreates(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.strategy.as_ref();
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
    let quarter = || IntOrString::String("25%".to_owned());
    let replicas = wanted(deployment);
    let surge = resolve(&rolling.max_surge.unwrap_or_else(quarter), replicas, true);
    let unavailable = resolve(&rolling.max_unavailable.unwrap_or_else(quarter), replicas, false);
    // Both zero could never move: one may be missing then.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(replicas))
}

/// A number, or a percentage of `total` rounded up or down.
pub fn resolve(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => (*number).max(0),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let share = percent.max(0) * i64::from(total);
            let share = if round_up { (share + 99) / 100 } else { share / 100 };
            i32::try_from(share).unwrap_or(i32::MAX)
        }
    }
}

/// Whether `replicas` was changed since the ReplicaSets were last sized.
pub fn is_scaling(view: &View) -> bool {
    let desired =
        |set: &ReplicaSet| object::annotation(set, DESIRED).and_then(|text| text.parse::<i32>().ok());
    let active = view.all().filter(|set| size(set) > 0);
    active.into_iter().any(|set| desired(set).is_some_and(|desired| desired != wanted(&view.deployment)))
}

/// The next steps of a rollout; empty when there is nothing to do now.
pub fn roll(view: &View) -> Vec<Step> {
    let up = grow_new(view);
    if up.is_empty() && !recreates(&view.deployment) { shrink_old(view) } else { up }
}

/// Recreate: all old ReplicaSets to zero.
pub fn stop_old(view: &View) -> Vec<Step> {
    let active = view.old.iter().filter(|set| size(set) > 0);
    active.map(|set| Step { set: set.clone(), replicas: 0 }).collect()
}

/// How many replicas the new ReplicaSet may have now, of `current` ones.
pub fn new_size(view: &View, current: i32) -> i32 {
    let replicas = wanted(&view.deployment);
    if recreates(&view.deployment) {
        return replicas;
    }
    let (surge, _) = bounds(&view.deployment);
    let room = replicas.saturating_add(surge) - sum(&view.old, size) - current;
    if room <= 0 { current } else { current + room.min(replicas - current) }
}

fn grow_new(view: &View) -> Vec<Step> {
    let Some(new) = &view.new else { return Vec::new() };
    let (current, replicas) = (size(new), wanted(&view.deployment));
    let target = if current > replicas { replicas } else { new_size(view, current) };
    if target == current { Vec::new() } else { vec![Step { set: new.clone(), replicas: target }] }
}

fn shrink_old(view: &View) -> Vec<Step> {
    let Some(new) = &view.new else { return Vec::new() };
    let old_pods = sum(&view.old, size);
    if old_pods == 0 {
        return Vec::new();
    }
    let least = wanted(&view.deployment) - bounds(&view.deployment).1;
    let may_go = old_pods + size(new) - least - (size(new) - available(new));
    if may_go <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = view.old.iter().map(|set| size(set)).collect();
    let mut gone = 0;
    // Unhealthy Pods first: they serve nobody.
    for (set, size) in view.old.iter().zip(&mut sizes) {
        let unhealthy = (*size - available(set)).clamp(0, may_go - gone);
        *size -= unhealthy;
        gone += unhealthy;
    }
    let mut surplus = (sum(view.all(), available) - least).max(0);
    for size in &mut sizes {
        let healthy = (*size).min(surplus);
        *size -= healthy;
        surplus -= healthy;
    }
    let changed = view.old.iter().zip(sizes).filter(|(set, target)| size(set) != *target);
    changed.map(|(set, replicas)| Step { set: set.clone(), replicas }).collect()
}

/// After a change of `replicas`, and while paused: no rollout, only the size.
pub fn scale(view: &View) -> Vec<Step> {
    let replicas = wanted(&view.deployment);
    if let Some(only) = active_or_latest(view) {
        return vec![Step { set: only.clone(), replicas }];
    }
    if view.new.as_ref().is_some_and(|new| saturated(new, replicas)) {
        return stop_old(view);
    }
    if recreates(&view.deployment) { Vec::new() } else { proportional(view) }
}

/// The one ReplicaSet that counts: the only active one, or the newest if none is.
fn active_or_latest(view: &View) -> Option<&Arc<ReplicaSet>> {
    let mut active = view.all().filter(|set| size(set) > 0);
    match (active.next(), active.next()) {
        (None, _) => view.new.as_ref().or(view.old.last()),
        (only, None) => only,
        _ => None,
    }
}

fn saturated(new: &ReplicaSet, replicas: i32) -> bool {
    let desired = object::annotation(new, DESIRED).and_then(|text| text.parse::<i32>().ok());
    size(new) == replicas && desired == Some(replicas) && available(new) == replicas
}

fn proportional(view: &View) -> Vec<Step> {
    let (replicas, surge) = (wanted(&view.deployment), bounds(&view.deployment).0);
    let mut active: Vec<&Arc<ReplicaSet>> = view.all().filter(|set| size(set) > 0).collect();
    let allowed = if replicas > 0 { replicas + surge } else { 0 };
    let to_add = allowed - sum(active.iter().copied(), size);
    // The largest first; among equals the newest when growing, the oldest when shrinking.
    if to_add > 0 {
        active.sort_by_key(|set| Reverse((size(set), object::created(&***set))));
    } else {
        active.sort_by_key(|set| (Reverse(size(set)), object::created(&***set)));
    }
    let mut added = 0;
    let mut sizes: Vec<i32> = Vec::with_capacity(active.len());
    for set in &active {
        let left = to_add - added;
        let part = share(set, &view.deployment, replicas, surge);
        let part = if left >= 0 { part.clamp(0, left) } else { part.clamp(left, 0) };
        sizes.push(size(set) + part);
        added += part;
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    active.into_iter().zip(sizes).map(|(set, replicas)| Step { set: set.clone(), replicas }).collect()
}

/// By how much a ReplicaSet would change if it kept its share.
fn share(set: &ReplicaSet, deployment: &Deployment, replicas: i32, surge: i32) -> i32 {
    if replicas == 0 {
        return -size(set);
    }
    let before =
        object::annotation(set, MAX).and_then(|text| text.parse::<i32>().ok()).filter(|max| *max > 0);
    let before = before.or_else(|| deployment.status.as_ref()?.replicas.filter(|replicas| *replicas > 0));
    let Some(before) = before else { return 0 };
    let target = f64::from(size(set)) * f64::from(replicas + surge) / f64::from(before);
    target.round() as i32 - size(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::sample::{Set, deployment, view};
    use serde_json::json;

    fn steps(steps: &[Step]) -> Vec<(String, i32)> {
        steps.iter().map(|step| (object::name(&*step.set).to_owned(), step.replicas)).collect()
    }

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        for (replicas, surge, unavailable, expected) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (3, json!(0), json!(0), (0, 1)),
            (3, json!(0), json!("10%"), (0, 1)),
            (2, json!(1), json!(5), (1, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
        ] {
            let deployment = deployment(replicas, surge, unavailable);
            assert_eq!(bounds(&deployment), expected, "{replicas}");
        }
    }

    /// A rollout of 4 with 25 %/25 %, Pods becoming available at once.
    #[test]
    fn a_rollout_moves_within_its_bounds_to_its_end() {
        let deployment = deployment(4, json!("25%"), json!("25%"));
        let (mut old, mut new) = (4, 0);
        let mut seen = Vec::new();
        for _ in 0..20 {
            let sets = [Set::old("old", old, old), Set::new("new", new, new)];
            let now = roll(&view(&deployment, &sets));
            if now.is_empty() {
                break;
            }
            for (name, replicas) in steps(&now) {
                if name == "old" { old = replicas } else { new = replicas }
            }
            assert!(old + new <= 5 && old + new >= 3, "{old} {new}");
            seen.push((old, new));
        }
        assert_eq!((old, new), (0, 4));
        assert_eq!(seen[..2], [(4, 1), (2, 1)]);
    }

    #[test]
    fn rolling_steps() {
        let d = |replicas, surge, unavailable| deployment(replicas, json!(surge), json!(unavailable));
        for (why, deployment, sets, expected) in [
            ("waits for new Pods", d(4, 1, 1), vec![Set::old("old", 3, 3), Set::new("new", 2, 0)], vec![]),
            (
                "unhealthy old Pods go first",
                d(4, 1, 1),
                vec![Set::old("a", 2, 0), Set::old("b", 2, 2), Set::new("new", 1, 1)],
                vec![("a", 0)],
            ),
            (
                "a new set that is too large shrinks",
                d(2, 1, 0),
                vec![Set::new("new", 5, 5)],
                vec![("new", 2)],
            ),
            ("all at once", d(4, 0, 4), vec![Set::old("old", 4, 4), Set::new("new", 0, 0)], vec![("old", 0)]),
            ("nothing to do", d(2, 1, 0), vec![Set::old("old", 0, 0), Set::new("new", 2, 1)], vec![]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, size)| (String::from(name), size)).collect();
            assert_eq!(steps(&roll(&view(&deployment, &sets))), expected, "{why}");
        }
    }

    #[test]
    fn a_change_of_replicas_in_a_rollout_is_shared_out() {
        let deployment = deployment(20, json!(0), json!(1));
        let sets = [Set::old("old", 5, 5).sized_for(10, 10), Set::new("new", 5, 5).sized_for(10, 10)];
        let view = view(&deployment, &sets);
        assert!(is_scaling(&view));
        let mut result = steps(&scale(&view));
        result.sort();
        assert_eq!(result, [("new".to_owned(), 10), ("old".to_owned(), 10)]);
    }

    #[test]
    fn a_single_active_set_takes_the_whole_size() {
        let deployment = deployment(7, json!(1), json!(0));
        let sets = [Set::old("old", 0, 0), Set::new("new", 3, 3).sized_for(3, 4)];
        let view = view(&deployment, &sets);
        assert!(is_scaling(&view));
        assert_eq!(steps(&scale(&view)), [("new".to_owned(), 7)]);
    }
}
