//! IPv4 forwarding on the host: on while any cluster is there, and afterwards as
//! it was before the first.
//!
//! What it was stands in the alias of each cluster's bridge. A later cluster
//! takes it over from an earlier one, because by then the setting itself is on.

use std::fs;

use crate::{Error, netlink::Link};

use super::plan::is_cluster_bridge;

const SETTING: &str = "/proc/sys/net/ipv4/ip_forward";
const OF_CLUSTER: &str = "Tiphys cluster ";
const WAS_ON: &str = "forwarding was on";
const WAS_OFF: &str = "forwarding was off";

/// The alias of the bridge of the cluster `name`.
pub(super) fn alias(name: &str, was_on: bool) -> String {
    format!("{OF_CLUSTER}{name}; {}", if was_on { WAS_ON } else { WAS_OFF })
}

/// The name of the cluster that an alias is of.
pub(super) fn cluster_of(alias: &str) -> Option<&str> {
    Some(alias.strip_prefix(OF_CLUSTER)?.rsplit_once("; ")?.0)
}

/// What the bridges of the clusters that are there remember.
pub(super) fn remembered(links: &[Link]) -> Option<bool> {
    links
        .iter()
        .filter(|link| is_cluster_bridge(&link.name))
        .filter_map(|link| link.alias.as_deref())
        .find_map(|alias| match alias {
            _ if alias.ends_with(WAS_ON) => Some(true),
            _ if alias.ends_with(WAS_OFF) => Some(false),
            _ => None,
        })
}

/// Whether forwarding goes back to how it was: not while another cluster is there.
pub(super) fn restores(links: &[Link], own_bridge: &str) -> bool {
    !links.iter().any(|link| is_cluster_bridge(&link.name) && link.name != own_bridge)
}

pub(super) fn is_on() -> Result<bool, Error> {
    let text = fs::read_to_string(SETTING).map_err(Error::io(format!("read {SETTING}")))?;
    Ok(text.trim() == "1")
}

pub(super) fn set(on: bool) -> Result<(), Error> {
    if is_on()? == on {
        return Ok(());
    }
    fs::write(SETTING, if on { "1" } else { "0" }).map_err(Error::io(format!("write {SETTING}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, alias: Option<String>) -> Link {
        Link { index: 1, name: name.to_owned(), alias, mtu: 1500, up: true }
    }

    #[test]
    fn a_later_cluster_takes_over_what_the_first_found() {
        let first = link("tph-0a1b2c", Some(alias("first", false)));
        assert_eq!(remembered(&[link("eth0", None), first.clone()]), Some(false));
        assert_eq!(remembered(&[link("docker0", Some("forwarding was on".to_owned()))]), None);
        assert!(!restores(&[first.clone(), link("tph-ffffff", None)], "tph-ffffff"));
        assert!(restores(&[first, link("tph-0a1b2c-1", None)], "tph-0a1b2c"));
    }
}
