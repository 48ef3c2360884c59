//! What was read of the archive lately, within a number of bytes; what was not used for longest
//! goes first.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use parking_lot::Mutex;

pub struct Cache<K, V> {
    limit: usize,
    inner: Mutex<Inner<K, V>>,
}

struct Inner<K, V> {
    values: HashMap<K, Held<V>>,
    by_use: BTreeMap<u64, K>,
    clock: u64,
    bytes: usize,
}

struct Held<V> {
    value: V,
    bytes: usize,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub fn new(limit: usize) -> Self {
        let inner = Inner { values: HashMap::new(), by_use: BTreeMap::new(), clock: 0, bytes: 0 };
        Self { limit, inner: Mutex::new(inner) }
    }

    pub fn get(&self, key: &K) -> Option<V> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.clock += 1;
        let held = inner.values.get_mut(key)?;
        inner.by_use.remove(&held.used);
        held.used = inner.clock;
        inner.by_use.insert(inner.clock, key.clone());
        Some(held.value.clone())
    }

    /// Holds a value; one that is greater than the whole is not held.
    pub fn put(&self, key: K, value: V, bytes: usize) {
        if bytes > self.limit {
            return;
        }
        let mut inner = self.inner.lock();
        inner.remove(&key);
        inner.clock += 1;
        let used = inner.clock;
        inner.by_use.insert(used, key.clone());
        inner.values.insert(key, Held { value, bytes, used });
        inner.bytes += bytes;
        while inner.bytes > self.limit {
            let Some((_, oldest)) = inner.by_use.first_key_value() else { return };
            let oldest = oldest.clone();
            inner.remove(&oldest);
        }
    }

    pub fn forget(&self, which: impl Fn(&K) -> bool) {
        let mut inner = self.inner.lock();
        let gone: Vec<K> = inner.values.keys().filter(|key| which(key)).cloned().collect();
        gone.iter().for_each(|key| inner.remove(key));
    }
}

impl<K: Hash + Eq, V> Inner<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(held) = self.values.remove(key) {
            self.by_use.remove(&held.used);
            self.bytes -= held.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes() {
        let cache = Cache::new(30);
        (0..3).for_each(|key| cache.put(key, key, 10));
        assert_eq!(cache.get(&0), Some(0));
        cache.put(3, 3, 15);
        assert_eq!([0, 1, 2, 3].map(|key| cache.get(&key).is_some()), [true, false, false, true]);
        cache.put(3, 4, 20);
        assert_eq!((cache.get(&3), cache.get(&0)), (Some(4), Some(0)));
        cache.put(9, 9, 31);
        assert_eq!((cache.get(&9), cache.get(&3)), (None, Some(4)));
        cache.forget(|key| *key == 3);
        assert_eq!(cache.get(&3), None);
        cache.put(5, 5, 20);
        assert_eq!((cache.get(&0), cache.get(&5)), (Some(0), Some(5)));
    }
}
