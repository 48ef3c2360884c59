//! What a machine must have to run a node, checked one by one.
//!
//! Each check says what it is for and how to get what is missing. `tiphys up`
//! runs the same list and stops before it changes anything. What the kernel brings
//! by itself when it is first used is not missing.

use std::{
    ffi::{CStr, OsStr, OsString},
    fs,
    os::fd::{FromRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{errno::Errno, libc};
use tiphys_runtime::cgroup::Hierarchy;

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

/// What the rights are called among the findings.
pub const ROOT: &str = "root";

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
    findings.push(overlay());
    findings.push(cgroups());
    findings.push(namespaces());
    findings
}

fn root() -> Finding {
    let is_root = nix::unistd::geteuid().is_root();
    Finding {
        what: ROOT,
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

fn overlay() -> Finding {
    let is_there = is_listed(&read("/proc/filesystems"), "overlay")
        || comes(open_file_system(c"overlay"), || has_module("overlay"));
    Finding {
        what: "overlay",
        why: "layers of images",
        remedy: (!is_there).then(|| "modprobe overlay".to_owned()),
    }
}

fn cgroups() -> Finding {
    let remedy = match Hierarchy::detect() {
        Ok(hierarchy) => empty_root(&hierarchy, std::process::id().cast_signed()),
        Err(_) => Some("mount the cgroup file systems".to_owned()),
    };
    Finding { what: "cgroup", why: "requests and limits", remedy }
}

/// In a container with a control group of its own as the root, on version 2.
fn empty_root(hierarchy: &Hierarchy, own: i32) -> Option<String> {
    let in_the_way = hierarchy.in_the_way(own);
    let first = in_the_way.first()?;
    let them = match in_the_way.len() {
        1 => format!("process {first} in the root of this container's cgroups"),
        many => format!("the {many} processes in the root of this container's cgroups, {first} among them,"),
    };
    Some(format!(
        "move {them} into a group below it, or start the container with those of the host (docs/nodes.md, \
         Control groups)"
    ))
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// Lines of `/proc/filesystems`: `nodev<tab>overlay`.
fn is_listed(file_systems: &str, name: &str) -> bool {
    file_systems.lines().any(|line| line.split_whitespace().next_back() == Some(name))
}

/// Whether a file system is there when it is mounted, by the kernel's answer to one who wanted to. Without
/// rights it looks for nothing, and before Linux 5.2 it does not know the question: then the module tells.
fn comes(answer: Result<(), Errno>, has_module: impl FnOnce() -> bool) -> bool {
    match answer {
        Ok(()) => true,
        Err(Errno::EPERM | Errno::EACCES | Errno::ENOSYS) => has_module(),
        Err(_) => false,
    }
}

/// Begins to mount a file system and leaves it at that: the kernel loads its module as for any mount.
fn open_file_system(name: &CStr) -> Result<(), Errno> {
    const CLOSE_ON_EXEC: libc::c_uint = 1;
    // SAFETY: the name is a C string that outlives the call, which changes no memory of this process.
    let descriptor = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), CLOSE_ON_EXEC) };
    let descriptor = i32::try_from(Errno::result(descriptor)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: just opened, owned by nobody else; it is closed here.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    Ok(())
}

/// Whether the running kernel's modules, as `depmod` lists them, have one of this name.
fn has_module(name: &str) -> bool {
    let folder = Path::new("/lib/modules").join(read("/proc/sys/kernel/osrelease").trim());
    let lists = ["modules.dep", "modules.builtin"];
    lists
        .iter()
        .any(|list| fs::read_to_string(folder.join(list)).is_ok_and(|modules| lists_module(&modules, name)))
}

/// `kernel/fs/overlayfs/overlay.ko.xz: kernel/lib/...`: the module, then those it needs.
fn lists_module(modules: &str, name: &str) -> bool {
    let files = modules.lines().map(|line| line.split(':').next().unwrap_or_default());
    let mut names = files.map(|file| file.rsplit('/').next().unwrap_or_default());
    names.any(|file| file.strip_prefix(name).is_some_and(|ending| ending.starts_with(".ko")))
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
    fn what_the_kernel_brings_by_itself_is_there() {
        let check = |answer, has_module, expected| {
            assert_eq!(comes(answer, || has_module), expected, "{answer:?} {has_module}");
        };
        // A module that was loaded by the question, and one that is nowhere.
        check(Ok(()), false, true);
        check(Err(Errno::ENODEV), true, false);
        for unasked in [Errno::EPERM, Errno::EACCES, Errno::ENOSYS] {
            check(Err(unasked), true, true);
            check(Err(unasked), false, false);
        }
        assert!(open_file_system(c"no-such-file-system").is_err());
        let known = open_file_system(c"proc");
        assert!(matches!(known, Ok(()) | Err(Errno::EPERM | Errno::ENOSYS)), "{known:?}");
    }

    #[test]
    fn a_containers_root_with_others_in_it_is_told() {
        let root = tempfile::tempdir().expect("a folder");
        let hierarchy = Hierarchy::V2(root.path().to_owned());
        let write = |file: &str, text: &str| fs::write(root.path().join(file), text).expect("written");
        write("cgroup.controllers", "cpu memory\n");
        write("cgroup.procs", "1\n7\n8\n");
        assert_eq!(empty_root(&hierarchy, 7), None, "the root of a machine");
        write("cgroup.type", "domain\n");
        let remedy = empty_root(&hierarchy, 7).expect("a remedy");
        let place = "in the root of this container's cgroups";
        assert!(remedy.starts_with(&format!("move the 2 processes {place}, 1 among them, into")), "{remedy}");
        write("cgroup.procs", "7\n8\n");
        let remedy = empty_root(&hierarchy, 7).expect("a remedy");
        assert!(remedy.starts_with(&format!("move process 8 {place} into")), "{remedy}");
        write("cgroup.procs", "7\n");
        assert_eq!(empty_root(&hierarchy, 7), None, "alone in it");
    }

    #[test]
    fn lists_of_the_kernel() {
        let file_systems = "nodev\tsysfs\nnodev\tcgroup2\n\text4\n";
        assert!(is_listed(file_systems, "cgroup2") && is_listed(file_systems, "ext4"));
        assert!(!is_listed(file_systems, "overlay") && !is_listed(file_systems, "cgroup"));
        let modules = "kernel/fs/overlayfs/overlay.ko:\n\
                       kernel/net/vxlan/vxlan.ko.zst: kernel/net/ipv4/udp_tunnel.ko.zst\n";
        assert!(lists_module(modules, "overlay") && lists_module(modules, "vxlan"));
        assert!(!lists_module(modules, "udp_tunnel") && !lists_module(modules, "over"));
        assert!(lists_module("kernel/fs/overlayfs/overlay.ko\n", "overlay"), "built in");
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
