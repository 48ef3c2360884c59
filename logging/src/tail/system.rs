//! Logs of the node's own parts: plain text files, each at a path of its own, with
//! the files that rotation sets aside beside it (`<name>.1`, `<name>.2.gz`,
//! `<name>-20260131`, and of `audit.log` `audit-2026-01-31T12-00-00.000.log`).

use std::{cmp::Reverse, path::PathBuf};

use super::name;
use crate::record::StreamInfo;

/// The namespace under which they are found, as static Pods of a control plane are.
pub const NAMESPACE: &str = "kube-system";

/// One part's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemLog {
    /// `kubelet`, `containerd`, `kernel`, ...
    pub name: String,
    /// The file that is written to. Its folder must be there; the file may come later.
    pub path: PathBuf,
}

/// `NAME=PATH`.
impl std::str::FromStr for SystemLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not NAME=PATH, such as containerd=/var/log/containerd.log");
        let (name, path) = text.split_once('=').ok_or_else(wrong)?;
        let log = Self { name: name.to_owned(), path: path.into() };
        let is_whole = !name.is_empty() && log.path.is_absolute() && log.file().is_some();
        if is_whole { Ok(log) } else { Err(wrong()) }
    }
}

impl SystemLog {
    /// What its records are found by: the part is the container, and the Pod that part on that node.
    pub fn stream(&self, node: &str) -> StreamInfo {
        // What is no Node has a name that none can have; it isn't part of what is searched for.
        let shown = node.trim_start_matches('_');
        StreamInfo {
            namespace: NAMESPACE.to_owned(),
            pod: format!("{}-{shown}", self.name),
            uid: format!("system-{}-{node}", self.name),
            container: self.name.clone(),
            restart: 0,
            node: node.to_owned(),
        }
    }

    /// The file's name in its folder.
    pub fn file(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    /// Whether a file in the folder is this log, was set aside from it, or is what that became
    /// when it was compressed (`.gz`). What is compressed otherwise is none: its text was in the file
    /// before.
    pub fn is_file(&self, name: &str) -> bool {
        let original = name::original(name);
        let text = original.unwrap_or(name);
        let Some(suffix) = self.file().and_then(|file| added(file, text)) else { return false };
        let packed = [".gz", ".xz", ".bz2", ".zst", ".tmp"].iter().any(|end| suffix.ends_with(end));
        let set_aside = suffix
            .strip_prefix(['.', '-'])
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        suffix.is_empty() && original.is_none() || set_aside && !packed
    }

    /// Whether it is one of those that are written to. A compressed one is looked at when what it is
    /// made of is gone.
    pub fn is_text(&self, name: &str) -> bool {
        self.is_file(name) && name::original(name).is_none()
    }
}

/// The order of a log's files, oldest first: by date, by number downwards, and last the
/// one that is written to.
pub fn order(file: &str, name: &str) -> (u8, String, Reverse<u64>) {
    // What was compressed is as old as what it was made of.
    let suffix = added(file, name::original(name).unwrap_or(name)).unwrap_or_default();
    match suffix.strip_prefix(['.', '-']) {
        None => (2, String::new(), Reverse(0)),
        Some(rest) => match rest.parse().ok().filter(|_| rest.len() < 6) {
            Some(number) => (1, String::new(), Reverse(number)),
            None => (0, rest.to_owned(), Reverse(0)),
        },
    }
}

/// What a file's name has beside the log's: behind it, or before its ending. Nothing, if it is the log.
fn added<'a>(file: &str, name: &'a str) -> Option<&'a str> {
    let before_ending = || {
        let (stem, ending) = file.rsplit_once('.')?;
        let added = name.strip_prefix(stem)?.strip_suffix(ending)?.strip_suffix('.')?;
        // A date: a number would be another log's.
        let year = added.strip_prefix('-')?.get(..4)?;
        (added.len() > 8 && year.bytes().all(|byte| byte.is_ascii_digit())).then_some(added)
    };
    name.strip_prefix(file).or_else(before_ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_and_their_order() {
        let log: SystemLog = "containerd=/var/log/containerd.log".parse().expect("a log");
        assert_eq!(log.stream("n1").pod, "containerd-n1");
        assert_eq!(
            (log.stream("_server").pod.as_str(), log.stream("_server").node.as_str()),
            ("containerd-server", "_server")
        );
        let folder = [
            "containerd.log",
            "containerd.log.1",
            "containerd.log.10",
            "containerd.log.2",
            "containerd.log-20260131",
            "containerd.log-20251231",
            "containerd.log.3.gz",
            "containerd.log.3.xz",
            "containerd.log.3.gz.gz",
            "containerd.log.4.gz.tmp",
            "containerd.log.gz",
            "containerd.log.old",
            "containerd.log.old.gz",
            "containerd.logs",
            "containerd-shim.log",
            "containerd-2.log",
            "containerd-2026-01-31T12-00-00.000.log",
            "containerd-2026-01-30T12-00-00.000.log.gz",
            "containerd.log-20260130.gz",
            "kern.log",
            "kern.log.1.gz",
        ];
        let mut files: Vec<&str> = folder.into_iter().filter(|name| log.is_file(name)).collect();
        files.sort_by_cached_key(|name| order("containerd.log", name));
        let expected = [
            "containerd.log-20251231",
            "containerd-2026-01-30T12-00-00.000.log.gz",
            "containerd-2026-01-31T12-00-00.000.log",
            "containerd.log-20260130.gz",
            "containerd.log-20260131",
            "containerd.log.10",
            "containerd.log.3.gz",
            "containerd.log.2",
            "containerd.log.1",
            "containerd.log",
        ];
        assert_eq!(files, expected);
        let compressed: Vec<&str> = files.into_iter().filter(|name| !log.is_text(name)).collect();
        assert_eq!(compressed, [expected[1], expected[3], expected[6]]);
        let mut packed = ["a.log", "a.log.1", "a.log.2.gz", "a.log.10.gz", "a.log.9.gz"];
        packed.sort_by_cached_key(|name| order("a.log", name));
        assert_eq!(packed, ["a.log.10.gz", "a.log.9.gz", "a.log.2.gz", "a.log.1", "a.log"]);
        for wrong in ["x", "=/a", "a=b", "a=/"] {
            assert!(wrong.parse::<SystemLog>().is_err(), "{wrong}");
        }
    }
}
