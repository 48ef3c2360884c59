//! Multi-version behaviour against a model that keeps every state whole.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use tiphys_store::{Compare, Event, Op, Options, Range, Revision, Store, StoreError, Txn, Watch};

use super::testbed::{Bed, events_until, text};

type State = BTreeMap<String, String>;

#[derive(Debug, Clone)]
enum Action {
    /// Puts and deletes of distinct keys; the second part runs if the key isn't at the guessed revision.
    Txn {
        guess: Option<(u8, u64)>,
        writes: Vec<(u8, Option<u16>)>,
    },
    /// Gives up history, this share of what there is (0 to 100).
    Compact(u64),
    Reopen,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let key = 0..6_u8;
    let write = (key.clone(), proptest::option::weighted(0.7, any::<u16>()));
    let txn = (proptest::option::of((key, 0..12_u64)), vec(write, 0..4));
    let action = prop_oneof![
        30 => txn.prop_map(|(guess, writes)| Action::Txn { guess, writes }),
        2 => (0..100_u64).prop_map(Action::Compact),
        1 => Just(Action::Reopen),
    ];
    vec(action, 1..60)
}

/// Every state there was, by revision from 1, and how far the past is given up.
struct Model {
    states: Vec<State>,
    modified: BTreeMap<String, Revision>,
    compacted: Revision,
}

impl Model {
    fn revision(&self) -> Revision {
        self.states.len() as Revision
    }

    fn state(&self, revision: Revision) -> &State {
        &self.states[revision as usize - 1]
    }

    /// What a transaction does; true if its comparison held.
    fn transact(&mut self, txn: &Txn) -> bool {
        let holds =
            |compare: &Compare| self.modified.get(&compare.key).copied().unwrap_or(0) == compare.mod_revision;
        if !txn.compare.iter().all(holds) {
            return false;
        }
        let mut state = self.state(self.revision()).clone();
        let revision = self.revision() + 1;
        let mut changed = false;
        for op in &txn.success {
            match op {
                Op::Put { key, value, .. } => {
                    state.insert(key.clone(), String::from_utf8(value.to_vec()).unwrap());
                    self.modified.insert(key.clone(), revision);
                    changed = true;
                }
                Op::Delete { key } => {
                    changed |= state.remove(key).is_some();
                    self.modified.remove(key);
                }
                Op::Get { .. } => {}
            }
        }
        if changed {
            self.states.push(state);
        }
        true
    }

    /// Key, former value, new value of each change of a revision, by key. A put of an equal value
    /// is a change too, so it is told by the store's events only: they are compared as a set of states.
    fn differs(&self, revision: Revision) -> Vec<(&String, Option<&String>, Option<&String>)> {
        let (before, after) = (self.state(revision - 1), self.state(revision));
        let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        keys.into_iter()
            .map(|key| (key, before.get(key), after.get(key)))
            .filter(|(_, before, after)| before != after)
            .collect()
    }
}

fn txn(guess: Option<(u8, u64)>, writes: &[(u8, Option<u16>)]) -> Txn {
    let mut seen = std::collections::HashSet::new();
    let key = |n: u8| format!("/{}/{n}", n % 2);
    let operation = |(n, value): &(u8, Option<u16>)| match value {
        Some(value) => Op::Put { key: key(*n), value: value.to_string().into(), lease: None },
        None => Op::Delete { key: key(*n) },
    };
    Txn {
        compare: guess.into_iter().map(|(n, mod_revision)| Compare { key: key(n), mod_revision }).collect(),
        success: writes.iter().filter(|(n, _)| seen.insert(*n)).map(operation).collect(),
        failure: Vec::new(),
    }
}

async fn run(mut bed: Bed, actions: Vec<Action>) {
    let mut model = Model { states: vec![State::new()], modified: BTreeMap::new(), compacted: 0 };
    let mut live = bed.store.watch("/", 1).await.unwrap();
    let (mut live_from, mut seen, mut told) = (1, 0, Vec::new());
    for action in actions {
        match action {
            Action::Txn { guess, writes } => {
                let txn = txn(guess, &writes);
                let result = bed.store.transact(txn.clone()).await.unwrap();
                assert_eq!(result.succeeded, model.transact(&txn));
                assert_eq!(result.revision, model.revision());
            }
            Action::Compact(share) => {
                told.extend(catch_up(&mut live, &mut seen, &model).await);
                let to = model.revision() * share / 100;
                if to > model.compacted {
                    bed.store.compact(to).await.unwrap();
                    model.compacted = to;
                }
            }
            Action::Reopen => {
                told.extend(catch_up(&mut live, &mut seen, &model).await);
                check_events(&model, live_from, &std::mem::take(&mut told));
                bed = bed.reopen(Options::default()).await;
                (live_from, seen) = (model.revision() + 1, model.revision());
                live = bed.store.watch("/", live_from).await.unwrap();
            }
        }
    }
    told.extend(catch_up(&mut live, &mut seen, &model).await);
    check_events(&model, live_from, &told);
    check(&*bed.store, &model).await;
    bed.close().await;
}

/// What the watch tells up to the newest revision, if it hasn't told it yet.
async fn catch_up(watch: &mut Watch, seen: &mut Revision, model: &Model) -> Vec<Event> {
    if *seen == model.revision() {
        return Vec::new();
    }
    *seen = model.revision();
    events_until(watch, *seen).await.unwrap()
}

/// Every readable revision, and a replay from each.
async fn check(store: &dyn Store, model: &Model) {
    for revision in 1..=model.revision() {
        let read = store.range(Range { revision: Some(revision), ..Range::prefix("/") }).await;
        if revision < model.compacted {
            assert!(matches!(read, Err(StoreError::Compacted { .. })));
            continue;
        }
        let state: State =
            read.unwrap().records.iter().map(|record| (record.key.clone(), text(record))).collect();
        assert_eq!(&state, model.state(revision));
    }
    let from = model.compacted + 1;
    let mut replay = store.watch("/", from).await.unwrap();
    check_events(model, from, &events_until(&mut replay, model.revision()).await.unwrap());
}

fn check_events(model: &Model, from: Revision, events: &[Event]) {
    assert!(events.is_sorted_by_key(|event| event.revision));
    for revision in from.max(2)..=model.revision() {
        let mut told: Vec<_> = events
            .iter()
            .filter(|event| event.revision == revision)
            .map(|event| (&event.key, event.previous.as_ref().map(text), event.current.as_ref().map(text)))
            .collect();
        assert!(!told.is_empty(), "nothing was told of revision {revision}");
        told.retain(|(_, before, after)| before != after);
        told.sort();
        let expected: Vec<_> = model
            .differs(revision)
            .into_iter()
            .map(|(key, before, after)| (key, before.cloned(), after.cloned()))
            .collect();
        assert_eq!(told, expected, "revision {revision}");
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn the_embedded_store_agrees_with_the_model(actions in actions()) {
        block_on(async { run(Bed::embedded().await, actions).await });
    }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn the_etcd_store_agrees_with_the_model(actions in actions()) {
        block_on(async { run(Bed::etcd().await, actions).await });
    }
}
