//! One copy of what many objects have alike: the spec of a thousand replicas, a
//! namespace's name. Equal values given to a [`Pool`] come back as one.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    ops::Deref,
    sync::{Arc, LazyLock},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use parking_lot::Mutex;
use serde::Serialize;

/// Shared with all that have an equal one.
pub type Pooled<T> = Arc<Hashed<T>>;

/// A name that many objects bear: of a namespace, a node, a condition.
pub fn one_word(word: &str) -> Arc<str> {
    static WORDS: LazyLock<Pool<str>> = LazyLock::new(Pool::default);
    WORDS.one(word)
}

/// Owners that many objects have.
pub fn same_owners(owners: Vec<OwnerReference>) -> Pooled<Vec<OwnerReference>> {
    static OWNERS: LazyLock<Pool<Hashed<Vec<OwnerReference>>>> = LazyLock::new(Pool::default);
    OWNERS.one(Hashed::new(owners))
}

/// Fewer are not worth a look.
const FEW: usize = 1024;

/// Values that are in use somewhere. Those that no longer are go when the pool has doubled.
pub struct Pool<T: ?Sized>(Mutex<Kept<T>>);

struct Kept<T: ?Sized> {
    values: HashSet<Arc<T>>,
    look_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { values: HashSet::new(), look_at: FEW }))
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// The one copy of this value.
    pub fn one(&self, value: impl AsRef<T> + Into<Arc<T>>) -> Arc<T> {
        let mut kept = self.0.lock();
        if let Some(one) = kept.values.get(value.as_ref()) {
            return one.clone();
        }
        if kept.values.len() >= kept.look_at {
            kept.values.retain(|value| Arc::strong_count(value) > 1);
            kept.look_at = FEW.max(kept.values.len() * 2);
        }
        let one: Arc<T> = value.into();
        kept.values.insert(one.clone());
        one
    }
}

/// A value that can't be hashed by itself, with the hash of its JSON.
#[derive(Debug, Default)]
pub struct Hashed<T> {
    hash: u64,
    value: T,
}

impl<T: Serialize> Hashed<T> {
    pub fn new(value: T) -> Self {
        let mut hasher = Hashing(DefaultHasher::new());
        // The hasher takes whatever it is given. A value that has no JSON has the hash of its beginning.
        let _ = serde_json::to_writer(&mut hasher, &value);
        Self { hash: hasher.0.finish(), value }
    }
}

impl<T> Deref for Hashed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<Self> for Hashed<T> {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl<T: PartialEq> PartialEq for Hashed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.value == other.value
    }
}

impl<T: PartialEq> Eq for Hashed<T> {}

impl<T> Hash for Hashed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

struct Hashing(DefaultHasher);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_and_what_nobody_uses_goes() {
        let pool: Pool<str> = Pool::default();
        let (a, again) = (pool.one("a".to_owned()), pool.one("a"));
        assert!(Arc::ptr_eq(&a, &again));
        for number in 0..3 * FEW {
            pool.one(number.to_string());
        }
        let kept = pool.0.lock().values.len();
        assert!(kept <= FEW + 1, "{kept} are kept");
        assert!(Arc::ptr_eq(&a, &pool.one("a")), "what is in use stays");
    }

    #[test]
    fn values_without_a_hash_are_one_by_what_they_say() {
        let pool: Pool<Hashed<Vec<f64>>> = Pool::default();
        let (one, same) = (pool.one(Hashed::new(vec![1.5])), pool.one(Hashed::new(vec![1.5])));
        assert!(Arc::ptr_eq(&one, &same));
        assert_ne!(one, pool.one(Hashed::new(vec![2.5])));
    }
}
