//! The model of a store: every state there ever was, whole. Pure.
//!
//! It says what a transaction answers, which revision it takes, and what a watch from any revision
//! is told. A crash takes the newest states away again.

use std::collections::{BTreeMap, BTreeSet};

use tiphys_store::{Compare, Event, LeaseId, Op, OpResult, Record, Revision, Txn, TxnResult};

pub type State = BTreeMap<String, Record>;

/// Every state by revision from 1, and how far the past is given up.
#[derive(Clone)]
pub struct History {
    states: Vec<State>,
    pub compacted: Revision,
    pub leases: BTreeSet<LeaseId>,
}

impl History {
    pub fn new() -> Self {
        Self { states: vec![State::new()], compacted: 0, leases: BTreeSet::new() }
    }

    pub fn revision(&self) -> Revision {
        self.states.len() as Revision
    }

    pub fn state(&self, revision: Revision) -> &State {
        &self.states[revision as usize - 1]
    }

    pub fn newest(&self) -> &State {
        self.state(self.revision())
    }

    /// Forgets what came after a revision.
    pub fn cut(&mut self, revision: Revision) {
        self.states.truncate(revision as usize);
    }

    /// Does a transaction, and gives the answer to it.
    pub fn transact(&mut self, txn: &Txn) -> TxnResult {
        let before = self.newest().clone();
        let is_at = |compare: &Compare| {
            before.get(&compare.key).map_or(0, |record| record.mod_revision) == compare.mod_revision
        };
        let succeeded = txn.compare.iter().all(is_at);
        let (mut state, next) = (before.clone(), self.revision() + 1);
        let mut changed = false;
        let mut results = Vec::new();
        for op in if succeeded { &txn.success } else { &txn.failure } {
            results.push(match op {
                Op::Put { key, value, lease } => {
                    let former = before.get(key);
                    let record = Record {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: former.map_or(next, |record| record.create_revision),
                        mod_revision: next,
                        version: former.map_or(1, |record| record.version + 1),
                        lease: *lease,
                    };
                    state.insert(key.clone(), record.clone());
                    changed = true;
                    OpResult::Put(record)
                }
                Op::Delete { key } => {
                    let gone = state.remove(key);
                    changed |= gone.is_some();
                    OpResult::Delete(gone)
                }
                Op::Get { key } => OpResult::Get(before.get(key).cloned()),
            });
        }
        if changed {
            self.states.push(state);
        }
        TxnResult { succeeded, revision: self.revision(), results }
    }

    /// A lease ends, and its keys with it.
    pub fn revoke(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        let mut state = self.newest().clone();
        state.retain(|_, record| record.lease != Some(lease));
        if state.len() < self.newest().len() {
            self.states.push(state);
        }
    }

    /// What a watch of a prefix is told from a revision on; by key within a revision.
    pub fn events(&self, prefix: &str, from: Revision) -> Vec<Event> {
        (from.max(2)..=self.revision()).flat_map(|revision| self.changes(prefix, revision)).collect()
    }

    fn changes(&self, prefix: &str, revision: Revision) -> Vec<Event> {
        let (before, after) = (self.state(revision - 1), self.state(revision));
        let keys: BTreeSet<_> =
            before.keys().chain(after.keys()).filter(|key| key.starts_with(prefix)).collect();
        keys.into_iter()
            .filter(|key| before.get(*key) != after.get(*key))
            .map(|key| Event {
                key: key.clone(),
                revision,
                current: after.get(key).cloned(),
                previous: before.get(key).cloned(),
            })
            .collect()
    }
}
