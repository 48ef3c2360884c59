//! The upstream resolvers, as /etc/resolv.conf names them.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

/// At most this often is the file looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// As the resolver of libc: more are ignored.
const MOST: usize = 3;
const PORT: u16 = 53;

/// The resolvers of a file that may change.
pub(crate) struct Resolvers {
    path: PathBuf,
    /// This server: asking it would go round in a circle.
    own: SocketAddr,
    seen: Mutex<Seen>,
}

struct Seen {
    looked: Option<Instant>,
    modified: Option<SystemTime>,
    servers: Arc<[SocketAddr]>,
}

impl Resolvers {
    pub(crate) fn new(path: PathBuf, own: SocketAddr) -> Self {
        let seen = Seen { looked: None, modified: None, servers: Arc::new([]) };
        Self { path, own, seen: Mutex::new(seen) }
    }

    /// The resolvers in the order to ask them; none when the file names none or can't be read.
    pub(crate) fn get(&self) -> Arc<[SocketAddr]> {
        let mut seen = self.seen.lock();
        if seen.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return seen.servers.clone();
        }
        seen.looked = Some(Instant::now());
        let modified = std::fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if seen.modified != modified || modified.is_none() {
            seen.modified = modified;
            seen.servers =
                std::fs::read_to_string(&self.path).map(|text| parse(&text, self.own)).unwrap_or_default();
        }
        seen.servers.clone()
    }
}

fn parse(text: &str, own: SocketAddr) -> Arc<[SocketAddr]> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = (words.next()? == "nameserver").then(|| words.next().and_then(address))??;
        Some(server).filter(|server| *server != own)
    });
    servers.take(MOST).collect()
}

/// An address, or `[address]:port` as OpenBSD's resolver takes it.
fn address(text: &str) -> Option<SocketAddr> {
    if let Some((host, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        return Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?));
    }
    Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_name_servers_and_leaves_itself_out() {
        let text = "# nameserver 10.0.0.9\nsearch lan\nnameserver 10.96.0.10\nnameserver [192.0.2.1]:5300\nnameserver fd00::1\noptions x";
        let servers = parse(text, "10.96.0.10:53".parse().unwrap());
        let expected: Vec<SocketAddr> =
            ["192.0.2.1:5300", "[fd00::1]:53"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(servers.to_vec(), expected);
        assert!(parse("", "10.96.0.10:53".parse().unwrap()).is_empty());
    }
}
