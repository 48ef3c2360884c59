//! The namespaces of a node, open: to start processes in them, or to act there.

use std::{fs::File, io, os::unix::process::CommandExt, process::Command, sync::Arc};

use nix::sched::{CloneFlags, setns};

use crate::Error;

/// Handles on a node's network, mount and host name namespaces. They stay valid
/// when the process they were taken from ends. Clones share them.
#[derive(Debug, Clone)]
pub struct Namespaces {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    network: File,
    mount: File,
    host_name: File,
}

impl Namespaces {
    /// The namespaces that process `pid` is in.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let open = |kind: &str| {
            let path = format!("/proc/{pid}/ns/{kind}");
            File::open(&path).map_err(Error::io(format!("open {path}")))
        };
        let open = Open { network: open("net")?, mount: open("mnt")?, host_name: open("uts")? };
        Ok(Self { open: Arc::new(open) })
    }

    /// Moves the calling thread into the network namespace, and only that one.
    pub fn enter_network(&self) -> io::Result<()> {
        Ok(setns(&self.open.network, CloneFlags::CLONE_NEWNET)?)
    }

    /// Moves the calling process into all of them. It must have a single thread,
    /// as between fork and exec; makes system calls only.
    pub fn enter(&self) -> io::Result<()> {
        setns(&self.open.network, CloneFlags::CLONE_NEWNET)?;
        setns(&self.open.host_name, CloneFlags::CLONE_NEWUTS)?;
        // Last: it moves the root and the working directory.
        Ok(setns(&self.open.mount, CloneFlags::CLONE_NEWNS)?)
    }

    /// Makes `command` run inside. Its program and its paths are looked up there.
    /// For tokio: `enter_on_exec(command.as_std_mut())`.
    pub fn enter_on_exec(&self, command: &mut Command) {
        let namespaces = self.clone();
        // SAFETY: the closure runs between fork and exec and makes nothing but
        // setns calls on descriptors that were opened before.
        unsafe { command.pre_exec(move || namespaces.enter()) };
    }
}
