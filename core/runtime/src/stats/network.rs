//! Network figures of a network namespace, through a process in it.

use std::fs::File;

use super::{Interface, Network, disk::read_list, parse};

/// Reads the interfaces of one namespace.
pub(super) struct Interfaces {
    device_file: File,
    routes: Option<File>,
}

impl Interfaces {
    /// Of the namespace that this process lives in.
    pub(super) fn of_process(pid: i32) -> Option<Self> {
        let device_file = File::open(format!("/proc/{pid}/net/dev")).ok()?;
        Some(Self { device_file, routes: File::open(format!("/proc/{pid}/net/route")).ok() })
    }

    /// All interfaces but loopback.
    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> Network {
        let text = read_list(&self.device_file, buffer).unwrap_or_default();
        parse::net_dev(text, |name| name != "lo")
    }

    /// Only the interface of the default route: Pods' traffic passes through
    /// bridges and pairs of this namespace, and would count two and three times.
    pub(super) fn read_uplink(&self, buffer: &mut Vec<u8>) -> Network {
        let routes = self.routes.as_ref().and_then(|routes| read_list(routes, buffer));
        let uplink = routes.and_then(parse::default_interface).map(str::to_owned);
        let text = read_list(&self.device_file, buffer).unwrap_or_default();
        parse::net_dev(text, |name| uplink.as_deref().map_or(name != "lo", |uplink| name == uplink))
    }

    /// Each one alone.
    pub(super) fn list(&self, buffer: &mut Vec<u8>) -> Vec<Interface> {
        parse::interfaces(read_list(&self.device_file, buffer).unwrap_or_default())
    }
}
