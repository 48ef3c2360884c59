//! IP addresses and networks.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use kube_cel::cel::{Value, objects::Opaque};

use super::{Table, opaque};
use crate::cel::{fault::Fault, meter::Meter};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ip(IpAddr);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Opaque for Ip {
    fn runtime_type_name(&self) -> &str {
        "net.IP"
    }
}

impl Opaque for Cidr {
    fn runtime_type_name(&self) -> &str {
        "net.CIDR"
    }
}

pub const FUNCTIONS: Table = &[
    ("ip", |args, meter| match args {
        [Value::String(text)] => Ok(value(Ip(parsed(text, meter)?))),
        [of] => Ok(value(Ip(opaque::<Cidr>(of)?.address))),
        _ => Err(Fault::overload()),
    }),
    ("isIP", |args, meter| Ok(Value::Bool(address(text(args, meter)?).is_ok()))),
    ("ip.isCanonical", |args, meter| {
        let text = text(args, meter)?;
        Ok(Value::Bool(parsed(text, meter)?.to_string() == text))
    }),
    ("family", |args, _| Ok(Value::Int(if ip(args)?.is_ipv4() { 4 } else { 6 }))),
    ("isUnspecified", |args, _| Ok(Value::Bool(ip(args)?.is_unspecified()))),
    ("isLoopback", |args, _| Ok(Value::Bool(ip(args)?.is_loopback()))),
    ("isLinkLocalMulticast", |args, _| {
        Ok(Value::Bool(match ip(args)? {
            IpAddr::V4(it) => it.octets()[..3] == [224, 0, 0],
            IpAddr::V6(it) => it.segments()[0] & 0xff0f == 0xff02,
        }))
    }),
    ("isLinkLocalUnicast", |args, _| Ok(Value::Bool(is_link_local(ip(args)?)))),
    ("isGlobalUnicast", |args, _| {
        let ip = ip(args)?;
        let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip);
        Ok(Value::Bool(!special && ip != IpAddr::V4(Ipv4Addr::BROADCAST)))
    }),
    ("cidr", |args, meter| Ok(value(network(text(args, meter)?)?))),
    ("isCIDR", |args, meter| Ok(Value::Bool(network(text(args, meter)?).is_ok()))),
    ("containsIP", |args, meter| {
        let [of, other] = args else { return Err(Fault::overload()) };
        let other = match other {
            Value::String(text) => parsed(text, meter)?,
            other => opaque::<Ip>(other)?.0,
        };
        Ok(Value::Bool(opaque::<Cidr>(of)?.contains(other)))
    }),
    ("containsCIDR", |args, meter| {
        let [of, other] = args else { return Err(Fault::overload()) };
        let parsed;
        let other = match other {
            Value::String(text) => {
                meter.bytes(text.len())?;
                parsed = network(text)?;
                &parsed
            }
            other => opaque::<Cidr>(other)?,
        };
        let of = opaque::<Cidr>(of)?;
        Ok(Value::Bool(of.bits <= other.bits && of.contains(other.address)))
    }),
    ("prefixLength", |args, _| Ok(Value::Int(cidr(args)?.bits.into()))),
    ("masked", |args, _| {
        let of = cidr(args)?;
        Ok(value(Cidr { address: masked(of.address, of.bits), bits: of.bits }))
    }),
];

/// The text of one of these.
pub fn string(of: &Value) -> Option<String> {
    match (opaque::<Ip>(of), opaque::<Cidr>(of)) {
        (Ok(ip), _) => Some(ip.0.to_string()),
        (_, Ok(cidr)) => Some(format!("{}/{}", cidr.address, cidr.bits)),
        _ => None,
    }
}

impl Cidr {
    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.bits) == masked(self.address, self.bits)
    }
}

fn value(of: impl Opaque) -> Value {
    Value::Opaque(Arc::new(of))
}

fn text<'a>(args: &'a [Value], meter: &mut Meter) -> Result<&'a str, Fault> {
    let [Value::String(text)] = args else { return Err(Fault::overload()) };
    meter.bytes(text.len())?;
    Ok(text)
}

fn ip(args: &[Value]) -> Result<IpAddr, Fault> {
    let [of] = args else { return Err(Fault::overload()) };
    Ok(opaque::<Ip>(of)?.0)
}

fn cidr(args: &[Value]) -> Result<&Cidr, Fault> {
    let [of] = args else { return Err(Fault::overload()) };
    opaque::<Cidr>(of)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(it) => it.is_link_local(),
        IpAddr::V6(it) => it.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn masked(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(it) => Ipv4Addr::from(u32::from(it) & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into(),
        IpAddr::V6(it) => {
            Ipv6Addr::from(u128::from(it) & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()
        }
    }
}

/// Without a zone, and not one of IPv4 in the clothes of IPv6.
fn address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("ParseAddr({text:?}): unable to parse IP"))?;
    match address {
        IpAddr::V6(it) if it.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        address => Ok(address),
    }
}

fn parsed(text: &str, meter: &mut Meter) -> Result<IpAddr, Fault> {
    meter.bytes(text.len())?;
    let told =
        |why| Fault::told(format!("IP Address {text:?} parse error during conversion from string: {why}"));
    address(text).map_err(told)
}

fn network(text: &str) -> Result<Cidr, Fault> {
    let refused = |why: String| {
        Fault::told(format!("network address parse error during conversion from string: {why}"))
    };
    let parse_refused = |why: &str| refused(format!("netip.ParsePrefix({text:?}): {why}"));
    let (address, bits) = text.split_once('/').ok_or_else(|| parse_refused("no '/'"))?;
    let address = self::address(address).map_err(refused)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let plain = bits.bytes().all(|digit| digit.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    match bits.parse::<u32>() {
        Ok(bits) if plain && bits <= most => Ok(Cidr { address, bits }),
        Ok(_) if plain => Err(parse_refused("prefix length out of range")),
        _ => Err(parse_refused(&format!("bad bits after slash: {bits:?}"))),
    }
}
