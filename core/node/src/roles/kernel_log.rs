//! The kernel's messages as a log file of the node, from where the log collector
//! reads them as it does any other: it may not open the kernel's device itself.
//!
//! A line is the priority in angle brackets, the time, the message. The kernel
//! numbers its messages; up to which they were written stands beside the file, so
//! that a restart writes none twice and leaves none out that the kernel still has.
//!
//! A disk that takes nothing for a while doesn't end it: lines wait in memory, up to
//! [`WAITING`] bytes, and what is beyond that is counted in a line of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::io::unix::AsyncFd;

const DEVICE: &str = "/dev/kmsg";
/// A file of this size is set aside; one that was is kept.
const ROTATE: u64 = 8 << 20;
/// The kernel's own limit for a record is 8 KiB.
const RECORD: usize = 16 << 10;
/// Bytes of lines that wait for the disk.
const WAITING: usize = 1 << 20;
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(5);

/// Writes the kernel's messages into `path` until `tasks` stops.
pub fn start(path: PathBuf, tasks: &Tasks) {
    tasks.spawn("kernel log", OnError::Log, async move {
        let mut log = Log::open(path)?;
        let device = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(DEVICE);
        let device = device.with_context(|| format!("{DEVICE} can't be read"))?;
        // SAFETY: a file keeps its one descriptor open for as long as it lives.
        let device = unsafe { AsyncFd::register(device) }?;
        let mut record = vec![0; RECORD];
        loop {
            let mut ready = tokio::select! {
                ready = device.readable() => ready?,
                () = tokio::time::sleep(RETRY), if log.is_waiting() => {
                    log.try_flush();
                    continue;
                }
            };
            match ready.get_inner().read(&mut record) {
                Ok(length) => log.take(&record[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    log.try_flush();
                    ready.clear_ready();
                }
                // What was to come next was overwritten; the device goes on with the oldest it has.
                Err(error) if error.raw_os_error() == Some(nix::libc::EPIPE) => log.overwritten(),
                Err(error) => return Err(anyhow::Error::new(error).context(format!("{DEVICE} broke off"))),
            }
        }
    });
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    priority: u8,
    number: u64,
    /// Microseconds since the kernel started.
    micros: i64,
    text: &'a str,
}

/// `<priority>,<number>,<microseconds>,<flags>[,...];<text>`, then lines of properties
/// that begin with a space (Linux, Documentation/ABI/testing/dev-kmsg).
fn parse(record: &str) -> Option<Message<'_>> {
    let (head, rest) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority = fields.next()?.parse::<u32>().ok()?;
    let (number, micros) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let text = rest.lines().next().unwrap_or_default();
    // Above 191 there are no facilities in syslog.
    Some(Message {
        priority: u8::try_from(priority).ok().filter(|p| *p < 192).unwrap_or(6),
        number,
        micros,
        text,
    })
}

struct Log {
    path: PathBuf,
    file: File,
    size: u64,
    /// Names this run of the kernel: its messages are numbered anew at each start.
    boot: String,
    /// The next message that was not written.
    next: u64,
    /// Lines that are to be written.
    lines: Vec<u8>,
    /// The message before which a restart begins.
    marked: u64,
    /// Messages that found no place among them.
    missing: u64,
    /// The last write failed.
    is_failing: bool,
}

impl Log {
    fn open(path: PathBuf) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
        }
        let file = append(&path)?;
        let size = file.metadata()?.len();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let known = std::fs::read_to_string(mark(&path)).unwrap_or_default();
        let next = known.trim().strip_prefix(&boot).and_then(|rest| rest.trim().parse().ok()).unwrap_or(0);
        Ok(Self {
            path,
            file,
            size,
            boot,
            next,
            marked: next,
            lines: Vec::new(),
            missing: 0,
            is_failing: false,
        })
    }

    fn take(&mut self, record: &[u8]) -> anyhow::Result<()> {
        let record = String::from_utf8_lossy(record);
        let Some(message) = parse(&record).filter(|message| message.number >= self.next) else {
            return Ok(());
        };
        self.next = message.number + 1;
        let time = started()? + jiff::SignedDuration::from_micros(message.micros);
        let line = format!("<{}>{time:.6} {}\n", message.priority, message.text);
        if self.lines.len() + line.len() > WAITING {
            self.missing += 1;
            return Ok(());
        }
        self.lines.extend_from_slice(line.as_bytes());
        // A disk that failed is tried again at its own pace.
        if self.lines.len() > RECORD && !self.is_failing {
            self.try_flush();
        }
        Ok(())
    }

    fn overwritten(&mut self) {
        self.note("messages were overwritten before they could be read");
        self.try_flush();
    }

    fn note(&mut self, text: &str) {
        self.lines.extend_from_slice(format!("<12>{:.6} {text}\n", Timestamp::now()).as_bytes());
    }

    /// Lines wait for the disk.
    fn is_waiting(&self) -> bool {
        self.is_failing
    }

    /// Writes what there is; what the disk doesn't take stays for the next try.
    fn try_flush(&mut self) {
        let result = self.flush();
        let was_failing = std::mem::replace(&mut self.is_failing, result.is_err());
        match result {
            Err(error) if !was_failing => {
                tracing::error!(error = format!("{error:#}"), retry = ?RETRY, "kernel log can't be written and waits in memory");
            }
            Ok(()) if was_failing => tracing::info!("kernel log is written again"),
            _ => {}
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.lines.is_empty() && self.marked == self.next {
            return Ok(());
        }
        let full = |path: &Path| format!("{} can't be written", path.display());
        self.write().with_context(|| full(&self.path))?;
        if self.missing > 0 {
            let missing = std::mem::take(&mut self.missing);
            self.note(&format!("{missing} messages are missing here: the disk took none when they came"));
            self.write().with_context(|| full(&self.path))?;
        }
        let state = format!("{} {}\n", self.boot, self.next);
        crate::files::write_atomically(&mark(&self.path), state.as_bytes(), 0o644)?;
        self.marked = self.next;
        if self.size >= ROTATE {
            std::fs::rename(&self.path, self.path.with_extension("log.1"))
                .with_context(|| format!("{} can't be set aside", self.path.display()))?;
            (self.file, self.size) = (append(&self.path)?, 0);
        }
        Ok(())
    }

    /// A write may take a part of the lines before the disk is full: only the rest is tried again.
    fn write(&mut self) -> io::Result<()> {
        while !self.lines.is_empty() {
            let written = match self.file.write(&self.lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.size += written as u64;
            self.lines.drain(..written);
        }
        Ok(())
    }
}

fn append(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("{} can't be opened", path.display()))
}

/// Where it stands how far the log is.
fn mark(log: &Path) -> PathBuf {
    log.with_extension("next")
}

/// When the kernel's clock of messages began. It is asked for each time, because the
/// wall clock may be set meanwhile.
fn started() -> anyhow::Result<Timestamp> {
    let mut spec = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes into a timespec of our own.
    let result = unsafe { nix::libc::clock_gettime(nix::libc::CLOCK_MONOTONIC, &mut spec) };
    anyhow::ensure!(result == 0, "the kernel's clock can't be read: {}", io::Error::last_os_error());
    let running = jiff::SignedDuration::new(spec.tv_sec, i32::try_from(spec.tv_nsec)?);
    Ok(Timestamp::now() - running)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_the_device() {
        let expected = Message { priority: 6, number: 339, micros: 5_140_900, text: "NET: Registered" };
        assert_eq!(parse("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n"), Some(expected));
        let expected = Message { priority: 30, number: 1, micros: 2, text: "a;b" };
        assert_eq!(parse("30,1,2,-,caller=T1;a;b\n"), Some(expected));
        assert_eq!(parse("4097,1,2,-;x").map(|message| message.priority), Some(6));
        assert_eq!(parse("no record"), None);
        assert_eq!(parse("x,1,2,-;y"), None);
    }

    #[test]
    fn a_full_disk_ends_nothing_and_what_found_no_place_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kernel.log");
        let mut log = Log::open(path.clone()).expect("open");
        // Each write to it fails for want of room.
        log.file = append(Path::new("/dev/full")).expect("the device");
        let text = "x".repeat(1000);
        for number in 0..2000 {
            log.take(format!("6,{number},1000000,-;n{number} {text}").as_bytes()).expect("taken");
        }
        log.try_flush();
        assert!(log.is_waiting() && log.missing > 0 && log.lines.len() <= WAITING);
        assert_eq!(Log::open(path.clone()).expect("open").next, 0, "a restart begins before them");
        log.file = append(&path).expect("a file");
        log.try_flush();
        assert!(!log.is_waiting());
        log.take(b"6,2000,2000000,-;after").expect("taken");
        log.try_flush();
        let written = std::fs::read_to_string(&path).expect("text");
        let lines: Vec<&str> = written.lines().collect();
        let kept = lines.len() - 2;
        assert!(lines[..kept].iter().enumerate().all(|(n, line)| line.contains(&format!(" n{n} "))));
        assert!(
            lines[kept].contains(&format!(" {} messages are missing here", 2000 - kept)),
            "{}",
            lines[kept]
        );
        assert!(lines[kept + 1].ends_with(" after"));
        assert_eq!(Log::open(path).expect("open").next, 2001);
    }

    #[test]
    fn a_restart_goes_on_behind_the_last_message_and_a_large_file_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log/kernel.log");
        let open = || Log::open(path.clone()).expect("open");
        let mut log = open();
        for record in ["4,7,1000000,-;one", "6,8,2000000,-;two"] {
            log.take(record.as_bytes()).expect("taken");
        }
        log.flush().expect("written");
        let mut log = open();
        for record in ["6,8,2000000,-;two", "6,9,3000000,-;three"] {
            log.take(record.as_bytes()).expect("taken");
        }
        log.flush().expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let ends: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(ends, ["one", "two", "three"]);
        assert!(text.starts_with("<4>20"), "{text}");
        log.size = ROTATE;
        log.take(b"6,10,4000000,-;four").expect("taken");
        log.flush().expect("written");
        assert!(folder.path().join("log/kernel.log.1").exists());
        assert_eq!(std::fs::metadata(&path).expect("a file").len(), 0);
    }
}
