//! What a machine must have to run a node, checked one by one.
//!
//! Each check says what it is for and how to get what is missing. `tiphys up`
//! runs the same list and stops before it changes anything.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

/// The result of one check.
pub struct Finding {
    pub what: &'static str,
    pub why: &'static str,
    /// `None`: there. Else how to get it.
    pub remedy: Option<String>,
}

impl Finding {
    pub fn is_ok(&self) -> bool {
        self.remedy.is_none()
    }
}

struct Program {
    name: &'static str,
    why: &'static str,
    package: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program { name: "containerd", why: "runs the containers", package: "containerd" },
    Program { name: "runc", why: "starts a container's process", package: "runc" },
    Program { name: "nft", why: "forwards traffic of Services", package: "nftables" },
    Program { name: "conntrack", why: "forgets UDP flows to Pods that are gone", package: "conntrack" },
];

/// Where distributions and users put CNI plug-ins.
const CNI_FOLDERS: &[&str] = &["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
const CNI_PLUGINS: &[&str] = &["bridge", "host-local", "portmap", "loopback"];

/// Every check, in the order in which a user mends them.
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![root()];
    findings.extend(PROGRAMS.iter().map(program));
    findings.push(cni());
    findings.push(kernel("overlay", "layers of images", "/proc/filesystems", "modprobe overlay"));
    findings.push(kernel(
        "cgroup",
        "requests and limits",
        "/proc/filesystems",
        "mount the cgroup file systems",
    ));
    findings.push(namespaces());
    findings
}

fn root() -> Finding {
    let is_root = nix::unistd::geteuid().is_root();
    Finding {
        what: "root",
        why: "namespaces, mounts and cgroups need it",
        remedy: (!is_root).then(|| "run it with sudo".to_owned()),
    }
}

fn program(program: &Program) -> Finding {
    Finding {
        what: program.name,
        why: program.why,
        remedy: (!on_path(program.name)).then(|| format!("apt-get install {}", program.package)),
    }
}

fn cni() -> Finding {
    let has = |plugin: &&str| CNI_FOLDERS.iter().any(|folder| Path::new(folder).join(plugin).exists());
    Finding {
        what: "CNI plug-ins",
        why: "connect Pods to the node's network",
        remedy: (!CNI_PLUGINS.iter().all(has))
            .then(|| "apt-get install containernetworking-plugins".to_owned()),
    }
}

fn kernel(what: &'static str, why: &'static str, file: &str, remedy: &str) -> Finding {
    let listed = fs::read_to_string(file).unwrap_or_default();
    let there = listed.lines().any(|line| line.split_whitespace().next_back() == Some(what));
    Finding { what, why, remedy: (!there).then(|| remedy.to_owned()) }
}

fn namespaces() -> Finding {
    let there =
        ["mnt", "net", "pid", "ipc", "uts"].iter().all(|kind| Path::new("/proc/self/ns").join(kind).exists());
    Finding {
        what: "namespaces",
        why: "keep nodes and Pods apart",
        remedy: (!there).then(|| "use a kernel with namespaces".to_owned()),
    }
}

/// Where the programs of a node are. A plain `su` leaves the last three out.
const SYSTEM_FOLDERS: [&str; 6] =
    ["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Adds the system's folders to PATH where they are missing, for this process and
/// those it starts: containerd looks for runc there, and so do these checks.
///
/// Call it before there is a second thread.
pub fn complete_path() {
    let path = completed(&std::env::var_os("PATH").unwrap_or_default());
    // SAFETY: main calls this first, while the process has one thread.
    unsafe { std::env::set_var("PATH", path) }
}

fn completed(path: &OsStr) -> OsString {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(path).filter(|folder| folder != Path::new("")).collect();
    let missing = SYSTEM_FOLDERS.map(PathBuf::from).into_iter().filter(|folder| !folders.contains(folder));
    let missing: Vec<_> = missing.collect();
    folders.extend(missing);
    // Only a folder with a colon in its name can't be joined, and splitting made none.
    std::env::join_paths(folders).unwrap_or_else(|_| path.to_owned())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        let missing = program(&Program { name: "no-such-program", why: "", package: "some-package" });
        assert_eq!(missing.remedy.as_deref(), Some("apt-get install some-package"));
        assert!(program(&Program { name: "sh", why: "", package: "dash" }).is_ok());
    }

    #[test]
    fn programs_of_the_system_are_found_after_a_plain_su() {
        let check = |path: &str, full: &str| assert_eq!(completed(OsStr::new(path)), *full, "{path}");
        check(
            "/usr/local/bin:/usr/bin:/bin:/usr/games",
            "/usr/local/bin:/usr/bin:/bin:/usr/games:/usr/local/sbin:/usr/sbin:/sbin",
        );
        check("", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        check(
            "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
            "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
        );
    }
}
