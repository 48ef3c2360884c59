//! The pool of cluster addresses.
//!
//! Addresses without a wish are taken from behind a band at the beginning of
//! the range, so that the low ones stay free for Services that ask for one
//! (the DNS at .10). Network and broadcast address are never given.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use parking_lot::Mutex;
use rand::Rng;

/// An IPv4 range in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub base: Ipv4Addr,
    pub prefix: u8,
}

/// Why a CIDR is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IPv4 range such as 10.96.0.0/16, of 8 to 30 bits")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.into());
        let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
        if !(8..=30).contains(&prefix) || u32::from(base) & (u32::MAX >> prefix) != 0 {
            return Err(wrong());
        }
        Ok(Self { base, prefix })
    }
}

impl Cidr {
    fn size(self) -> u32 {
        1 << (32 - u32::from(self.prefix))
    }

    /// The n-th address.
    pub fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + n)
    }

    fn offset(self, address: Ipv4Addr) -> Option<u32> {
        let offset = u32::from(address).checked_sub(u32::from(self.base))?;
        (1..self.size() - 1).contains(&offset).then_some(offset)
    }
}

/// Why an address can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    OutOfRange,
    Taken,
    Full,
}

/// The addresses in use.
pub struct Addresses {
    cidr: Cidr,
    used: Mutex<BTreeSet<u32>>,
}

impl Addresses {
    pub fn new(cidr: Cidr) -> Self {
        Self { cidr, used: Mutex::default() }
    }

    /// This very address.
    pub fn claim(&self, address: IpAddr) -> Result<(), Refused> {
        let IpAddr::V4(address) = address else { return Err(Refused::OutOfRange) };
        let offset = self.cidr.offset(address).ok_or(Refused::OutOfRange)?;
        if self.used.lock().insert(offset) { Ok(()) } else { Err(Refused::Taken) }
    }

    /// Any address.
    pub fn allocate(&self) -> Result<Ipv4Addr, Refused> {
        let size = self.cidr.size();
        let band = (size / 16).clamp(16, 256).min(size / 2);
        let start = rand::rng().random_range(band..size);
        let mut used = self.used.lock();
        let above = (start..size - 1).chain(band..start.min(size - 1));
        let offset = above.chain(1..band).find(|offset| !used.contains(offset)).ok_or(Refused::Full)?;
        used.insert(offset);
        Ok(self.cidr.nth(offset))
    }

    pub fn release(&self, address: IpAddr) {
        if let IpAddr::V4(address) = address
            && let Some(offset) = self.cidr.offset(address)
        {
            self.used.lock().remove(&offset);
        }
    }

    pub fn cidr(&self) -> Cidr {
        self.cidr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_given_once() {
        let pool = Addresses::new("10.0.0.0/28".parse().expect("a range"));
        let mut given: Vec<_> = (0..14).map(|_| pool.allocate().expect("free")).collect();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 14);
        assert_eq!(pool.allocate(), Err(Refused::Full));
        pool.release(given[3].into());
        assert_eq!(pool.allocate(), Ok(given[3]));
    }

    #[test]
    fn a_wish_is_checked() {
        let pool = Addresses::new("10.96.0.0/16".parse().expect("a range"));
        let address: IpAddr = "10.96.0.10".parse().expect("an address");
        assert_eq!(pool.claim(address), Ok(()));
        assert_eq!(pool.claim(address), Err(Refused::Taken));
        for outside in ["10.97.0.1", "10.96.0.0", "10.96.255.255"] {
            assert_eq!(pool.claim(outside.parse().expect("an address")), Err(Refused::OutOfRange));
        }
        assert!("10.96.0.1/16".parse::<Cidr>().is_err());
    }
}
