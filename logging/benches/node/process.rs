//! What a process took: processor time and memory, from /proc; and what it may have.

use std::{fs, path::Path, process::Child};

use crate::Result;

/// A child that ends with this value.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Seconds of processor time of all its threads.
    pub fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let after_name = stat.rsplit_once(')').ok_or("no name in stat")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // proc_pid_stat(5): utime and stime are fields 14 and 15, in ticks, of which there are 100 a second.
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
    }

    /// Megabytes by this line of /proc/<pid>/status: `VmRSS`, `VmHWM`.
    pub fn memory(&self, line: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes: f64 = value.ok_or("no such line")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024.0 / 1e6)
    }
}

/// Bytes of all files below a folder.
pub fn bytes_below(path: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// Empties the kernel's cache of files, where that is allowed.
pub fn drop_file_cache() {
    // SAFETY: sync takes nothing and gives nothing.
    unsafe { nix::libc::sync() };
    if fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
        eprintln!("the file cache can't be emptied: cold is a new process only");
    }
}
