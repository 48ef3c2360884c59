//! What a cache knows at one moment: the objects, the recent changes, and who is
//! to be told. All of it changes together, under one lock.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use tiphys_store::Revision;

use super::{
    CachedObject, Limits,
    queue::Queue,
    ring::{Change, Ring},
    selector::Scope,
};

/// Objects by the store's key.
pub type Objects = BTreeMap<Arc<str>, Arc<CachedObject>>;

pub struct State {
    pub objects: Objects,
    pub ring: Ring,
    /// Everything up to here is in.
    pub revision: Revision,
    watchers: HashMap<Scope, Vec<(u64, Arc<Queue>)>>,
    next_watcher: u64,
    limits: Limits,
    pub closed: bool,
}

impl State {
    /// Before the first read: nothing is known.
    pub fn new(limits: &Limits) -> Self {
        Self {
            objects: BTreeMap::new(),
            ring: Ring::new(limits.ring_events, limits.ring_bytes, 0),
            revision: 0,
            watchers: HashMap::new(),
            next_watcher: 0,
            limits: limits.clone(),
            closed: false,
        }
    }

    /// Begins anew with what was read at a revision. Watchers end: what happened in between isn't known.
    pub fn replace(&mut self, objects: Objects, revision: Revision) {
        self.objects = objects;
        self.revision = revision;
        self.ring = Ring::new(self.limits.ring_events, self.limits.ring_bytes, revision);
        self.end_watchers();
    }

    /// Takes in changes in the order of their revisions and hands them to the watchers.
    pub fn apply(&mut self, changes: Vec<Change>, revision: Revision) {
        for change in changes.into_iter().map(Arc::new) {
            match (&change.current, change.key()) {
                (Some(object), _) => drop(self.objects.insert(object.key.clone(), object.clone())),
                (None, Some(key)) => drop(self.objects.remove(key)),
                (None, None) => continue,
            }
            self.dispatch(&change);
            self.ring.push(change);
        }
        self.revision = self.revision.max(revision);
    }

    pub fn join(&mut self, scope: Scope) -> (u64, Arc<Queue>) {
        let queue = Arc::new(Queue::new(self.limits.watcher_events, self.limits.watcher_bytes));
        let id = self.next_watcher;
        self.next_watcher += 1;
        if self.closed {
            queue.close();
        } else {
            self.watchers.entry(scope).or_default().push((id, queue.clone()));
        }
        (id, queue)
    }

    pub fn leave(&mut self, scope: &Scope, id: u64) {
        let Some(group) = self.watchers.get_mut(scope) else { return };
        group.retain(|(other, _)| *other != id);
        if group.is_empty() {
            self.watchers.remove(scope);
        }
    }

    pub fn end_watchers(&mut self) {
        for (_, queue) in self.watchers.drain().flat_map(|(_, group)| group) {
            queue.close();
        }
    }

    /// Keys of a part of the prefix, behind `start_after`: the range to go through.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start_after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a Arc<CachedObject>)> {
        self.objects
            .range::<str, _>((start(prefix, start_after), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
    }

    fn dispatch(&mut self, change: &Arc<Change>) {
        if self.watchers.is_empty() {
            return;
        }
        for scope in scopes(change) {
            let Some(group) = self.watchers.get_mut(&scope) else { continue };
            group.retain(|(_, queue)| queue.push(change));
            if group.is_empty() {
                self.watchers.remove(&scope);
            }
        }
    }
}

/// Where a range of keys begins.
pub fn start<'a>(prefix: &'a str, start_after: Option<&'a str>) -> Bound<&'a str> {
    match start_after {
        Some(key) if key >= prefix => Bound::Excluded(key),
        _ => Bound::Included(prefix),
    }
}

/// Every scope whose watchers may have to be told of a change.
fn scopes(change: &Change) -> Vec<Scope> {
    let sides = || change.previous.iter().chain(&change.current);
    let mut scopes = vec![Scope::All];
    if let Some(object) = sides().next() {
        scopes.push(Scope::Namespace(object.namespace().to_owned()));
        scopes.push(Scope::Name(object.name().to_owned()));
    }
    for object in sides() {
        for (at, value) in object.fields.iter().enumerate() {
            let scope = Scope::Field(at, value.to_string());
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    scopes
}
