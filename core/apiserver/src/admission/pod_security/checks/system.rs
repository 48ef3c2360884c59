//! Volumes and kernel parameters.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Pod, Violation, name, plural, quoted, violation};
use crate::admission::items;

/// In the order in which they became safe: a version allows so many of them.
const SAFE_SYSCTLS: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_notsent_lowat",
];

/// The first `SAFE` of the safe ones are allowed.
pub fn sysctls<const SAFE: usize>(pod: Pod<'_>) -> Option<Violation> {
    let set = items(&pod.spec["securityContext"]["sysctls"]).map(name);
    let forbidden: Vec<&str> = set.filter(|name| !SAFE_SYSCTLS[..SAFE].contains(name)).collect();
    if forbidden.is_empty() { None } else { violation("forbidden sysctls", forbidden.join(", ")) }
}

const OPEN_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

pub fn volumes(pod: Pod<'_>) -> Option<Violation> {
    let is_open = |volume: &Value| OPEN_VOLUMES.iter().any(|kind| !volume[*kind].is_null());
    let bad: Vec<&Value> = items(&pod.spec["volumes"]).filter(|volume| !is_open(volume)).collect();
    if bad.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = bad.iter().map(|volume| kind(volume)).collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", "volumes", bad.len()),
        quoted(bad.iter().map(|volume| name(volume))),
        plural("uses", "use", bad.len()),
        plural("restricted volume type", "restricted volume types", kinds.len()),
        quoted(kinds),
    );
    violation("restricted volume types", detail)
}

/// A volume's source is its one field beside the name.
fn kind(volume: &Value) -> &str {
    let fields = volume.as_object().into_iter().flatten();
    let mut sources = fields.filter(|(key, value)| *key != "name" && !value.is_null());
    sources.next().map_or("unknown", |(key, _)| key.as_str())
}
