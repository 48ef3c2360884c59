//! Root file systems for test images, made from what Debian's packages bring.

use std::{fs, os::unix::fs::symlink, path::Path};

use anyhow::{Context, Result};

/// Programs of busybox that the tests use.
const APPLETS: &[&str] = &[
    "sh", "cat", "dd", "echo", "ls", "nslookup", "ping", "seq", "sleep", "sync", "true", "false", "wget",
    "hostname", "httpd", "date", "rm", "mkdir", "env", "ip", "nc", "id", "touch", "sed", "grep", "yes",
    "head", "tar",
];

/// A root file system with a static busybox.
pub fn busybox_root(folder: &Path) -> Result<()> {
    for name in ["bin", "tmp", "etc", "var", "proc", "sys", "dev"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::copy("/bin/busybox", folder.join("bin/busybox")).context("busybox-static is missing: make setup")?;
    for applet in APPLETS {
        symlink("busybox", folder.join("bin").join(applet))?;
    }
    fs::write(folder.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    Ok(())
}
