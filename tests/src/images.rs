//! Root file systems for test images, made from what Debian's packages bring.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::run;

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

/// Adds curl with the libraries that it is linked with: the static busybox asks nobody by name.
pub fn add_curl(root: &Path) -> Result<()> {
    let program = "/usr/bin/curl";
    let linked = run(Command::new("ldd").arg(program), "")?.ok().context("curl is missing: make setup")?;
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain([program]) {
        let copy = root.join(file.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().unwrap_or(root))?;
        fs::copy(file, &copy).with_context(|| format!("{file} can't be copied"))?;
    }
    Ok(())
}
