//! What a container said at its end: its termination message.
//!
//! <https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use k8s_openapi::api::core::v1::Container;

use crate::logs;

const MAX_MESSAGE: usize = 4096;
const MAX_FROM_LOG: usize = 2048;
const LINES_FROM_LOG: usize = 80;

/// From the file it wrote, or from its log, below the root of all logs, if it failed
/// and asked for that.
pub(super) fn last_words(
    file: &Path,
    root: &Path,
    log: &Path,
    container: Option<&Container>,
    code: i32,
) -> String {
    let said = open_own(file).map(|file| tail(file, MAX_MESSAGE)).unwrap_or_default();
    let from_log = container.and_then(|container| container.termination_message_policy.as_deref())
        == Some("FallbackToLogsOnError");
    if !said.is_empty() || !from_log || code == 0 {
        return said;
    }
    let raw = logs::open(root, log).map(|file| tail(file, 8 * MAX_FROM_LOG)).unwrap_or_default();
    let lines: Vec<&str> =
        raw.lines().filter_map(|line| logs::line::parse(line.as_bytes())?.text_str()).collect();
    let lines = &lines[lines.len().saturating_sub(LINES_FROM_LOG)..];
    let mut text = lines.join("\n");
    if text.len() > MAX_FROM_LOG {
        let mut cut = text.len() - MAX_FROM_LOG;
        while !text.is_char_boundary(cut) {
            cut += 1;
        }
        text.drain(..cut);
    }
    text
}

/// Links are not followed: the container wrote the file's content, not its name.
fn open_own(path: &Path) -> io::Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The last bytes of a file; nothing when it can't be read.
fn tail(mut file: File, most: usize) -> String {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    let start = SeekFrom::Start(length.saturating_sub(most as u64));
    if file.seek(start).is_err() || file.take(most as u64).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
