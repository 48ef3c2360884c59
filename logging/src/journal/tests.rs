//! Real journal files, written by systemd's own program: all entries in order and once, over
//! restarts, rotation and deletion, while they are written.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tiphys_lifecycle::Tasks;

use super::*;
use crate::{
    collector::{self, Config, Running},
    record::Level,
    search::{self, Request},
    tail::{Change, Place, Watch},
    wire::NodeRequest,
};

const WRITER: &str = "/lib/systemd/systemd-journal-remote";

struct Unwatched;

impl Watch for Unwatched {
    fn watch(&mut self, _: &Place) -> bool {
        false
    }
}

/// An entry in the form that the writer reads.
pub(crate) fn entry(number: usize, unit: &str, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let time = 1_700_000_000_000_000 + number;
    let head = format!(
        "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(format!("_SYSTEMD_UNIT={unit}.service\nPRIORITY=4\nMESSAGE\n").as_bytes());
    out.extend_from_slice(&(message.len() as u64).to_le_bytes());
    out.extend_from_slice(message);
    out.extend_from_slice(b"\n\n");
    out
}

/// The program that writes a journal file, as long as it is given entries.
struct Writer(Child);

impl Writer {
    fn new(path: &Path, compact: &str) -> Self {
        let child = Command::new(WRITER)
            .args(["--split-mode=none", "-o"])
            .arg(path)
            .arg("-")
            .env("SYSTEMD_JOURNAL_COMPACT", compact)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("systemd-journal-remote: `make setup` installs what tests need"))
    }

    fn write(&mut self, bytes: &[u8]) {
        let pipe = self.0.stdin.as_mut().expect("piped");
        pipe.write_all(bytes).and_then(|()| pipe.flush()).expect("written");
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("ended").success());
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn write(path: &Path, compact: &str, entries: impl IntoIterator<Item = Vec<u8>>) {
    let mut writer = Writer::new(path, compact);
    entries.into_iter().for_each(|entry| writer.write(&entry));
    writer.end();
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = folder.path().join("0123456789abcdef0123456789abcdef");
    fs::create_dir(&machine).expect("a folder");
    (folder, machine)
}

fn open(root: &Path, stands: JournalCheckpoint) -> Journal {
    let mut journal = Journal::new(vec![root.to_owned()], "n1", &[], stands);
    journal.apply(&Change::Everything, &mut Unwatched);
    journal
}

/// Unit, number, level and body of what so many turns give.
fn take(journal: &mut Journal, turns: usize) -> Vec<(String, u64, Level, Vec<u8>)> {
    let mut taken = Vec::new();
    for _ in 0..turns {
        if !journal.has_more() {
            break;
        }
        for batch in journal.turn() {
            let unit = batch.info.container.clone();
            let records = batch.records.into_iter();
            taken.extend(records.map(|it| (unit.clone(), it.seq, it.level, it.body.to_vec())));
        }
    }
    taken.sort_by_key(|(_, seq, ..)| *seq);
    taken
}

fn bodies(journal: &mut Journal) -> Vec<String> {
    let taken = take(journal, usize::MAX);
    taken.into_iter().map(|(.., body)| String::from_utf8(body).expect("text")).collect()
}

#[test]
fn small_large_and_binary_messages_of_both_forms() {
    for compact in ["0", "1"] {
        let (root, machine) = folder();
        let message = |number: usize| match number % 7 {
            0 => format!("large {number} ").repeat(2000).into_bytes(),
            1 => vec![0xff, 0, b'\n', number as u8],
            2 => format!("line {number}\nand another").into_bytes(),
            _ => format!("line {number}").into_bytes(),
        };
        let unit = |number: usize| ["sshd", "crio", "kubelet"][number % 3];
        let path = machine.join("system.journal");
        write(&path, compact, (0..2000).map(|number| entry(number, unit(number), &message(number))));
        let taken = take(&mut open(root.path(), JournalCheckpoint::default()), usize::MAX);
        assert_eq!(taken.len(), 2000);
        for (number, (container, seq, level, body)) in taken.iter().enumerate() {
            assert_eq!((container.as_str(), *seq, *level), (unit(number), number as u64, Level::Warn));
            assert!(*body == message(number), "message {number}");
        }
    }
}

#[test]
fn abuse_34_of_large_fields_little_is_kept_and_a_message_says_where_it_was_cut() {
    let (root, machine) = folder();
    let path = machine.join("system.journal");
    let message = format!("x{}", "é".repeat(800_000));
    let bytes = entry(1, "a", message.as_bytes());
    let at = bytes.windows(8).position(|part| part == b"MESSAGE\n").expect("it is there");
    let (head, tail) = bytes.split_at(at);
    let mut large = head.to_vec();
    for number in 0..8u8 {
        large.extend_from_slice(format!("LARGE{number}\n").as_bytes());
        large.extend_from_slice(&(600u64 << 10).to_le_bytes());
        large.extend(std::iter::repeat_n(b'a' + number, 600 << 10));
        large.push(b'\n');
    }
    large.extend_from_slice(tail);
    write(&path, "1", [large, entry(2, "a", b"the next")]);

    let file = fs::File::open(&path).expect("a file");
    let header = super::file::Header::read(&file).expect("a header");
    let read = super::file::JournalFile::new(file, header, 0).next().expect("read").expect("an entry");
    let (count, kept) = (read.fields.len(), read.fields.iter().map(|field| field.len()).sum::<usize>());
    assert!(count >= 11 && kept < (1 << 20) + (64 << 10), "{count} fields of {kept} bytes");
    let left_out = "MESSAGE=".len() + message.len() - (1 << 20);
    assert_eq!(read.left_out, Some(left_out as u64));

    let taken = take(&mut open(root.path(), JournalCheckpoint::default()), usize::MAX);
    let (next, parts) = taken.split_last().expect("records");
    assert_eq!(next.3, b"the next");
    let parts = parts.iter().map(|(.., body)| crate::parse::part(body).unwrap_or(body));
    let shown = String::from_utf8(parts.collect::<Vec<_>>().concat()).expect("text");
    // Half a character is left out, too.
    let mark = format!("é …[cut by tiphys: {} bytes more]", left_out + 1);
    assert!(shown.starts_with("xéé") && shown.ends_with(&mark), "{}", &shown[shown.len() - 60..]);
}

#[test]
fn abuse_34_a_unit_for_each_connection_takes_no_name_from_others() {
    let (root, machine) = folder();
    let connections = (0..600).map(|n| entry(n, &format!("sshd@{n}-10.0.0.1:22"), b"in"));
    write(&machine.join("system.journal"), "1", connections.chain([entry(600, "late", b"up")]));
    let taken = take(&mut open(root.path(), JournalCheckpoint::default()), usize::MAX);
    let units: Vec<&str> = taken.iter().map(|(unit, ..)| unit.as_str()).collect();
    assert_eq!((units.len(), units[600]), (601, "late"));
    assert!(units[..600].iter().all(|unit| *unit == "sshd@"), "{units:?}");
}

#[test]
fn reading_goes_on_where_it_stood_over_rotation_and_deletion() {
    let (root, machine) = folder();
    let lines = |from, to| (from..to).map(|n| entry(n, "a", format!("line {n}").as_bytes()));
    let (live, first, second) =
        (machine.join("system.journal"), machine.join("system@1.journal"), machine.join("system@2.journal"));
    write(&live, "1", lines(0, 1000));
    let mut journal = open(root.path(), JournalCheckpoint::default());
    let mut seen: Vec<String> = Vec::new();
    let mut add = |taken: Vec<(String, u64, Level, Vec<u8>)>| {
        for (at, (_, seq, _, body)) in taken.into_iter().enumerate() {
            assert_eq!(seq, (seen.len()) as u64, "{at}");
            seen.push(String::from_utf8(body).expect("text"));
        }
        seen.len()
    };
    let half = add(take(&mut journal, 2));
    assert!(half > 0 && half < 1000, "{half}");
    // Stopped, rotated meanwhile, another rotated after it; both have what was not read.
    let stands = serde_json::to_string(&journal.checkpoint()).expect("JSON");
    drop(journal);
    fs::rename(&live, &first).expect("renamed");
    write(&live, "1", lines(1000, 1400));
    fs::rename(&live, &second).expect("renamed");
    write(&live, "1", lines(1400, 1500));
    let mut journal = open(root.path(), serde_json::from_str(&stands).expect("JSON"));
    // Vacuumed before all of it was read: it is read to its end all the same.
    fs::remove_file(&first).expect("removed");
    journal.apply(&Change::In(Place::Folder(machine.clone())), &mut Unwatched);
    assert_eq!(add(take(&mut journal, usize::MAX)), 1500);
    // More in the same file.
    write(&live, "1", lines(1500, 1600));
    journal.apply(&Change::WroteIn(machine.clone(), "system.journal".into()), &mut Unwatched);
    assert_eq!(add(take(&mut journal, usize::MAX)), 1600);
    assert_eq!(journal.checkpoint().files.len(), 2, "what is gone is forgotten");
    assert_eq!(bodies(&mut open(root.path(), journal.checkpoint())), Vec::<String>::new());
    assert_eq!(seen, (0..1600).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

/// Folders as journald has them in memory and on disk.
fn two_roots() -> (tempfile::TempDir, [PathBuf; 2], [PathBuf; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = ["var/log/journal", "run/log/journal"].map(|name| folder.path().join(name));
    let machines = roots.clone().map(|root| root.join("0123456789abcdef0123456789abcdef"));
    machines.iter().for_each(|machine| fs::create_dir_all(machine).expect("a folder"));
    (folder, roots, machines)
}

fn open_both(roots: &[PathBuf; 2], stands: JournalCheckpoint) -> Journal {
    let mut journal = Journal::new(roots.to_vec(), "n1", &[], stands);
    journal.apply(&Change::Everything, &mut Unwatched);
    journal
}

#[test]
fn what_was_read_in_memory_is_not_read_again_on_disk() {
    // Of three there are always some with the same time.
    let lines =
        |from: usize, to: usize| (from..to).map(|n| entry(n / 3, "a", format!("line {n}").as_bytes()));
    let expected = |from: usize, to: usize| (from..to).map(|n| format!("line {n}")).collect::<Vec<_>>();
    for is_restarted in [false, true] {
        let (_folder, roots, [disk, memory]) = two_roots();
        let (disk, memory) = (disk.join("system.journal"), memory.join("system.journal"));
        write(&memory, "1", lines(0, 600));
        let mut journal = open_both(&roots, JournalCheckpoint::default());
        assert_eq!(take(&mut journal, 1).len(), 256);
        // Flushed: what the file has is written again, then it goes, then more comes.
        let stands = serde_json::to_string(&journal.checkpoint()).expect("JSON");
        write(&disk, "1", lines(0, 600));
        if is_restarted {
            fs::remove_file(&memory).expect("removed");
            journal = open_both(&roots, serde_json::from_str(&stands).expect("JSON"));
        } else {
            journal.apply(&Change::Everything, &mut Unwatched);
            fs::remove_file(&memory).expect("removed");
            journal.apply(&Change::Everything, &mut Unwatched);
        }
        write(&disk, "1", lines(600, 650));
        journal.apply(&Change::Everything, &mut Unwatched);
        assert_eq!(bodies(&mut journal), expected(256, 650), "restarted: {is_restarted}");
        let stands = journal.checkpoint();
        assert_eq!(bodies(&mut open_both(&roots, stands)), Vec::<String>::new());
    }
}

#[test]
fn what_memory_has_is_read_first_also_when_nobody_told_of_it() {
    let (_folder, roots, [disk, memory]) = two_roots();
    let (disk, memory) = (disk.join("system.journal"), memory.join("system.journal"));
    let lines = |from, to| (from..to).map(|n| entry(n, "a", format!("line {n}").as_bytes()));
    // There before, on the same day: journald gave up the disk for a while.
    write(&disk, "1", lines(0, 100));
    write(&memory, "1", lines(100, 200));
    let mut journal = open_both(&roots, JournalCheckpoint::default());
    let mut found = bodies(&mut journal);
    assert_eq!(found.len(), 200, "none of them is a copy");
    // Three more, and copies of all: only the copies are told.
    write(&memory, "1", lines(200, 203));
    write(&disk, "1", lines(100, 203));
    let disk_folder = disk.parent().expect("a folder").to_owned();
    journal.apply(&Change::WroteIn(disk_folder, "system.journal".into()), &mut Unwatched);
    found.extend(bodies(&mut journal));
    found.sort_by_key(|line| line[5..].parse::<usize>().expect("a number"));
    assert_eq!(found, (0..203).map(|n| format!("line {n}")).collect::<Vec<_>>());
}

#[test]
fn a_missing_folder_a_damaged_file_and_what_is_no_journal_are_no_errors() {
    let (root, machine) = folder();
    assert!(!open(&root.path().join("no/such"), JournalCheckpoint::default()).has_more());
    let path = machine.join("system.journal");
    write(&path, "1", (0..300).map(|n| entry(n, "a", format!("line {n}").as_bytes())));
    fs::write(machine.join("empty.journal"), "").expect("written");
    fs::write(machine.join("other.journal"), vec![b'x'; 4096]).expect("written");
    assert_eq!(bodies(&mut open(root.path(), JournalCheckpoint::default())).len(), 300);
    let whole = fs::read(&path).expect("read");
    let used = whole.iter().rposition(|byte| *byte != 0).expect("bytes");
    for at in (0..used).step_by(used / 300) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        fs::write(&path, &changed).expect("written");
        let found = bodies(&mut open(root.path(), JournalCheckpoint::default()));
        let lines = found.iter().filter(|body| body.starts_with("line ")).count();
        let named = found.iter().filter(|body| body.contains("can't be read: ")).count();
        assert!(lines <= 300 && named <= 300, "byte {at}: {lines} and {named}");
    }
    let cut = &whole[..used / 2];
    fs::write(&path, cut).expect("written");
    let found = bodies(&mut open(root.path(), JournalCheckpoint::default()));
    assert!(found.iter().any(|body| body.contains("can't be read")), "{}", found.len());
}

#[test]
fn abuse_14_a_link_among_journal_files_is_not_followed() {
    let ((root, machine), (_elsewhere, other)) = (folder(), folder());
    write(&other.join("secret.journal"), "1", [entry(0, "a", b"secret")]);
    write(&machine.join("system.journal"), "1", [entry(1, "a", b"line")]);
    std::os::unix::fs::symlink(other.join("secret.journal"), machine.join("link.journal")).expect("linked");
    std::os::unix::fs::symlink(&other, root.path().join("fedcba9876543210fedcba9876543210")).expect("linked");
    assert_eq!(bodies(&mut open(root.path(), JournalCheckpoint::default())), ["line"]);
}

/// The most records that one search gives back.
const FOUND: usize = 100_000;

fn config(folder: &Path) -> Config {
    let mut config = Config::new("n1", ([127, 0, 0, 1], 0).into(), "t0ken");
    config.pods_dir = folder.join("pods");
    config.data_dir = folder.join("data");
    // As if its parent were there and it came later.
    config.journal = vec![folder.join("journal")];
    config.commit_after = Duration::from_millis(50);
    config
}

fn find(running: &Running, query: &str) -> Vec<String> {
    let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
    let request = Request::new(&request, Duration::from_secs(60)).expect("a query");
    let answer = search::search(&running.store, &request, FOUND, "n1");
    answer.records.into_iter().map(|record| record.body).collect()
}

async fn until_found(running: &Running, query: &str, count: usize) {
    let found = async {
        while find(running, query).len() < count {
            // The collector needs the processor more than who asks.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), found).await.expect("found in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_unit_writes_is_found_while_its_file_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let tasks = Tasks::new();
    let running = collector::run(config(folder.path()), None, &tasks).await.expect("started");
    let machine = folder.path().join("journal/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&machine).expect("a folder");
    let mut writer = Writer::new(&machine.join("system.journal"), "1");
    for number in 0..3 {
        writer.write(&entry(number, "kubelet", format!("line {number}").as_bytes()));
        until_found(&running, "ns:kube-system container:kubelet level:warn line", number + 1).await;
    }
    tasks.shutdown(Duration::from_secs(120)).await;
}

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process() {
    let Some(folder) = std::env::var_os("TIPHYS_TEST_JOURNAL") else { return };
    let tasks = Tasks::new();
    let _running = collector::run(config(Path::new(&folder)), None, &tasks).await.expect("started");
    tasks.failed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_doubles_no_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = folder.path().join("journal/0123456789abcdef0123456789abcdef");
    fs::create_dir_all(&machine).expect("a folder");
    let (live, splits) = (machine.join("system.journal"), folder.path().join("data/splits"));
    // By name: a merge makes of several one, and a count would then stay behind.
    let names = || -> HashSet<OsString> {
        fs::read_dir(&splits)
            .map_or_else(|_| HashSet::new(), |found| found.flatten().map(|entry| entry.file_name()).collect())
    };
    let mut number = 0;
    for round in 0..5 {
        let before = names();
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "journal::tests::child_process"])
            .env("TIPHYS_TEST_JOURNAL", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut writer = Writer::new(&live, "1");
        // Killed soon after a commit, with entries behind it that are only read. As many in all as a
        // search gives back at once, however long a busy machine takes to commit.
        let (started, most) = (Instant::now(), (round + 1) * FOUND / 5);
        while names().is_subset(&before) && started.elapsed() < Duration::from_secs(60) {
            for _ in 0..50.min(most - number) {
                writer.write(&entry(number, "a", format!("line n{number}x").as_bytes()));
                number += 1;
            }
            if number == most {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        child.kill().and_then(|()| child.wait()).expect("killed");
        writer.end();
        if round % 2 == 1 {
            fs::rename(&live, machine.join(format!("system@{round}.journal"))).expect("renamed");
        }
    }
    let tasks = Tasks::new();
    let running = loop {
        match collector::run(config(folder.path()), None, &tasks).await {
            Err(collector::CollectorError::Index(_)) => tokio::task::yield_now().await,
            other => break other.expect("started"),
        }
    };
    until_found(&running, "container:a", number).await;
    let mut found = find(&running, "container:a");
    let mut expected: Vec<String> = (0..number).map(|number| format!("line n{number}x")).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found == expected, "{} of {number}", found.len());
    tasks.shutdown(Duration::from_secs(120)).await;
}
