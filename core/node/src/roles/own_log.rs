//! The log file that `tiphys up` gave this process as its output, kept from growing
//! without end: set aside by size, and deleted when the log collector has it.
//!
//! ```text
//! server.log      written to         server.log.1 ... .3   set aside, the newest first
//! ```
//!
//! The process does it itself, because whoever else renames the file changes
//! nothing of where it is written to, and a copy would lose what comes meanwhile.
//! The descriptors of the output are exchanged in one step, so every line is in one
//! of the files, and none is torn. It is only done to a file that is known to be for
//! this process, by [`VARIABLE`].

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tiphys_lifecycle::{OnError, Tasks};
use tiphys_logging::tail::ACKED;

/// Names the file to the process that writes it.
pub const VARIABLE: &str = "TIPHYS_LOG_FILE";
/// A look at a size costs nothing; a watch would wake with each line.
const LOOK: Duration = Duration::from_secs(5);

/// How large and how many.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A file of this size is set aside.
    pub bytes: u64,
    /// So many that are set aside stay.
    pub kept: usize,
    /// So many stay while the collector hasn't read them.
    pub unread: usize,
}

const LIMITS: Limits = Limits { bytes: 32 << 20, kept: 3, unread: 10 };

/// Looks after the file until `tasks` stops; nothing, if there is none.
pub fn keep(tasks: &Tasks) {
    let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else { return };
    tasks.spawn("own log", OnError::Log, async move {
        loop {
            if let Err(error) = rotate(&path, LIMITS) {
                tracing::warn!(path = %path.display(), %error, "log can't be set aside, it goes on growing");
            }
            tokio::time::sleep(LOOK).await;
        }
        #[expect(unreachable_code, reason = "it says the type")]
        Ok::<(), std::convert::Infallible>(())
    });
}

/// Sets the file aside if it is too large.
///
/// # Errors
/// A file can't be renamed or made; the output goes on where it went.
pub fn rotate(path: &Path, limits: Limits) -> io::Result<()> {
    let written = fs::metadata(path)?;
    if written.len() < limits.bytes {
        return Ok(());
    }
    let is_it = |descriptor: RawFd| {
        fs::metadata(format!("/proc/self/fd/{descriptor}"))
            .is_ok_and(|output| (output.dev(), output.ino()) == (written.dev(), written.ino()))
    };
    let outputs: Vec<RawFd> =
        [nix::libc::STDOUT_FILENO, nix::libc::STDERR_FILENO].into_iter().filter(|fd| is_it(*fd)).collect();
    if outputs.is_empty() {
        return Ok(());
    }
    make_room(path, limits)?;
    fs::rename(path, numbered(path, 1))?;
    let fresh = OpenOptions::new().create(true).append(true).open(path)?;
    outputs.into_iter().try_for_each(|output| exchange(&fresh, output))
}

/// Deletes what is too old, and moves the others on by one.
fn make_room(path: &Path, limits: Limits) -> io::Result<()> {
    let is_read = |file: &Path| {
        let acked = xattr::get(file, ACKED).ok().flatten();
        let acked = acked.and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        fs::metadata(file).is_ok_and(|metadata| acked.is_some_and(|acked| acked >= metadata.len()))
    };
    for number in (1..=limits.unread).rev() {
        let file = numbered(path, number);
        if !file.exists() {
            continue;
        }
        // It becomes the next one: the first that stays is `kept`, once there is another before it.
        if number >= limits.unread || number >= limits.kept && is_read(&file) {
            fs::remove_file(&file)?;
        } else {
            fs::rename(&file, numbered(path, number + 1))?;
        }
    }
    Ok(())
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The descriptor is the file's from now on.
fn exchange(file: &File, descriptor: RawFd) -> io::Result<()> {
    // SAFETY: both descriptors are open, and the standard ones are owned by nobody in this process.
    let done = unsafe { nix::libc::dup2(file.as_raw_fd(), descriptor) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
#[path = "own_log_tests.rs"]
mod tests;
