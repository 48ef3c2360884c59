//! The node's /etc/resolv.conf.
//!
//! The machine's own may point at a resolver on loopback (systemd-resolved,
//! dnsmasq), which from a node's network namespace leads nowhere, and may be a
//! symlink into /run, which the node replaces. So the node gets one with the
//! resolvers that can be reached.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::{Path, PathBuf},
};

use crate::Error;

use super::mounts;

const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Where the usual local resolvers write which servers they ask themselves.
const BEHIND_LOCAL: [&str; 2] =
    ["/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];

/// What is to be done about /etc/resolv.conf in a node.
pub(super) struct Resolver {
    /// The file that /etc/resolv.conf leads to.
    path: PathBuf,
    before: String,
    after: String,
}

impl Resolver {
    /// Reads the machine's files. `None` when it has no /etc/resolv.conf.
    pub(super) fn read() -> Option<Self> {
        let path = fs::canonicalize(RESOLV_CONF).ok()?;
        let before = fs::read_to_string(&path).ok()?;
        let behind: Vec<String> =
            BEHIND_LOCAL.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        let after = reachable(&before, &behind);
        Some(Self { path, before, after })
    }

    /// Puts the node's file in its place. For use after the node's folders are mounted.
    pub(super) fn install(&self, data: &Path) -> Result<(), Error> {
        if self.path.starts_with("/run") {
            return write(&self.path, &self.after);
        }
        if self.after == self.before {
            return Ok(());
        }
        let own = data.join("resolv.conf");
        write(&own, &self.after)?;
        let file = File::open(&own).map_err(Error::io(format!("open {}", own.display())))?;
        mounts::bind(&file, &self.path)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(Error::io(format!("write {}", path.display())))
}

/// `conf` without the name servers on loopback; when that leaves none, the first
/// of `behind` that names another, else `conf` with none at all.
fn reachable(conf: &str, behind: &[String]) -> String {
    let local = conf.lines().any(|line| name_server(line).is_some_and(|address| address.is_loopback()));
    if !local {
        return conf.to_owned();
    }
    let candidates = std::iter::once(conf).chain(behind.iter().map(String::as_str));
    let kept =
        candidates.map(without_loopback).find(|text| text.lines().any(|line| name_server(line).is_some()));
    kept.unwrap_or_else(|| without_loopback(conf))
}

fn without_loopback(conf: &str) -> String {
    let keeps = |line: &&str| !name_server(line).is_some_and(|address| address.is_loopback());
    conf.lines().filter(keeps).map(|line| format!("{line}\n")).collect()
}

fn name_server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_name_servers_that_a_node_can_reach() {
        let behind = ["search lan\nnameserver 192.168.1.1\n".to_owned()];
        let cases: &[(&str, &[String], &str)] = &[
            ("nameserver 10.0.0.2\nsearch a\n", &behind, "nameserver 10.0.0.2\nsearch a\n"),
            ("nameserver 127.0.0.1\nnameserver 10.0.0.2\n", &behind, "nameserver 10.0.0.2\n"),
            ("nameserver 127.0.0.53\noptions edns0\n", &behind, &behind[0]),
            ("nameserver ::1\noptions edns0\n", &[], "options edns0\n"),
            ("search only\n", &behind, "search only\n"),
        ];
        for (conf, behind, expected) in cases {
            assert_eq!(reachable(conf, behind), *expected, "of {conf:?}");
        }
    }
}
