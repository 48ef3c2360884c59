//! Who may connect: so many at once in all, so many from one address, which is known before the
//! handshake, and so many of one user, which is known behind it.
//!
//! Who comes when all is full is told so in the protocol's words, which takes a handshake; so only
//! some are told at once, and others are closed.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::places::{Full, Place, Places};

/// How many may connect, and what their connections may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub in_all: usize,
    pub of_address: usize,
    pub of_user: usize,
    /// Those who are told at once that there is no place.
    pub refused: usize,
    /// A client has signed in after so long.
    pub startup: Duration,
    /// A connection on which nothing was asked for so long ends.
    pub idle: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            in_all: 100,
            of_address: 60,
            of_user: 40,
            refused: 20,
            startup: Duration::from_secs(20),
            idle: Duration::from_secs(3600),
        }
    }
}

/// The places of a door.
pub struct Admission {
    bounds: Bounds,
    addresses: Places,
    users: Places,
    refused: Arc<Semaphore>,
}

/// What became of a connection at the door. Dropped, its place is free.
pub struct Admitted {
    /// Why there is none, as a sentence.
    pub refused: Option<String>,
    _place: Result<Place, OwnedSemaphorePermit>,
}

impl Admission {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            addresses: Places::new(bounds.in_all, bounds.of_address),
            users: Places::new(bounds.in_all, bounds.of_user),
            refused: Arc::new(Semaphore::new(bounds.refused)),
        }
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// A place for a connection from an address, or why there is none; absent when too many are
    /// being told that.
    pub fn of_address(&self, address: &str) -> Option<Admitted> {
        match self.addresses.take_now(address) {
            Ok(place) => Some(Admitted { refused: None, _place: Ok(place) }),
            Err(full) => {
                let telling = self.refused.clone().try_acquire_owned().ok()?;
                let why = sentence(full, &format!("from {address}"));
                Some(Admitted { refused: Some(why), _place: Err(telling) })
            }
        }
    }

    /// A place for a connection of a user.
    ///
    /// # Errors
    /// There is none.
    pub fn of_user(&self, user: &str) -> Result<Place, String> {
        self.users.take_now(user).map_err(|full| sentence(full, &format!("of {user}")))
    }
}

fn sentence(full: Full, whose: &str) -> String {
    match full {
        Full::All(count) => format!("too many connections: there are {count}, which is the most"),
        Full::Own(count) => format!("too many connections: there are {count} {whose}, which is the most"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_33_who_is_one_too_many_is_told_and_the_next_ones_are_not_heard() {
        let bounds = Bounds { in_all: 3, of_address: 2, of_user: 1, refused: 1, ..Bounds::default() };
        let admission = Admission::new(bounds);
        let refused = |address| admission.of_address(address).and_then(|admitted| admitted.refused);
        let held = [(); 2].map(|()| admission.of_address("10.0.0.1").expect("a place"));
        assert!(held.iter().all(|admitted| admitted.refused.is_none()));
        let told = admission.of_address("10.0.0.1").expect("it is told");
        let why = told.refused.as_deref().unwrap_or_default();
        assert!(why.contains("2 from 10.0.0.1"), "{why}");
        assert!(admission.of_address("10.0.0.1").is_none(), "one is being told already");
        drop(told);
        let other = admission.of_address("10.0.0.2").expect("a place");
        assert_eq!(other.refused, None, "another address has places");
        assert!(refused("10.0.0.3").expect("it is told").contains("there are 3, which"));
        drop(held);
        assert_eq!(refused("10.0.0.1"), None);
        let place = admission.of_user("anna").expect("a place");
        assert!(admission.of_user("anna").expect_err("one too many").contains("1 of anna"));
        drop((place, admission.of_user("otto").expect("a place")));
        admission.of_user("anna").expect("it is free again");
    }
}
