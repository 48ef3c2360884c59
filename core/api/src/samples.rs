//! What a node measures each second, in the shape in which it travels from the
//! agent to the metrics server: one JSON line a second, newest last.
//!
//! Counters are since the start of what they count and never fall while it
//! lives; a reader takes differences. Sources: cgroup v1 and v2 files, /proc.
//!
//! A [`Usage`] travels as an array in the order of its fields, zeros at the end left
//! out: their names in every line were most of what a second cost. A new figure stands
//! behind the others, so that a reader that doesn't know it passes over it.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{IgnoredAny, SeqAccess, Visitor},
    ser::SerializeSeq,
};

/// All figures of one node at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSamples {
    /// Microseconds since the Unix epoch, when the figures were read.
    pub time: i64,
    /// The node's clock was set since the second before: no rate reaches across.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub anew: bool,
    pub node: String,
    /// The whole machine (or the node's share of it, where nodes share one).
    pub usage: Usage,
    /// What the node offers to Pods.
    pub capacity: Capacity,
    /// What only a node has, each 15 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// Told together with [`NodeSamples::machine`]; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskUsage>,
    /// What each disk of the machine counts. Where nodes share one, it is that of the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DiskSample>,
    pub pods: Vec<PodSample>,
}

/// What only a machine has. Where nodes share one, it is that of the machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// Seconds since the Unix epoch.
    pub boot_time: u64,
    /// Over one, five and fifteen minutes.
    pub load: [f64; 3],
    /// Nanoseconds of each CPU: user, nice, system, idle, iowait, irq, softirq, steal.
    pub cpu_mode_nanos: Vec<[u64; 8]>,
    /// System, release, version, machine.
    pub uname: [String; 4],
    /// Bytes: total, free, available, buffers, cached, swap total, swap free.
    pub memory: [u64; 7],
    /// Bytes that the kernel has for objects of its own; 0 where the node doesn't say.
    pub slab: u64,
    pub kernel: KernelSample,
    pub pressure: PressureSample,
    pub disks: Vec<DiskSample>,
    pub interfaces: Vec<InterfaceSample>,
    pub filesystems: Vec<FilesystemSample>,
}

/// What the kernel counts of the whole machine; 0 where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KernelSample {
    pub context_switches: u64,
    pub interrupts: u64,
    pub forks: u64,
    pub processes_running: u64,
    pub processes_blocked: u64,
    pub page_faults: u64,
    /// Page faults that had to read from a disk.
    pub major_page_faults: u64,
    /// Files that may be open at once.
    pub most_open_files: u64,
    pub open_files: u64,
    pub oom_kills: u64,
    /// TCP connections that are established now.
    pub tcp_established: u64,
    /// TCP segments that were sent, and sent again, and those again that ask for a connection.
    pub tcp_sent: u64,
    pub tcp_retransmitted: u64,
    pub tcp_asked_again: u64,
    /// KiB read from disks and written to them.
    pub paged_in_kib: u64,
    pub paged_out_kib: u64,
    /// Pages read from swap and written to it.
    pub swapped_in: u64,
    pub swapped_out: u64,
    /// Connections that the network knows of, and how many those may be.
    pub connections: u64,
    pub most_connections: u64,
}

/// Nanoseconds in which some task waited, and in which all did; 0 where the kernel does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PressureSample {
    pub cpu_some_nanos: u64,
    pub memory_some_nanos: u64,
    pub memory_full_nanos: u64,
    pub io_some_nanos: u64,
    pub io_full_nanos: u64,
}

/// Counters of one disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskSample {
    pub device: String,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
    pub read_nanos: u64,
    pub write_nanos: u64,
    /// Time in which it had something to do.
    pub busy_nanos: u64,
    /// The same, for as many requests as there were: over time, how many there are.
    pub weighted_nanos: u64,
}

/// What one disk counts of a container, a Pod or a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DiskUsage {
    /// The kernel's name, such as `sda`; empty where it doesn't tell which disk it was.
    pub device: String,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Counters of one network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InterfaceSample {
    pub device: String,
    pub receive_bytes: u64,
    pub receive_packets: u64,
    pub receive_errors: u64,
    pub receive_drops: u64,
    pub transmit_bytes: u64,
    pub transmit_packets: u64,
    pub transmit_errors: u64,
    pub transmit_drops: u64,
}

/// Space of one file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilesystemSample {
    pub device: String,
    pub mount_point: String,
    pub kind: String,
    pub read_only: bool,
    pub size_bytes: u64,
    pub free_bytes: u64,
    pub available_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// A volume of a Pod: told when one of the Pod's has changed, and whenever the machine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSample {
    /// Its name in the Pod.
    pub volume: String,
    /// The claim that it is of; empty for what lives and dies with the Pod.
    pub claim: String,
    pub capacity_bytes: u64,
    pub available_bytes: u64,
    pub used_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    pub inodes_used: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capacity {
    pub cpu_cores: f64,
    pub memory_bytes: u64,
    pub filesystem_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSample {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    /// The Pod's cgroup: the sum of its containers, with the Pod's network.
    pub usage: Usage,
    pub containers: Vec<ContainerSample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeSample>,
    /// Told together with [`NodeSamples::machine`]; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskUsage>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSample {
    pub container: String,
    /// The runtime's id: a restarted container is another series.
    pub container_id: String,
    /// Microseconds since the Unix epoch.
    pub started_at: i64,
    /// Told together with [`NodeSamples::machine`]; else empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Network figures are the Pod's; here they are zero.
    pub usage: Usage,
    /// Told together with [`NodeSamples::machine`]; else empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskUsage>,
}

macro_rules! usage {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// Figures of one cgroup (or machine).
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Usage {
            $($(#[$about])* pub $name: u64,)*
        }

        impl Usage {
            /// How many figures there are.
            pub const COUNT: usize = [$(stringify!($name)),*].len();

            /// All figures, in the order in which they travel.
            pub fn values(&self) -> [u64; Self::COUNT] {
                [$(self.$name),*]
            }

            /// What [`Usage::values`] gave.
            pub fn from_values(values: [u64; Self::COUNT]) -> Self {
                let [$($name),*] = values;
                Self { $($name),* }
            }
        }
    };
}

usage! {
    cpu_usage_nanos_total,
    cpu_throttled_nanos_total,
    memory_usage_bytes,
    /// Usage less inactive file cache, as the kubelet defines it.
    memory_working_set_bytes,
    memory_rss_bytes,
    disk_read_bytes_total,
    disk_write_bytes_total,
    disk_reads_total,
    disk_writes_total,
    network_receive_bytes_total,
    network_transmit_bytes_total,
    network_receive_packets_total,
    network_transmit_packets_total,
    /// Packets in error or dropped, of both directions.
    network_errors_total,
    filesystem_used_bytes,
    processes,
    cpu_user_nanos_total,
    cpu_system_nanos_total,
    /// Periods of a CPU limit, and those in which it held the group back.
    cpu_periods_total,
    cpu_throttled_periods_total,
    /// File cache.
    memory_cache_bytes,
    memory_swap_bytes,
    /// What the kernel holds it to; 0 without a limit.
    memory_limit_bytes,
    /// How often it ran into its limit.
    memory_failures_total,
    oom_kills_total,
    /// Time in which some task waited, and in which all did; 0 where the kernel doesn't tell.
    cpu_pressure_some_nanos_total,
    cpu_pressure_full_nanos_total,
    memory_pressure_some_nanos_total,
    memory_pressure_full_nanos_total,
    io_pressure_some_nanos_total,
    io_pressure_full_nanos_total,
    network_receive_errors_total,
    network_transmit_errors_total,
    network_receive_drops_total,
    network_transmit_drops_total,
    threads,
    /// 0 where the kernel doesn't tell (before Linux 6.2).
    open_files,
    filesystem_capacity_bytes,
    filesystem_inodes,
    filesystem_inodes_used,
    /// What the Pod asked for and is held to; 0 where it says nothing.
    cpu_request_millicores,
    cpu_limit_millicores,
    memory_request_bytes,
    /// The limit in the Pod's spec.
    memory_limit_asked_bytes,
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let values = self.values();
        let length = values.iter().rposition(|value| *value != 0).map_or(0, |last| last + 1);
        let mut array = serializer.serialize_seq(Some(length))?;
        values[..length].iter().try_for_each(|value| array.serialize_element(value))?;
        array.end()
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Figures;

        impl<'de> Visitor<'de> for Figures {
            type Value = Usage;

            fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
                text.write_str("an array of figures")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Usage, A::Error> {
                let mut values = [0; Usage::COUNT];
                for value in &mut values {
                    match array.next_element()? {
                        Some(given) => *value = given,
                        None => return Ok(Usage::from_values(values)),
                    }
                }
                // Of a newer sender.
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Usage::from_values(values))
            }
        }

        deserializer.deserialize_seq(Figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_travel_as_an_array_and_new_ones_are_passed_over() {
        let usage = Usage { cpu_usage_nanos_total: 7, memory_rss_bytes: u64::MAX, ..Usage::default() };
        let text = serde_json::to_string(&usage).expect("JSON");
        assert_eq!(text, "[7,0,0,0,18446744073709551615]");
        assert_eq!(serde_json::from_str::<Usage>(&text).expect("figures"), usage);
        let mut many: Vec<u64> = (1..=Usage::COUNT as u64 + 3).collect();
        let read: Usage =
            serde_json::from_str(&serde_json::to_string(&many).expect("JSON")).expect("figures");
        many.truncate(Usage::COUNT);
        assert_eq!(read.values().to_vec(), many);
        assert_eq!(serde_json::from_str::<Usage>("[]").expect("none"), Usage::default());
    }
}
