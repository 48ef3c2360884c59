//! Network figures of a network namespace, through a process in it.

use std::fs::File;

use super::{Network, disk::read_at_start, parse};

/// Reads the interfaces of one namespace.
pub(super) struct Interfaces {
    device_file: File,
}

impl Interfaces {
    /// Of the namespace that this process lives in.
    pub(super) fn of_process(pid: i32) -> Option<Self> {
        File::open(format!("/proc/{pid}/net/dev")).ok().map(|device_file| Self { device_file })
    }

    /// All interfaces but loopback.
    pub(super) fn read(&self, buffer: &mut Vec<u8>) -> Network {
        let text = read_at_start(&self.device_file, buffer).unwrap_or_default();
        parse::net_dev(text, |name| name != "lo")
    }

    /// Only the interface of the default route: Pods' traffic passes through
    /// bridges and pairs of this namespace, and would count two and three times.
    pub(super) fn read_uplink(&self, buffer: &mut Vec<u8>) -> Network {
        let routes = std::fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
        let uplink = parse::default_interface(&routes);
        let text = read_at_start(&self.device_file, buffer).unwrap_or_default();
        parse::net_dev(text, |name| uplink.map_or(name != "lo", |uplink| name == uplink))
    }
}
