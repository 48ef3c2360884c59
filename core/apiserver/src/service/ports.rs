//! The pool of node ports. As with addresses, the low end stays free for wishes.

use std::ops::RangeInclusive;

use rand::Rng;

use super::{
    addresses::Refused,
    used::{Owner, Used},
};

pub struct NodePorts {
    range: RangeInclusive<u16>,
    pub used: Used<u16>,
}

impl NodePorts {
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, used: Used::default() }
    }

    pub fn claim(&self, port: u16, owner: &Owner) -> Result<(), Refused> {
        if !self.range.contains(&port) {
            return Err(Refused::OutOfRange);
        }
        if self.used.claim(port, owner) { Ok(()) } else { Err(Refused::Taken) }
    }

    pub fn allocate(&self, owner: &Owner) -> Result<u16, Refused> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let band = ((last - first) / 32).clamp(16, 128).min((last - first) / 2);
        let start = rand::rng().random_range(first + band..=last);
        let ports = (start..=last).chain(first + band..start).chain(first..first + band);
        self.used.take_first(ports, owner).ok_or(Refused::Full)
    }

    pub fn range(&self) -> &RangeInclusive<u16> {
        &self.range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_is_given_once_and_comes_back() {
        let (pool, owner) = (NodePorts::new(30000..=30049), Owner::from("a"));
        let mut given: Vec<_> = (0..50).map(|_| pool.allocate(&owner).expect("free")).collect();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 50);
        assert_eq!(pool.allocate(&owner), Err(Refused::Full));
        pool.used.release(30007, &owner);
        assert_eq!(pool.claim(30007, &owner), Ok(()));
        assert_eq!(pool.claim(80, &owner), Err(Refused::OutOfRange));
    }
}
