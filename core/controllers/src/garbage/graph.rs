//! Who owns whom, as far as watches have told. Pure.
//!
//! Objects by UID with their owners, and dependents by the owner's UID, whether
//! or not that owner is known. Every observation gives the UIDs that must be
//! looked at again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tiphys_client::Pooled;

pub type Uid = Arc<str>;

/// What is known of an object. There is one of every object in the cluster: what many say is kept once.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Which of the watched resources, by `group/plural`.
    pub resource: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Box<str>,
    pub owners: Pooled<Vec<OwnerReference>>,
    pub deleting: bool,
    /// Has the finalizer `foregroundDeletion`.
    pub foreground: bool,
    /// Has the finalizer `orphan`.
    pub orphans: bool,
}

impl Item {
    /// Being deleted, and its dependents go first.
    pub fn waits_for_dependents(&self) -> bool {
        self.deleting && self.foreground
    }
}

#[derive(Debug, Default)]
pub struct Graph {
    items: HashMap<Uid, Item>,
    dependents: HashMap<Uid, HashSet<Uid>>,
}

impl Graph {
    pub fn get(&self, uid: &str) -> Option<&Item> {
        self.items.get(uid)
    }

    /// The objects that name this UID as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<(Uid, Item)> {
        let uids = self.dependents.get(uid).into_iter().flatten();
        uids.filter_map(|uid| Some((uid.clone(), self.items.get(uid)?.clone()))).collect()
    }

    pub fn has_dependents(&self, uid: &str) -> bool {
        self.dependents.get(uid).is_some_and(|dependents| !dependents.is_empty())
    }

    /// The object is there, like this. Gives what must be looked at.
    pub fn observe(&mut self, uid: &str, item: Item) -> Vec<Uid> {
        let mut look = Vec::new();
        let (uid, before) = match self.items.get_key_value(uid) {
            Some((uid, before)) => (uid.clone(), Some(before.clone())),
            None => (Uid::from(uid), None),
        };
        if before.as_ref() == Some(&item) {
            return look;
        }
        self.unlink(&uid, before.as_ref());
        for owner in item.owners.iter() {
            match self.dependents.get_mut(owner.uid.as_str()) {
                Some(dependents) => drop(dependents.insert(uid.clone())),
                None => drop(self.dependents.insert(owner.uid.as_str().into(), HashSet::from([uid.clone()]))),
            }
            let state = self.items.get(owner.uid.as_str());
            // An owner that isn't known may be gone; one that waits may wait for this.
            if state.is_none_or(Item::waits_for_dependents) {
                look.push(uid.clone());
            }
        }
        // Owners that it has let go, or blocks no longer, may be done waiting.
        let former = before.iter().flat_map(|before| before.owners.iter());
        look.extend(former.filter(|owner| self.waiting(&owner.uid)).map(|owner| owner.uid.as_str().into()));
        if item.deleting && (item.foreground || item.orphans) {
            look.push(uid.clone());
        }
        self.items.insert(uid, item);
        look
    }

    /// The object is gone. Gives what must be looked at.
    pub fn remove(&mut self, uid: &str) -> Vec<Uid> {
        let Some(item) = self.items.remove(uid) else { return Vec::new() };
        self.unlink(uid, Some(&item));
        let mut look: Vec<Uid> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        look.extend(
            item.owners
                .iter()
                .filter(|owner| self.waiting(&owner.uid))
                .map(|owner| owner.uid.as_str().into()),
        );
        look
    }

    /// Whether an object that waits for its dependents has waited enough: none blocks it, or only
    /// such as wait themselves and, at the end of their chains, for this one.
    pub fn may_go(&self, uid: &str) -> bool {
        let mut next = self.blocking(uid);
        let mut may_go = next.is_empty();
        let mut seen = HashSet::new();
        while let Some(one) = next.pop() {
            if one == uid {
                may_go = true;
            } else if !self.waiting(one) {
                return false;
            } else if seen.insert(one) {
                next.extend(self.blocking(one));
            }
        }
        may_go
    }

    /// Dependents that must go before this object does.
    fn blocking(&self, uid: &str) -> Vec<&str> {
        let blocks = |owner: &OwnerReference| owner.uid == uid && owner.block_owner_deletion == Some(true);
        let dependents = self.dependents.get(uid).into_iter().flatten().map(|dependent| &**dependent);
        dependents
            .filter(|dependent| self.items.get(*dependent).is_some_and(|item| item.owners.iter().any(blocks)))
            .collect()
    }

    /// UIDs of a resource, to tell after a new list which are gone.
    pub fn of_resource(&self, resource: &str) -> HashSet<Uid> {
        let items = self.items.iter().filter(|(_, item)| &*item.resource == resource);
        items.map(|(uid, _)| uid.clone()).collect()
    }

    fn waiting(&self, uid: &str) -> bool {
        self.items.get(uid).is_some_and(Item::waits_for_dependents)
    }

    fn unlink(&mut self, uid: &str, item: Option<&Item>) {
        for owner in item.iter().flat_map(|item| item.owners.iter()) {
            if let Some(dependents) = self.dependents.get_mut(owner.uid.as_str()) {
                dependents.remove(uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner.uid.as_str());
                }
            }
        }
    }
}

/// How an owner stands, as the object's fate depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Solid,
    /// It doesn't exist.
    Dangling,
    /// It is being deleted and waits for its dependents.
    Waiting,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// Some owners remain: only these references go.
    DropReferences(Vec<Uid>),
    /// The last owner is gone. In the foreground when it has dependents of its own to wait for.
    Delete {
        foreground: bool,
    },
}

/// What becomes of an object with these owners.
pub fn verdict(owners: &[(Uid, Standing)], has_dependents: bool) -> Verdict {
    let any = |wanted: Standing| owners.iter().any(|(_, standing)| *standing == wanted);
    let lost = || owners.iter().filter(|(_, standing)| *standing != Standing::Solid);
    if owners.is_empty() {
        Verdict::Keep
    } else if any(Standing::Solid) {
        let lost: Vec<Uid> = lost().map(|(uid, _)| uid.clone()).collect();
        if lost.is_empty() { Verdict::Keep } else { Verdict::DropReferences(lost) }
    } else {
        Verdict::Delete { foreground: any(Standing::Waiting) && has_dependents }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiphys_client::same_owners;

    fn item(name: &str, owners: &[&str]) -> Item {
        let owners =
            owners.iter().map(|uid| OwnerReference { uid: (*uid).into(), ..OwnerReference::default() });
        Item {
            resource: "/pods".into(),
            namespace: "default".into(),
            name: name.into(),
            owners: same_owners(owners.collect()),
            deleting: false,
            foreground: false,
            orphans: false,
        }
    }

    #[test]
    fn dependents_are_looked_at_when_their_owner_goes() {
        let mut graph = Graph::default();
        assert!(graph.observe("set", item("set", &[])).is_empty());
        assert!(graph.observe("pod", item("pod", &["set"])).is_empty(), "its owner is there");
        assert!(graph.has_dependents("set"));
        assert_eq!(graph.remove("set"), ["pod".into()]);
        assert!(graph.remove("pod").is_empty());
        assert!(!graph.has_dependents("set"));
    }

    #[test]
    fn an_object_whose_owner_is_not_known_is_looked_at_once() {
        let mut graph = Graph::default();
        assert_eq!(graph.observe("pod", item("pod", &["gone"])), ["pod".into()]);
        assert!(graph.observe("pod", item("pod", &["gone"])).is_empty(), "nothing changed");
    }

    #[test]
    fn a_foreground_deletion_looks_again_when_a_dependent_goes() {
        let mut graph = Graph::default();
        graph.observe("set", item("set", &[]));
        graph.observe("pod", item("pod", &["set"]));
        let going = Item { deleting: true, foreground: true, ..item("set", &[]) };
        assert_eq!(graph.observe("set", going), ["set".into()]);
        assert_eq!(graph.remove("pod"), ["set".into()]);
    }

    #[test]
    fn what_waits_goes_when_nothing_blocks_it_but_its_own_circle() {
        let blocking_all = |name: &str, owners: &[&str], waits: bool| {
            let blocks = |uid: &&str| OwnerReference {
                uid: (*uid).into(),
                block_owner_deletion: Some(true),
                ..OwnerReference::default()
            };
            let owners = same_owners(owners.iter().map(blocks).collect());
            Item { deleting: waits, foreground: waits, owners, ..item(name, &[]) }
        };
        let blocking = |name: &str, owner: &str, waits: bool| blocking_all(name, &[owner], waits);
        let mut graph = Graph::default();
        graph.observe("a", blocking("a", "c", true));
        graph.observe("b", blocking("b", "a", true));
        graph.observe("c", blocking("c", "b", false));
        let may_go = |graph: &Graph| ["a", "b", "c"].map(|uid| graph.may_go(uid));
        assert!(!graph.may_go("a") && !graph.may_go("b"), "c isn't being deleted yet");
        graph.observe("c", blocking("c", "b", true));
        assert_eq!(may_go(&graph), [true, true, true]);
        // One that waits for the circle, and one that the circle waits for.
        graph.observe("d", Item { deleting: true, foreground: true, ..item("d", &[]) });
        graph.observe("a", blocking_all("a", &["c", "d"], true));
        assert!(!graph.may_go("d"), "it is not in the circle");
        graph.observe("e", blocking("e", "b", false));
        assert_eq!(may_go(&graph), [false, false, false]);
        assert_eq!(graph.remove("e"), ["b".into()]);
        assert_eq!(may_go(&graph), [true, true, true]);
        for uid in ["c", "b", "a"] {
            graph.remove(uid);
        }
        assert!(graph.may_go("d"));
    }

    #[test]
    fn verdicts_follow_the_owners() {
        use Standing::{Dangling, Solid, Waiting};
        let delete = |foreground| Verdict::Delete { foreground };
        for (owners, has_dependents, expected) in [
            (vec![], false, Verdict::Keep),
            (vec![Solid], false, Verdict::Keep),
            (vec![Solid, Dangling], false, Verdict::DropReferences(vec!["1".into()])),
            (vec![Dangling, Waiting, Solid], true, Verdict::DropReferences(vec!["0".into(), "1".into()])),
            (vec![Dangling], true, delete(false)),
            (vec![Waiting], false, delete(false)),
            (vec![Waiting], true, delete(true)),
            (vec![Dangling, Waiting], true, delete(true)),
        ] {
            let named: Vec<_> =
                owners.iter().enumerate().map(|(n, standing)| (n.to_string().into(), *standing)).collect();
            assert_eq!(verdict(&named, has_dependents), expected, "{owners:?}");
        }
    }
}
