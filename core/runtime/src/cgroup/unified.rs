//! Version 2: groups hand controllers down to those below them, level by level.
//!
//! The kernel's rules for it, as its `admin-guide/cgroup-v2` has them:
//!
//! - A group that processes are in hands nothing down. The root of all may; the group that a container
//!   sees as its root may not.
//! - `cpu`, `cpuset`, `perf_event` and `pids` it would hand down all the same, alone: it is threaded from
//!   then on, and groups below it take no process any more. So nothing is written where processes are,
//!   and else all in one.
//! - What a group below hands down itself is not taken back.

use std::{fs, io, path::Path};

use nix::libc;

const AVAILABLE: &str = "cgroup.controllers";
const HANDED_DOWN: &str = "cgroup.subtree_control";

/// Makes a group with its parents, each of which hands down what it has.
pub(super) fn create(root: &Path, group: &str) -> io::Result<()> {
    let mut folder = root.to_path_buf();
    for name in group.split('/').filter(|name| !name.is_empty()) {
        hand_down(&folder)?;
        folder.push(name);
        fs::create_dir_all(&folder)?;
    }
    Ok(())
}

fn hand_down(folder: &Path) -> io::Result<()> {
    let missing = not_handed_down(folder)?;
    if missing.is_empty() {
        return Ok(());
    }
    if has_parent(folder) && !processes(folder).is_empty() {
        return Err(refused(folder)(io::Error::from_raw_os_error(libc::EBUSY)));
    }
    let file = folder.join(HANDED_DOWN);
    let Err(error) = fs::write(&file, missing.join(" ")) else { return Ok(()) };
    // A process that has come since, or a group that is threaded.
    if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EOPNOTSUPP)) {
        return Err(refused(folder)(error));
    }
    for controller in missing {
        // One that can't be handed down is missed when a limit is set, with a clear error.
        let _ = fs::write(&file, controller);
    }
    Ok(())
}

fn refused(folder: &Path) -> impl FnOnce(io::Error) -> io::Error {
    let folder = folder.display().to_string();
    move |error| {
        let text = format!(
            "{folder} can't hand controllers down ({error}): it must hold no processes, move them into a \
             group below it"
        );
        io::Error::new(error.kind(), text)
    }
}

/// Controllers that the group has and those below it don't, as they are written: `+cpu`.
fn not_handed_down(folder: &Path) -> io::Result<Vec<String>> {
    let available = fs::read_to_string(folder.join(AVAILABLE))?;
    let given = handed_down(folder);
    let missing = available.split_whitespace().filter(|name| !given.iter().any(|given| given == name));
    Ok(missing.map(|name| format!("+{name}")).collect())
}

/// Controllers that those below have.
pub(super) fn handed_down(folder: &Path) -> Vec<String> {
    let given = fs::read_to_string(folder.join(HANDED_DOWN)).unwrap_or_default();
    given.split_whitespace().map(str::to_owned).collect()
}

/// Takes back all but these.
pub(super) fn hand_down_only(folder: &Path, kept: &[String]) -> io::Result<()> {
    let given = handed_down(folder).into_iter().filter(|name| !kept.contains(name));
    let back: Vec<String> = given.map(|name| format!("-{name}")).collect();
    if back.is_empty() { Ok(()) } else { fs::write(folder.join(HANDED_DOWN), back.join(" ")) }
}

/// Processes in the topmost group in sight, but for `own`, that keep it from handing controllers down.
pub(super) fn in_the_way(root: &Path, own: i32) -> Vec<i32> {
    let hands_down = not_handed_down(root).is_ok_and(|missing| missing.is_empty());
    if hands_down || !has_parent(root) {
        return Vec::new();
    }
    processes(root).into_iter().filter(|pid| *pid != own).collect()
}

/// All groups have this file, but for the root of all.
fn has_parent(folder: &Path) -> bool {
    folder.join("cgroup.type").exists()
}

/// Of the group itself. Those that this process can't see are 0.
fn processes(folder: &Path) -> Vec<i32> {
    let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group that has these controllers and processes; `kind` of all but the root of all.
    fn group(folder: &Path, kind: Option<&str>, processes: &str) {
        fs::create_dir_all(folder).expect("made");
        fs::write(folder.join(AVAILABLE), "cpu memory pids\n").expect("written");
        fs::write(folder.join("cgroup.procs"), processes).expect("written");
        if let Some(kind) = kind {
            fs::write(folder.join("cgroup.type"), kind).expect("written");
        }
    }

    fn said(folder: &Path) -> Option<String> {
        fs::read_to_string(folder.join(HANDED_DOWN)).ok()
    }

    #[test]
    fn all_controllers_are_handed_down_at_once() {
        let root = tempfile::tempdir().expect("a folder");
        group(root.path(), None, "1\n2\n");
        group(&root.path().join("a"), Some("domain\n"), "");
        fs::write(root.path().join("a").join(HANDED_DOWN), "memory\n").expect("written");
        create(root.path(), "/a/b").expect("made");
        assert_eq!(said(root.path()).as_deref(), Some("+cpu +memory +pids"), "the root of all may");
        assert_eq!(said(&root.path().join("a")).as_deref(), Some("+cpu +pids"), "what was missing");
        assert!(root.path().join("a/b").is_dir() && said(&root.path().join("a/b")).is_none());
    }

    #[test]
    fn where_processes_are_nothing_is_written_and_it_is_said_why() {
        let root = tempfile::tempdir().expect("a folder");
        group(root.path(), Some("domain\n"), "1\n");
        let error = create(root.path(), "/a").expect_err("a container's root with processes").to_string();
        let place = root.path().display().to_string();
        assert!(error.starts_with(&place) && error.contains("move them into a group below"), "{error}");
        assert!(said(root.path()).is_none() && !root.path().join("a").exists());
        // One that hands all down already needs nothing.
        fs::write(root.path().join(HANDED_DOWN), "cpu memory pids\n").expect("written");
        create(root.path(), "/a").expect("made");
        assert_eq!(said(root.path()).as_deref(), Some("cpu memory pids\n"));
    }

    #[test]
    fn processes_are_in_the_way_in_a_containers_root_only() {
        let check = |kind: Option<&str>, processes: &str, given: &str, expected: &[i32]| {
            let root = tempfile::tempdir().expect("a folder");
            group(root.path(), kind, processes);
            fs::write(root.path().join(HANDED_DOWN), given).expect("written");
            assert_eq!(in_the_way(root.path(), 7), expected, "{kind:?} {processes:?} {given:?}");
        };
        check(None, "1\n7\n9\n", "", &[]);
        check(Some("domain\n"), "7\n", "", &[]);
        check(Some("domain\n"), "1\n7\n0\n", "", &[1, 0]);
        check(Some("domain\n"), "1\n7\n", "cpu", &[1]);
        check(Some("domain\n"), "1\n7\n", "cpu pids memory", &[]);
    }

    #[test]
    fn only_what_was_handed_down_since_is_taken_back() {
        let root = tempfile::tempdir().expect("a folder");
        group(root.path(), Some("domain\n"), "");
        fs::write(root.path().join(HANDED_DOWN), "cpu memory pids\n").expect("written");
        let before = ["memory".to_owned()];
        hand_down_only(root.path(), &before).expect("written");
        assert_eq!(said(root.path()).as_deref(), Some("-cpu -pids"));
        fs::write(root.path().join(HANDED_DOWN), "memory\n").expect("written");
        hand_down_only(root.path(), &before).expect("nothing to do");
        assert_eq!(said(root.path()).as_deref(), Some("memory\n"));
    }
}
