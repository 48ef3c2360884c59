//! Whatever happens to a StatefulSet: its promises hold at each step, and it ends where
//! it should. Scaling, new templates, partitions, Pods that get ready, fail and go come
//! in any order; a failure names its smallest case.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use super::{
    identity::{self, Ordinal},
    plan::{Plan, View, plan},
    sample::{
        Stage::{self, Failed, Pending, Ready, Running, Succeeded},
        pod, set, view,
    },
    status::status,
};
use crate::{history::REVISION, object};

#[derive(Debug, Clone)]
enum Event {
    Scale(i32),
    Template(u8),
    Partition(i32),
    Stage(Ordinal, Stage),
    Delete(Ordinal),
    Gone(Ordinal),
}

#[derive(Debug, Clone)]
struct Ways {
    ordered: bool,
    rolls: bool,
    start: i32,
    max_unavailable: i32,
}

#[derive(Debug, Clone)]
struct There {
    revision: String,
    stage: Stage,
    terminating: bool,
}

struct World {
    set: StatefulSet,
    newest: String,
    pods: BTreeMap<Ordinal, There>,
}

impl World {
    fn new(ways: &Ways) -> Self {
        let strategy = match ways.rolls {
            true => json!({"type": "RollingUpdate",
                "rollingUpdate": {"partition": 0, "maxUnavailable": ways.max_unavailable}}),
            false => json!({"type": "OnDelete"}),
        };
        let policy = if ways.ordered { "OrderedReady" } else { "Parallel" };
        let set = set(json!({"replicas": 3, "ordinals": {"start": ways.start},
            "podManagementPolicy": policy, "updateStrategy": strategy}));
        Self { set, newest: "r0".to_owned(), pods: BTreeMap::new() }
    }

    fn happen(&mut self, event: &Event) {
        let at = |number: &Ordinal| identity::start(&self.set) + number;
        match event {
            Event::Scale(replicas) => self.set.spec.replicas = Some(*replicas),
            Event::Template(number) => self.newest = format!("r{number}"),
            Event::Partition(partition) => {
                let strategy = self.set.spec.update_strategy.as_mut();
                if let Some(rolling) = strategy.and_then(|strategy| strategy.rolling_update.as_mut()) {
                    rolling.partition = Some(*partition);
                }
            }
            Event::Stage(number, stage) => {
                let number = at(number);
                // What has ended stays so.
                let live = |pod: &&mut There| !matches!(pod.stage, Failed | Succeeded);
                if let Some(pod) = self.pods.get_mut(&number).filter(live) {
                    pod.stage = *stage;
                }
            }
            Event::Delete(number) => {
                let number = at(number);
                self.pods.entry(number).and_modify(|pod| pod.terminating = true);
            }
            Event::Gone(number) => {
                let number = at(number);
                if self.pods.get(&number).is_some_and(|pod| pod.terminating) {
                    self.pods.remove(&number);
                }
            }
        }
    }

    /// One reconcile. Whether it changed anything.
    fn step(&mut self) -> bool {
        let current = self.set.status.as_ref().and_then(|status| status.current_revision.clone());
        let current = current.unwrap_or_else(|| self.newest.clone());
        let set = self.set.clone();
        let made = self.pods.iter().map(|(ordinal, there)| {
            pod(&identity::pod_name(&set, *ordinal), &there.revision, there.stage, there.terminating)
        });
        let view = View { current: &current, newest: &self.newest, ..view(&set, made.collect()) };
        let plan = plan(&view);
        promises(&view, &plan);
        let status = status(&view, plan.outdated);
        let quiet = set.status.as_ref() == Some(&status) && plan.create.is_empty() && plan.delete.is_empty();
        for new in plan.create {
            let revision = if new.newest { self.newest.clone() } else { current.clone() };
            let there = There { revision, stage: Pending, terminating: false };
            assert!(self.pods.insert(new.ordinal, there).is_none(), "two Pods of {}", new.ordinal);
        }
        for pod in plan.delete {
            let ordinal = identity::ordinal(&set, object::name(&*pod)).expect("one of the set's");
            self.pods.entry(ordinal).and_modify(|pod| pod.terminating = true);
        }
        self.set.status = Some(status);
        !quiet
    }

    /// Nothing happens any more but what should: the set must come to rest as it is wanted.
    fn rest(&mut self) {
        for _ in 0..100 {
            self.pods.retain(|_, pod| !pod.terminating);
            let live = self.pods.values_mut().filter(|pod| !matches!(pod.stage, Failed | Succeeded));
            live.for_each(|pod| pod.stage = Ready(100));
            if !self.step() {
                return self.check_end();
            }
        }
        panic!("it does not come to rest: {:?} {:?}", self.set.spec, self.pods);
    }

    fn check_end(&self) {
        let start = identity::start(&self.set);
        let wanted: Vec<_> = (start..start + Ordinal::from(identity::replicas(&self.set))).collect();
        assert_eq!(self.pods.keys().copied().collect::<Vec<_>>(), wanted, "the Pods that are wanted");
        let rolling = self.set.spec.update_strategy.as_ref().and_then(|all| all.rolling_update.as_ref());
        if let Some(rolling) = rolling {
            let first = start + Ordinal::from(rolling.partition.unwrap_or(0));
            let updated = self.pods.range(first..).all(|(_, pod)| pod.revision == self.newest);
            assert!(updated, "not updated from {first} on: {:?}", self.pods);
        }
    }
}

/// What must hold of each plan.
fn promises(view: &View<'_>, plan: &Plan) {
    let set = view.set;
    let serves = |ordinal: &Ordinal| {
        view.pods.get(ordinal).is_some_and(|pod| view.available(pod) && !object::deleting(&**pod))
    };
    let start = identity::start(set);
    let range: Vec<Ordinal> = (start..start + Ordinal::from(identity::replicas(set))).collect();
    let serving = range.iter().filter(|ordinal| serves(ordinal)).count();
    let rolling = set.spec.update_strategy.as_ref().and_then(|all| all.rolling_update.clone());
    let partition = rolling.as_ref().and_then(|rolling| rolling.partition);
    let mut seen = BTreeSet::new();
    for new in &plan.create {
        assert!(seen.insert(new.ordinal) && range.contains(&new.ordinal), "{new:?}");
        assert!(!view.pods.contains_key(&new.ordinal), "there is one: {new:?}");
        if let Some(partition) = partition {
            assert_eq!(new.newest, new.ordinal >= start + Ordinal::from(partition), "{new:?}");
        }
    }
    let (mut condemned, mut outdated) = (Vec::new(), 0);
    for pod in &plan.delete {
        let ordinal = identity::ordinal(set, object::name(&**pod)).expect("one of the set's");
        assert!(seen.insert(ordinal) && !object::deleting(&**pod), "twice: {ordinal}");
        if !range.contains(&ordinal) {
            condemned.push(ordinal);
        } else if !pod.finished() {
            assert!(rolling.is_some(), "OnDelete deletes nothing");
            assert!(ordinal >= start + Ordinal::from(partition.unwrap_or(0)), "below the partition");
            assert_ne!(object::labels(&**pod).get(REVISION), Some(view.newest), "{ordinal}");
            outdated += usize::from(serves(&ordinal));
        }
    }
    let most = rolling.and_then(|rolling| rolling.max_unavailable);
    let most = most.map_or(1, |most| crate::deployment::resolve_share(&most, 0, false).max(1) as usize);
    assert!(outdated <= most.saturating_sub(range.len() - serving), "{outdated} of {serving}, {most}");
    if !identity::ordered(set) {
        return;
    }
    assert!(plan.create.len() + condemned.len() <= 1, "one after the other");
    if let Some(new) = plan.create.first() {
        assert!(range.iter().take_while(|ordinal| **ordinal < new.ordinal).all(&serves), "{new:?}");
    }
    let others = view.pods.keys().filter(|ordinal| !range.contains(ordinal));
    if let Some(gone) = condemned.first() {
        assert!(Some(gone) == others.max() && serving == range.len(), "{gone} before others are well");
    } else if outdated > 0 {
        assert!(others.count() == 0 && serving == range.len(), "updated before others are well");
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let stage = prop_oneof![
        4 => Just(Ready(100)),
        1 => Just(Ready(0)),
        1 => Just(Running),
        1 => Just(Failed),
        1 => Just(Succeeded),
    ];
    let event = prop_oneof![
        1 => (0..6).prop_map(Event::Scale),
        1 => (0..4u8).prop_map(Event::Template),
        1 => (0..5).prop_map(Event::Partition),
        6 => (0..6i64, stage).prop_map(|(number, stage)| Event::Stage(number, stage)),
        1 => (0..6i64).prop_map(Event::Delete),
        4 => (0..6i64).prop_map(Event::Gone),
    ];
    vec(event, 0..60)
}

fn ways() -> impl Strategy<Value = Ways> {
    (any::<bool>(), prop_oneof![3 => Just(true), 1 => Just(false)], 0..3, 1..4)
        .prop_map(|(ordered, rolls, start, max_unavailable)| Ways { ordered, rolls, start, max_unavailable })
}

#[test]
fn promises_hold_and_every_set_comes_to_rest() {
    let cases = if std::env::var_os("TIPHYS_SOAK").is_some() { 100_000 } else { 200 };
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(ways(), events()), |(ways, events)| {
        let mut world = World::new(&ways);
        world.step();
        for event in &events {
            world.happen(event);
            world.step();
        }
        world.rest();
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
