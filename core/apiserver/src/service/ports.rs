//! The pool of node ports. As with addresses, the low end stays free for wishes.

use std::{collections::BTreeSet, ops::RangeInclusive};

use parking_lot::Mutex;
use rand::Rng;

use super::addresses::Refused;

pub struct NodePorts {
    range: RangeInclusive<u16>,
    used: Mutex<BTreeSet<u16>>,
}

impl NodePorts {
    pub fn new(range: RangeInclusive<u16>) -> Self {
        Self { range, used: Mutex::default() }
    }

    pub fn claim(&self, port: u16) -> Result<(), Refused> {
        if !self.range.contains(&port) {
            return Err(Refused::OutOfRange);
        }
        if self.used.lock().insert(port) { Ok(()) } else { Err(Refused::Taken) }
    }

    pub fn allocate(&self) -> Result<u16, Refused> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let band = ((last - first) / 32).clamp(16, 128).min((last - first) / 2);
        let start = rand::rng().random_range(first + band..=last);
        let mut used = self.used.lock();
        let port = (start..=last)
            .chain(first + band..start)
            .chain(first..first + band)
            .find(|port| !used.contains(port))
            .ok_or(Refused::Full)?;
        used.insert(port);
        Ok(port)
    }

    pub fn release(&self, port: u16) {
        self.used.lock().remove(&port);
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
        let pool = NodePorts::new(30000..=30049);
        let mut given: Vec<_> = (0..50).map(|_| pool.allocate().expect("free")).collect();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), 50);
        assert_eq!(pool.allocate(), Err(Refused::Full));
        pool.release(30007);
        assert_eq!(pool.claim(30007), Ok(()));
        assert_eq!(pool.claim(80), Err(Refused::OutOfRange));
    }
}
