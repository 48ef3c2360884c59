//! What node_exporter would say of a machine: a thing for each CPU, disk, interface and file system.

use tiphys_api::{
    cadvisor::{Tell, with},
    samples::{Machine, NodeSamples},
};

use super::list;
use crate::live::Round;

/// The modes of a CPU, in the order of [`Machine::cpu_mode_nanos`].
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

pub fn tell(round: &mut Round<'_>, labels: &[(&str, &str)], samples: &NodeSamples, machine: &Machine) {
    let node = samples.node.as_str();
    round.tell(10, "", list::MACHINE, machine, labels);
    round.tell(11, "", list::PRESSURE, &machine.pressure, labels);
    round.tell(17, "", list::KERNEL, &machine.kernel, labels);
    round.tell(18, "", list::CLOCK, &(samples.time / 1000), labels);
    let [system, release, version, kind] = machine.uname.each_ref().map(String::as_str);
    let uname = [
        ("sysname", system),
        ("release", release),
        ("version", version),
        ("machine", kind),
        ("nodename", node),
        ("domainname", "(none)"),
    ];
    // Another kernel is another thing.
    round.tell(12, &format!("{release} {version}"), list::UNAME, machine, &with(labels, &uname));
    for (cpu, modes) in machine.cpu_mode_nanos.iter().enumerate() {
        let cpu = cpu.to_string();
        for (mode, nanos) in MODES.iter().zip(modes) {
            let of_mode = with(labels, &[("cpu", &cpu), ("mode", mode)]);
            round.tell(13, &format!("{cpu}/{mode}"), list::CPU_MODE, nanos, &of_mode);
        }
    }
    for disk in &machine.disks {
        round.tell(14, &disk.device, list::DISK, disk, &with(labels, &[("device", &disk.device)]));
    }
    for interface in &machine.interfaces {
        let own = [("device", interface.device.as_str())];
        round.tell(15, &interface.device, list::INTERFACE, interface, &with(labels, &own));
    }
    for filesystem in &machine.filesystems {
        let own = [
            ("device", filesystem.device.as_str()),
            ("mountpoint", &filesystem.mount_point),
            ("fstype", &filesystem.kind),
        ];
        let key = format!("{} {}", filesystem.device, filesystem.mount_point);
        round.tell(16, &key, list::FILESYSTEM, filesystem, &with(labels, &own));
    }
}
