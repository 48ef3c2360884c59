//! Processes that a cluster's supervisor started, and those that these started, by a variable of their
//! environment that names the cluster's folder.
//!
//! ```text
//! supervisor ─ marks ─> server, holders, agents ─ inherited ─> containerd ─> shims
//! ```
//!
//! Of a dead cluster the control groups hold them on version 2; on version 1 they stand where `tiphys up` was
//! started. A state names those that were recorded, and may be gone. Containers have an environment of their
//! own, and a group of their cluster's on both versions.
//!
//! What it must not do: take a process for a cluster's by its program or by a path alone. The same path is
//! another folder in a container with a cluster of its own.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{process::Process, remains::all_pids};
use crate::{files, layout::Layout};

/// Names the folder of the cluster to all that run for it.
const VARIABLE: &str = "TIPHYS_CLUSTER_FOLDER";

/// Marks what a command starts as of the cluster in a folder.
pub fn mark(command: &mut Command, folder: &Path) {
    command.env(VARIABLE, folder);
}

/// All that are marked with this folder, which must be there.
pub fn of_folder(folder: &Path) -> Vec<Process> {
    let Ok(own) = files::identity(folder) else { return Vec::new() };
    let is_own =
        |pid: i32, named: &Path| files::identity(&seen_by(pid, named)).is_ok_and(|found| found == own);
    marked().filter(|(process, named)| is_own(process.pid, named)).map(|(process, _)| process).collect()
}

/// Those that are marked with a folder of this name in which there is no state: of another one's its state
/// tells, and it may run.
pub fn of_name(cluster: &str) -> Vec<Process> {
    stateless().filter(|(_, name)| name == cluster).map(|(process, _)| process).collect()
}

/// The clusters that have such ones.
pub fn names() -> BTreeSet<String> {
    stateless().map(|(_, name)| name).collect()
}

/// All that are marked with a folder without a state, each with the folder's name.
fn stateless() -> impl Iterator<Item = (Process, String)> {
    // What can't be looked at is no absence.
    let is_there = |path: &Path| path.try_exists().unwrap_or(true);
    marked().filter_map(move |(process, named)| {
        let name = stateless_name(&named, |state| is_there(state) || is_there(&seen_by(process.pid, state)))?;
        Some((process, name.to_owned()))
    })
}

/// The name of a folder in which there is no state. Pure but for what it asks.
fn stateless_name(folder: &Path, is_there: impl Fn(&Path) -> bool) -> Option<&str> {
    let (home, name) = (folder.parent()?, folder.file_name()?.to_str()?);
    (!is_there(&Layout::new(home, name).state())).then_some(name)
}

/// All that bear a mark, with the folder that it names, without ourselves.
fn marked() -> impl Iterator<Item = (Process, PathBuf)> {
    let own = std::process::id().cast_signed();
    let with_folder = |pid: i32| {
        // First who it is: should the number change hands now, this is the one that has ended.
        let process = Process::of(pid).ok()?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        Some((process, folder_in(&environment)?))
    };
    all_pids().filter(move |pid| *pid != own).filter_map(with_folder)
}

/// The folder that an environment names, as the kernel gives that. Pure.
fn folder_in(environment: &[u8]) -> Option<PathBuf> {
    let value = |entry: &[u8]| Some(entry.strip_prefix(VARIABLE.as_bytes())?.strip_prefix(b"=")?.to_owned());
    let folder = PathBuf::from(OsStr::from_bytes(&environment.split(|byte| *byte == 0).find_map(value)?));
    folder.is_absolute().then_some(folder)
}

/// A path where a process finds what is at it: what we find there may be another file.
fn seen_by(pid: i32, path: &Path) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use std::process::Child;

    use super::*;

    /// One that bears the mark of a folder.
    struct Marked {
        child: Child,
        process: Process,
    }

    impl Marked {
        fn with(folder: &Path) -> Self {
            let mut command = Command::new("sleep");
            mark(command.arg("600"), folder);
            let child = command.as_std_mut().spawn().expect("started");
            let process = Process::of(child.id().cast_signed()).expect("running");
            // A program that has begun has no environment yet for a moment.
            let environment = format!("/proc/{}/environ", process.pid);
            while fs::read(&environment).expect("running").is_empty() {
                std::thread::yield_now();
            }
            Self { child, process }
        }
    }

    impl Drop for Marked {
        fn drop(&mut self) {
            self.child.kill().and_then(|()| self.child.wait()).expect("reaped");
        }
    }

    #[test]
    fn an_environment_names_a_folder() {
        let table = [
            ("A=1\0TIPHYS_CLUSTER_FOLDER=/h/demo\0B=2\0", Some("/h/demo")),
            ("TIPHYS_CLUSTER_FOLDER=/h/demo", Some("/h/demo")),
            ("TIPHYS_CLUSTER_FOLDER=demo\0", None),
            ("TIPHYS_CLUSTER_FOLDER=\0", None),
            ("TIPHYS_CLUSTER_FOLDERS=/h/demo\0TIPHYS_CLUSTER=demo\0TIPHYS_HOME=/h\0", None),
            ("A=TIPHYS_CLUSTER_FOLDER=/h/demo\0", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(folder_in(text.as_bytes()).as_deref(), expected.map(Path::new), "{text:?}");
        }
    }

    #[test]
    fn a_folder_with_a_state_is_left_to_it() {
        let check = |folder: &str, has_state: bool, expected: Option<&str>| {
            let is_there = |state: &Path| {
                assert_eq!(state, Path::new(folder).join("cluster.json"));
                has_state
            };
            let told = stateless_name(Path::new(folder), is_there);
            assert_eq!(told, expected, "{folder} {has_state}");
        };
        check("/h/demo", false, Some("demo"));
        check("/h/demo", true, None);
        check("/h/demo-2", false, Some("demo-2"));
        check("/demo/other", false, Some("other"));
        check("/", false, None);
    }

    #[test]
    fn marked_processes_are_found_by_what_they_name() {
        let home = tempfile::tempdir().expect("a folder");
        let name = format!("strays-{}", std::process::id());
        let layout = Layout::new(home.path(), &name);
        fs::create_dir(layout.root()).expect("made");
        let alias = home.path().join("alias");
        std::os::unix::fs::symlink(layout.root(), &alias).expect("made");
        let (ours, aliased) = (Marked::with(layout.root()), Marked::with(&alias));
        let other = Marked::with(&home.path().join(format!("{name}-2")));
        let pids = |found: Vec<Process>| found.into_iter().map(|one| one.pid).collect::<Vec<_>>();
        let found = pids(of_folder(layout.root()));
        let is_in = |one: &Marked| found.contains(&one.process.pid);
        assert!(is_in(&ours) && is_in(&aliased) && !is_in(&other), "{found:?}");
        assert_eq!(pids(of_name(&name)), [ours.process.pid], "by the name alone");
        let told = names();
        assert!(told.contains(&name) && told.contains(&format!("{name}-2")), "{told:?}");
        fs::write(layout.state(), "{}").expect("written");
        assert!(of_name(&name).is_empty() && !names().contains(&name), "it has a state");
        fs::remove_dir_all(layout.root()).expect("removed");
        assert_eq!(pids(of_name(&name)), [ours.process.pid], "its folder is gone");
        assert!(of_folder(layout.root()).is_empty());
    }
}
