//! The pool of cluster addresses.
//!
//! Addresses without a wish are taken from behind a band at the beginning of
//! the range, so that the low ones stay free for Services that ask for one
//! (the DNS at .10). Network and broadcast address are never given.

use std::{
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
};

use rand::Rng;

use super::used::{Owner, Used};

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
    /// By their place in the range.
    used: Used<u32>,
}

impl Addresses {
    pub fn new(cidr: Cidr) -> Self {
        Self { cidr, used: Used::default() }
    }

    /// This very address.
    pub fn claim(&self, address: IpAddr, owner: &Owner) -> Result<(), Refused> {
        let offset = self.offset(address).ok_or(Refused::OutOfRange)?;
        if self.used.claim(offset, owner) { Ok(()) } else { Err(Refused::Taken) }
    }

    /// Any address.
    pub fn allocate(&self, owner: &Owner) -> Result<Ipv4Addr, Refused> {
        let size = self.cidr.size();
        let band = (size / 16).clamp(16, 256).min(size / 2);
        let start = rand::rng().random_range(band..size);
        let above = (start..size - 1).chain(band..start.min(size - 1));
        let offset = self.used.take_first(above.chain(1..band), owner).ok_or(Refused::Full)?;
        Ok(self.cidr.nth(offset))
    }

    pub fn settle(&self, address: IpAddr, owner: &Owner) {
        if let Some(offset) = self.offset(address) {
            self.used.settle(offset, owner);
        }
    }

    pub fn release(&self, address: IpAddr, owner: &Owner) {
        if let Some(offset) = self.offset(address) {
            self.used.release(offset, owner);
        }
    }

    /// What the owner holds; false if another one held it too.
    pub fn show(&self, owner: &Owner, address: Option<IpAddr>) -> bool {
        let held = address.and_then(|address| self.offset(address));
        self.used.show(owner, held.as_slice()).is_empty()
    }

    fn offset(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => self.cidr.offset(address),
            IpAddr::V6(_) => None,
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
        let (pool, owner) = (Addresses::new("10.0.0.0/28".parse().expect("a range")), Owner::from("a"));
        let mut given: Vec<_> = (0..14).map(|_| pool.allocate(&owner).expect("free")).collect();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 14);
        assert_eq!(pool.allocate(&owner), Err(Refused::Full));
        pool.release(given[3].into(), &owner);
        assert_eq!(pool.allocate(&owner), Ok(given[3]));
    }

    #[test]
    fn a_wish_is_checked() {
        let pool = Addresses::new("10.96.0.0/16".parse().expect("a range"));
        let (one, two) = (Owner::from("one"), Owner::from("two"));
        let address: IpAddr = "10.96.0.10".parse().expect("an address");
        assert_eq!(pool.claim(address, &one), Ok(()));
        assert_eq!(pool.claim(address, &two), Err(Refused::Taken));
        for outside in ["10.97.0.1", "10.96.0.0", "10.96.255.255"] {
            assert_eq!(pool.claim(outside.parse().expect("an address"), &one), Err(Refused::OutOfRange));
        }
        assert!("10.96.0.1/16".parse::<Cidr>().is_err());
    }
}
