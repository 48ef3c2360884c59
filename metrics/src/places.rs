//! Places for work that many ask for: so many at once in all, and fewer for one user, so that
//! others have their turn whatever one asks. Statements of SQL, queries of PromQL and connections
//! of Postgres stand in line here.
//!
//! What it must not do: know what is done in a place, or how long.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many places. Clones share them.
#[derive(Debug, Clone)]
pub struct Places {
    in_all: usize,
    of_one: usize,
    all: Arc<Semaphore>,
    /// By user; gone with the last place that is held or waited for.
    own: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
}

/// A place, of all and of the user's own. Dropped, it is free.
#[derive(Debug)]
pub struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All(usize),
    /// The user's own are.
    Own(usize),
}

impl Places {
    /// So many `in_all`, and so many `of_one` user.
    pub fn new(in_all: usize, of_one: usize) -> Self {
        Self { in_all, of_one, all: Arc::new(Semaphore::new(in_all)), own: Arc::default() }
    }

    /// Waits for a place. Who asks first has it first.
    pub async fn take(&self, user: &str) -> Place {
        self.take_of(user, self.of_one).await
    }

    /// The same of a user who always has another number of places.
    pub async fn take_of(&self, user: &str, of_one: usize) -> Place {
        let never_closed = "nobody closes these semaphores";
        // The user's own first: who waits for that keeps no place from others.
        let own = self.owner(user, of_one).acquire_owned().await.expect(never_closed);
        let all = self.all.clone().acquire_owned().await.expect(never_closed);
        Place { _own: own, _all: all }
    }

    /// A place that is free now.
    ///
    /// # Errors
    /// There is none.
    pub fn take_now(&self, user: &str) -> Result<Place, Full> {
        let own = self.owner(user, self.of_one).try_acquire_owned().map_err(|_| Full::Own(self.of_one))?;
        let all = self.all.clone().try_acquire_owned().map_err(|_| Full::All(self.in_all))?;
        Ok(Place { _own: own, _all: all })
    }

    /// Places that are held.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.in_all - self.all.available_permits()
    }

    fn owner(&self, user: &str, of_one: usize) -> Arc<Semaphore> {
        let mut own = self.own.lock();
        if let Some(there) = own.get(user).and_then(Weak::upgrade) {
            return there;
        }
        own.retain(|_, places| places.strong_count() > 0);
        let made = Arc::new(Semaphore::new(of_one));
        own.insert(user.to_owned(), Arc::downgrade(&made));
        made
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_user_leaves_places_for_others_and_who_waits_keeps_none() {
        let places = Places::new(3, 2);
        let first = places.take_now("a").expect("free");
        let _second = places.take_now("a").expect("free");
        assert_eq!(places.take_now("a").err(), Some(Full::Own(2)));
        let mut waiting = Box::pin(places.take("a"));
        assert!(waiting.as_mut().now_or_never().is_none(), "the user has as many as one may");
        let other = places.take_now("b").expect("who waits keeps no place from others");
        assert_eq!((places.take_now("c").err(), places.taken()), (Some(Full::All(3)), 3));
        drop(first);
        let _third = waiting.now_or_never().expect("the user's own place was given back");
        drop(other);
        assert_eq!(places.taken(), 2);
    }

    #[tokio::test]
    async fn a_user_may_have_more_places_than_others() {
        let places = Places::new(4, 1);
        let held = [0, 1].map(|_| places.take_of("many", 2).now_or_never().expect("free"));
        assert!(places.take_of("many", 2).now_or_never().is_none(), "it has two");
        let _other = places.take_now("other").expect("free");
        assert_eq!(places.take_now("other").err(), Some(Full::Own(1)));
        drop(held);
        assert_eq!(places.taken(), 1);
    }

    #[test]
    fn users_that_are_gone_are_forgotten() {
        let places = Places::new(2, 1);
        for user in ["a", "b", "c"] {
            drop(places.take_now(user).expect("free"));
        }
        assert_eq!(places.own.lock().len(), 1);
    }
}
