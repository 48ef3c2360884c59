//! What a process holds, read from /proc.

use std::fs;

use anyhow::{Context, Result};

/// Resident memory now, bytes.
pub fn resident(pid: u32) -> Result<u64> {
    field(pid, "VmRSS:")
}

/// Watches the highest resident memory of a process from now on.
pub struct Peak(u32);

/// Starts to watch: the kernel forgets the highest so far.
pub fn peak_since(pid: u32) -> Result<Peak> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("the peak can't be reset")?;
    Ok(Peak(pid))
}

impl Peak {
    /// The highest resident memory since, bytes.
    pub fn read(&self) -> Result<u64> {
        field(self.0, "VmHWM:")
    }
}

fn field(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a line of the status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
