//! Which Service holds what: the part that the pools of addresses and of ports
//! have in common. Pure but for its lock.
//!
//! A claim is first a write's alone, and settled when the write is done. What the
//! watch shows of Services settles too, whichever server wrote them; it takes
//! nothing from a write that is still under way.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

/// A Service, by its UID.
pub type Owner = Arc<str>;

pub struct Used<K>(Mutex<BTreeMap<K, Holding>>);

struct Holding {
    owner: Owner,
    settled: bool,
}

impl<K> Default for Used<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Copy> Used<K> {
    /// False if another one holds it.
    pub fn claim(&self, item: K, owner: &Owner) -> bool {
        let mut used = self.0.lock();
        let holding = used.entry(item).or_insert_with(|| Holding { owner: owner.clone(), settled: false });
        holding.owner == *owner
    }

    /// The first that nobody holds.
    pub fn take_first(&self, mut items: impl Iterator<Item = K>, owner: &Owner) -> Option<K> {
        let mut used = self.0.lock();
        let item = items.find(|item| !used.contains_key(item))?;
        used.insert(item, Holding { owner: owner.clone(), settled: false });
        Some(item)
    }

    /// The write that claimed it is done.
    pub fn settle(&self, item: K, owner: &Owner) {
        if let Some(holding) = self.0.lock().get_mut(&item).filter(|holding| holding.owner == *owner) {
            holding.settled = true;
        }
    }

    /// Gives it back, if it is the owner's.
    pub fn release(&self, item: K, owner: &Owner) {
        let mut used = self.0.lock();
        if used.get(&item).is_some_and(|holding| holding.owner == *owner) {
            used.remove(&item);
        }
    }

    /// The owner holds this and, but for what is being written, nothing else. Gives
    /// what another one held as well.
    pub fn show(&self, owner: &Owner, held: &[K]) -> Vec<K> {
        let mut used = self.0.lock();
        used.retain(|item, holding| holding.owner != *owner || !holding.settled || held.contains(item));
        let mut twice = Vec::new();
        for item in held {
            let former = used.insert(*item, Holding { owner: owner.clone(), settled: true });
            if former.is_some_and(|former| former.owner != *owner && former.settled) {
                twice.push(*item);
            }
        }
        twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(name: &str) -> Owner {
        name.into()
    }

    #[test]
    fn a_claim_is_its_owners_until_it_is_given_back() {
        let (used, a, b) = (Used::default(), owner("a"), owner("b"));
        assert!(used.claim(1, &a) && used.claim(1, &a) && !used.claim(1, &b));
        used.release(1, &b);
        assert!(!used.claim(1, &b));
        used.release(1, &a);
        assert_eq!(used.take_first([1, 2].into_iter(), &b), Some(1));
        assert_eq!(used.take_first([1, 2].into_iter(), &a), Some(2));
        assert_eq!(used.take_first([1, 2].into_iter(), &a), None);
    }

    #[test]
    fn what_is_shown_counts_but_for_what_is_being_written() {
        let (used, a, b) = (Used::default(), owner("a"), owner("b"));
        assert!(used.show(&a, &[1, 2]).is_empty());
        assert!(!used.claim(1, &b));
        used.claim(3, &a);
        // Elsewhere it gave up 2; here a write that wants 3 is under way.
        assert!(used.show(&a, &[1]).is_empty());
        assert!(used.claim(2, &b) && !used.claim(3, &b));
        used.settle(3, &a);
        assert!(used.show(&a, &[]).is_empty());
        assert!(used.claim(1, &b) && used.claim(3, &b));
    }

    #[test]
    fn what_two_hold_is_told_and_the_newer_one_s() {
        let (used, a, b) = (Used::default(), owner("a"), owner("b"));
        used.show(&a, &[1]);
        assert_eq!(used.show(&b, &[1]), [1]);
        used.release(1, &a);
        assert!(!used.claim(1, &a));
    }
}
