//! Connections of clients without a certificate: so many of one address, so many in all, so that
//! nobody who opens them and says nothing keeps the others out.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;

/// Of one address: a Prometheus asks a handful of paths, and there may be two behind one address.
const OF_ADDRESS: usize = 16;
const IN_ALL: usize = 512;

/// Clones share them.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// Given back when it is dropped.
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// None: there are as many connections as there may be.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.0.lock();
        if taken.values().sum::<usize>() >= IN_ALL {
            return None;
        }
        let of_address = taken.entry(address).or_default();
        if *of_address >= OF_ADDRESS {
            return None;
        }
        *of_address += 1;
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut of_address) = self.places.0.lock().entry(self.address) {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> IpAddr {
        IpAddr::from([10, 0, 0, u8::try_from(number).expect("few")])
    }

    #[test]
    fn abuse_33_one_address_takes_no_others_place() {
        let places = Places::default();
        let mut held: Vec<_> = (0..OF_ADDRESS).map(|_| places.take(address(1)).expect("a place")).collect();
        assert!(places.take(address(1)).is_none());
        assert!(places.take(address(2)).is_some());
        held.pop();
        assert!(places.take(address(1)).is_some(), "one was given back");
        drop(held);
        assert!(places.0.lock().is_empty(), "addresses are forgotten");
    }

    #[test]
    fn there_are_so_many_in_all() {
        let places = Places::default();
        let of_all = |number: usize| (0..OF_ADDRESS).map(move |_| address(number));
        let held: Vec<_> = (0..IN_ALL / OF_ADDRESS).flat_map(of_all).map(|from| places.take(from)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(address(200)).is_none());
        drop(held);
        assert!(places.take(address(200)).is_some());
    }
}
