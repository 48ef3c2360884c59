//! The forms of IP addresses and ranges, as new fields must have them: no leading
//! zeros, no IPv4 within IPv6, no bits beyond the prefix, the canonical spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Errors, obey};
use crate::field::FieldError;

const ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What is wrong with an address, in fields that also take uncommon spellings of IPv6.
pub fn ip(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(why) => vec![why.into()],
    }
}

/// As [`ip`], and written in the one canonical way.
pub fn canonical_ip(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(address) if address.to_string() == text => Vec::new(),
        Ok(address) => vec![format!("must be in canonical form (\"{address}\")")],
        Err(why) => vec![why.into()],
    }
}

/// What is wrong with an address that other hosts send to.
pub fn reachable(text: &str, field: &str, errors: &mut Errors) {
    let before = errors.len();
    obey(ip, text, field, errors);
    if errors.len() == before {
        special(text, field, errors);
    }
}

/// Whether the address is one that no other host can send to.
pub fn special(text: &str, field: &str, errors: &mut Errors) {
    let Ok(address) = text.parse::<IpAddr>() else { return };
    let (link_local, local_multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let refused = [
        (address.is_unspecified(), format!("may not be unspecified ({text})")),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".into()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".into()),
        (local_multicast, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".into()),
    ];
    for (_, detail) in refused.into_iter().filter(|(is, _)| *is) {
        errors.push(FieldError::invalid(field, &text.into(), detail));
    }
}

/// What is wrong with a range such as `10.0.0.0/8`.
pub fn cidr(text: &str) -> Vec<String> {
    match range(text) {
        Ok(_) => Vec::new(),
        Err(why) => vec![why.into()],
    }
}

pub fn canonical_cidr(text: &str) -> Vec<String> {
    match range(text) {
        Ok((address, length)) if format!("{address}/{length}") == text => Vec::new(),
        Ok((address, length)) => vec![format!("must be in canonical form (\"{address}/{length}\")")],
        Err(why) => vec![why.into()],
    }
}

/// Whether a range lies within another one and is smaller; `None` when one of them is none.
pub fn is_within(inner: &str, outer: &str) -> Option<bool> {
    let (Ok((address, length)), Ok((base, bound))) = (range(inner), range(outer)) else { return None };
    Some(address.is_ipv4() == base.is_ipv4() && length > bound && masked(address, bound) == base)
}

/// Whether the address or range is of IPv6.
pub fn is_ipv6(text: &str) -> bool {
    text.contains(':')
}

fn parse(text: &str) -> Result<IpAddr, &'static str> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Err("must not be an IPv4-mapped IPv6 address")
        }
        Ok(address) => Ok(address),
        Err(_) if without_zeros(text).parse::<Ipv4Addr>().is_ok() => Err("must not have leading 0s"),
        Err(_) => Err(ADDRESS),
    }
}

fn range(text: &str) -> Result<(IpAddr, u8), &'static str> {
    let (address, length) = text.split_once('/').ok_or(RANGE)?;
    let address = match parse(address) {
        Err("must not have leading 0s") => return Err("must not have leading 0s in IP or prefix length"),
        Err("must not be an IPv4-mapped IPv6 address") => {
            return Err("must not have an IPv4-mapped IPv6 address");
        }
        parsed => parsed.map_err(|_| RANGE)?,
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
    let bits = length.parse::<u8>().ok().filter(|bits| digits && *bits <= most).ok_or(RANGE)?;
    if bits.to_string() != length {
        return Err("must not have leading 0s in IP or prefix length");
    }
    if masked(address, bits) != address {
        return Err("must not have bits set beyond the prefix length");
    }
    Ok((address, bits))
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// `010.1.2.3` without the zeros that some read as octal.
fn without_zeros(text: &str) -> String {
    let short = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        rest => rest.to_owned(),
    };
    text.split('.').map(short).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: &str = "
10.0.0.1 =>
2001:db8::1 =>
::ffff:1.2.3.4 => must not be an IPv4-mapped IPv6 address
010.0.0.1 => must not have leading 0s
10.0.0 => must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
2001:DB8::1 => must be in canonical form (\"2001:db8::1\")";

    const RANGES: &str = "
10.0.0.0/8 =>
0.0.0.0/0 =>
::/0 =>
fd00::/64 =>
10.0.0.1/8 => must not have bits set beyond the prefix length
10.0.0.0/08 => must not have leading 0s in IP or prefix length
10.0.0.0/33 => must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
10.0.0.0/+8 => must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
10.0.0.0 => must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
FD00::/64 => must be in canonical form (\"fd00::/64\")";

    #[test]
    fn addresses_and_ranges_have_one_form() {
        for (table, rule) in [(ADDRESSES, canonical_ip as fn(&str) -> Vec<String>), (RANGES, canonical_cidr)]
        {
            for line in table.lines().filter(|line| !line.is_empty()) {
                let (text, expected) = line.split_once(" =>").unwrap();
                assert_eq!(rule(text).join(""), expected.trim(), "{text}");
            }
        }
        assert!(ip("2001:DB8::1").is_empty() && cidr("FD00::/64").is_empty());
    }

    #[test]
    fn a_range_is_within_a_larger_one() {
        let table = [
            ("10.1.0.0/16", "10.0.0.0/8", Some(true)),
            ("10.0.0.0/8", "10.0.0.0/8", Some(false)),
            ("11.0.0.0/16", "10.0.0.0/8", Some(false)),
            ("fd00::/96", "fd00::/64", Some(true)),
            ("10.0.0.0/16", "::/0", Some(false)),
            ("x", "::/0", None),
        ];
        for (inner, outer, expected) in table {
            assert_eq!(is_within(inner, outer), expected, "{inner} {outer}");
        }
    }
}
