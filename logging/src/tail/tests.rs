//! Tailing: no line lost, none doubled, whatever happens to the files.

use std::{
    collections::HashSet,
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, symlink},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

mod compressed;
mod copied;
mod descriptors;
mod docker;
mod docker_compressed;
mod long_lines;
mod plain_compressed;
mod reached;

/// Remembers what was asked to be watched, and watches nothing.
#[derive(Default)]
struct Asked(HashSet<Place>);

impl Watch for Asked {
    fn watch(&mut self, place: &Place) -> bool {
        self.0.insert(place.clone())
    }
}

const POD: &str = "default_web-1_uid-1";

struct Node {
    root: TempDir,
    /// Docker's folder of containers.
    docker: TempDir,
    /// Logs of its own parts.
    system: Vec<SystemLog>,
    asked: Asked,
}

impl Node {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join(POD).join("app")).expect("a folder");
        let docker = tempfile::tempdir().expect("a folder");
        Self { root, docker, system: Vec::new(), asked: Asked::default() }
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join(POD).join("app")
    }

    fn tailer(&mut self, checkpoints: Vec<StreamCheckpoint>) -> Tailer {
        let tailer = Tailer::new(self.root.path(), "n1", checkpoints).expect("a tailer");
        let tailer = tailer.with_container_logs(Some(self.docker.path().to_owned()));
        let mut tailer = tailer.with_system(self.system.clone());
        self.asked = Asked::default();
        tailer.apply(&Change::Everything, &mut self.asked);
        tailer
    }

    fn look(&mut self, tailer: &mut Tailer) {
        let place = Place::Container(POD.into(), "app".into());
        tailer.apply(&Change::In(place), &mut self.asked);
        for folder in self.system.iter().filter_map(|log| log.path.parent()) {
            tailer.apply(&Change::In(Place::Folder(folder.to_owned())), &mut self.asked);
        }
    }
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a file");
    file.write_all(bytes).expect("written");
}

fn line(number: usize, tag: char, text: &str) -> String {
    format!("2026-01-31T12:00:00.{number:09}Z stdout {tag} {text}\n")
}

fn drain(tailer: &mut Tailer) -> Vec<String> {
    let mut bodies = Vec::new();
    while turn(tailer, &mut bodies) {}
    bodies
}

/// What a commit keeps of where reading stands when it ends.
fn saved(tailer: Tailer) -> Vec<StreamCheckpoint> {
    let json = serde_json::to_vec(&tailer.checkpoints()).expect("JSON");
    serde_json::from_slice(&json).expect("checkpoints")
}

/// A node, its file of one line, and who has read it.
fn read_one() -> (Node, PathBuf, Tailer) {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    append(&path, line(1, 'F', "one").as_bytes());
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    (node, path, tailer)
}

/// The same where the file can be acknowledged: not every file system has attributes.
fn read_one_with_attributes() -> Option<(Node, PathBuf, Tailer)> {
    let read = read_one();
    xattr::set(&read.1, "user.tiphys.test", b"1").ok()?;
    Some(read)
}

fn acked(path: &Path) -> Option<Vec<u8>> {
    xattr::get(path, ACKED).expect("readable")
}

fn size(path: &Path) -> Vec<u8> {
    fs::metadata(path).expect("there").len().to_string().into_bytes()
}

fn turn(tailer: &mut Tailer, bodies: &mut Vec<String>) -> bool {
    match tailer.turn() {
        Turn::Idle => return false,
        Turn::Nothing => {}
        Turn::Batch(batch) => {
            let texts = batch.records.into_iter().map(|r| String::from_utf8_lossy(&r.body).into_owned());
            bodies.extend(texts);
        }
    }
    true
}

#[test]
fn a_line_is_read_when_its_end_is_there() {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    append(&path, line(1, 'F', "one").as_bytes());
    append(&path, b"2026-01-31T12:00:00.000000002Z stdout F tw");
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    append(&path, b"o\n");
    tailer.apply(&Change::Wrote(POD.into(), "app".into(), "0.log".into()), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["two"]);
}

#[test]
fn a_truncated_file_is_read_again_from_its_begin() {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    append(&path, line(1, 'F', "a longer first line").as_bytes());
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["a longer first line"]);
    File::create(&path).expect("truncated");
    // Longer than before: only the begin tells that it is another text.
    append(&path, line(2, 'F', "a second line that is longer than the first").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["a second line that is longer than the first"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_a_torn_line_is_a_record() {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    append(&path, line(1, 'F', "one").as_bytes());
    let mut tailer = node.tailer(vec![]);
    append(&path, line(2, 'P', "half").as_bytes());
    append(&path, b"2026-01-31T12:00:00.000000003Z stdout F torn");
    fs::remove_dir_all(node.root.path().join(POD)).expect("deleted");
    tailer.apply(&Change::In(Place::Root), &mut node.asked);
    assert!(tailer.take_vanished());
    assert_eq!(drain(&mut tailer), ["one", "halftorn"]);
    assert!(tailer.checkpoints().is_empty());
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let (mut node, path, tailer) = read_one();
    let mut checkpoints = tailer.checkpoints();
    drop(tailer);
    fs::remove_file(&path).expect("deleted");
    append(&path, line(2, 'F', "another and longer").as_bytes());
    checkpoints[0].files[0].inode = fs::metadata(&path).expect("there").ino();
    assert_eq!(drain(&mut node.tailer(checkpoints)), ["another and longer"]);
}

#[test]
fn a_new_text_of_the_same_size_behind_a_closed_file_is_read_and_not_acknowledged_before() {
    let (mut node, path, mut tailer) = read_one();
    let rotated = node.dir().join("0.log.1");
    fs::rename(&path, &rotated).expect("renamed");
    append(&path, b"");
    node.look(&mut tailer);
    assert!(drain(&mut tailer).is_empty());
    let checkpoints = tailer.checkpoints();
    // Closes the rotated file; from here on only its begin tells it from another one with its inode.
    tailer.committed(&checkpoints);
    let _ = xattr::remove(&rotated, ACKED);
    fs::write(&rotated, line(2, 'F', "two")).expect("written");
    tailer.committed(&checkpoints);
    assert_eq!(xattr::get(&rotated, ACKED).ok().flatten(), None);
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["two"]);
}

#[test]
fn a_file_that_has_got_the_inode_of_a_committed_one_is_not_acknowledged_unread() {
    let mut node = Node::new();
    let path = node.dir().join("0.log");
    append(&path, line(1, 'P', "one").as_bytes());
    let mut tailer = node.tailer(vec![]);
    drain(&mut tailer);
    let checkpoints = tailer.checkpoints();
    // Of the same size, and nothing of it was read when the commit of the file before is told.
    fs::write(&path, line(2, 'P', "two")).expect("written");
    let mut unread = node.tailer(vec![]);
    unread.committed(&checkpoints);
    assert_eq!(xattr::get(&path, ACKED).ok().flatten(), None);
}

#[test]
fn pending_pieces_of_a_stream_without_files_become_a_record() {
    let mut node = Node::new();
    append(&node.dir().join("0.log"), line(1, 'P', "last words").as_bytes());
    let mut tailer = node.tailer(vec![]);
    assert!(drain(&mut tailer).is_empty());
    let checkpoints = tailer.checkpoints();
    drop(tailer);
    fs::remove_dir_all(node.root.path().join(POD)).expect("deleted");
    assert_eq!(drain(&mut node.tailer(checkpoints)), ["last words"]);
}

#[test]
fn what_is_durable_is_acknowledged_on_the_file() {
    let Some((_node, path, mut tailer)) = read_one_with_attributes() else { return };
    assert_eq!(acked(&path), None);
    tailer.committed(&tailer.checkpoints());
    assert_eq!(acked(&path), Some(size(&path)));
}

#[test]
fn a_truncated_file_of_the_same_size_is_not_acknowledged_before_it_is_durable() {
    let Some((mut node, path, mut tailer)) = read_one_with_attributes() else { return };
    tailer.committed(&tailer.checkpoints());
    let size = Some(size(&path));
    assert_eq!(acked(&path), size);
    fs::write(&path, line(2, 'F', "two")).expect("truncated and written");
    tailer.apply(&Change::Wrote(POD.into(), "app".into(), "0.log".into()), &mut node.asked);
    assert_eq!((drain(&mut tailer), acked(&path)), (vec!["two".to_owned()], None));
    tailer.committed(&tailer.checkpoints());
    assert_eq!(acked(&path), size);
}

#[test]
fn abuse_14_links_are_not_followed() {
    let mut node = Node::new();
    let outside = tempfile::tempdir().expect("a folder");
    append(&outside.path().join("0.log"), line(1, 'F', "secret").as_bytes());
    symlink(outside.path().join("0.log"), node.dir().join("0.log")).expect("a link");
    symlink(outside.path(), node.root.path().join(POD).join("linked")).expect("a link");
    let pod = node.root.path().join("default_evil_uid-2");
    fs::create_dir_all(outside.path().join("c")).expect("a folder");
    append(&outside.path().join("c/0.log"), line(2, 'F', "secret").as_bytes());
    symlink(outside.path(), &pod).expect("a link");
    let mut tailer = node.tailer(vec![]);
    tailer.apply(&Change::In(Place::Pod("default_evil_uid-2".into())), &mut node.asked);
    tailer.apply(&Change::In(Place::Container("default_evil_uid-2".into(), "c".into())), &mut node.asked);
    tailer.apply(&Change::In(Place::Container(POD.into(), "linked".into())), &mut node.asked);
    tailer.apply(&Change::Wrote(POD.into(), "app".into(), "0.log".into()), &mut node.asked);
    tailer.apply(&Change::In(Place::Container("..".into(), "..".into())), &mut node.asked);
    assert!(drain(&mut tailer).is_empty());
}

#[test]
fn abuse_14_a_link_that_is_swapped_in_while_files_are_read_is_not_followed() {
    let mut node = Node::new();
    let outside = tempfile::tempdir().expect("a folder");
    append(&outside.path().join("0.log"), line(1, 'F', "secret").as_bytes());
    let (real, spare) = (node.dir(), node.dir().with_file_name("spare"));
    symlink(outside.path(), &spare).expect("a link");
    let (ends, swapped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let swaps = {
        let (ends, swapped) = (ends.clone(), swapped.clone());
        let (real, spare) = (real.clone(), spare.clone());
        std::thread::spawn(move || {
            let at = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("a path");
            let (real, spare) = (at(&real), at(&spare));
            while !ends.load(Ordering::Relaxed) {
                // SAFETY: both paths end in zero.
                let done = unsafe {
                    nix::libc::syscall(
                        nix::libc::SYS_renameat2,
                        nix::libc::AT_FDCWD,
                        real.as_ptr(),
                        nix::libc::AT_FDCWD,
                        spare.as_ptr(),
                        nix::libc::RENAME_EXCHANGE,
                    )
                };
                assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
                swapped.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let mut tailer = node.tailer(vec![]);
    let (mut bodies, mut looks) = (Vec::new(), 0);
    // Until both have had their turns, on a busy machine, too.
    while looks < 3_000 || (swapped.load(Ordering::Relaxed) < 100 && !swaps.is_finished()) {
        looks += 1;
        tailer.apply(&Change::In(Place::Pod(POD.into())), &mut node.asked);
        tailer.apply(&Change::In(Place::Container(POD.into(), "app".into())), &mut node.asked);
        tailer.apply(&Change::Wrote(POD.into(), "app".into(), "0.log".into()), &mut node.asked);
        bodies.extend(drain(&mut tailer));
    }
    ends.store(true, Ordering::Relaxed);
    swaps.join().expect("it ended");
    assert!(!bodies.iter().any(|body| body.contains("secret")), "{bodies:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Rotate,
    Turn,
    Commit,
    Crash,
    DeleteRead,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..120).prop_map(Step::Write),
        2 => Just(Step::Rotate),
        4 => Just(Step::Turn),
        2 => Just(Step::Commit),
        1 => Just(Step::Crash),
        1 => Just(Step::DeleteRead),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The lines of the records `0..n`, each in one to three pieces, and the bodies.
fn script(pieces: &[u8]) -> (Vec<u8>, Vec<String>) {
    let (mut bytes, mut bodies) = (Vec::new(), Vec::new());
    for (number, n_pieces) in pieces.iter().enumerate() {
        let mut body = String::new();
        for piece in 0..*n_pieces {
            let text = format!("r{number}.{piece} ");
            let tag = if piece + 1 == *n_pieces { 'F' } else { 'P' };
            bytes.extend(line(number, tag, &text).into_bytes());
            body.push_str(&text);
        }
        bodies.push(body);
    }
    (bytes, bodies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Written in any pieces, rotated, crashed and deleted at any moment after it was durable.
    #[test]
    fn every_line_is_read_once(pieces in proptest::collection::vec(1u8..4, 1..40), steps in steps()) {
        let (bytes, expected) = script(&pieces);
        let mut node = Node::new();
        let current = node.dir().join("0.log");
        let wrote = Change::Wrote(POD.into(), "app".into(), "0.log".into());
        let rotate = |number| {
            fs::rename(&current, current.with_file_name(format!("0.log.{number:06}"))).expect("renamed");
        };
        prop_assert_eq!(read(&mut node, &current, &wrote, rotate, &bytes, steps), expected);
    }
}

/// What is found of the bytes, written to a file that is set aside by `rotate`.
fn read(
    node: &mut Node,
    current: &Path,
    wrote: &Change,
    rotate: impl Fn(u32),
    bytes: &[u8],
    steps: Vec<Step>,
) -> Vec<String> {
    let mut tailer = node.tailer(vec![]);
    let (mut at, mut rotations) = (0, 0);
    let (mut found, mut durable) = (Vec::new(), 0);
    let mut checkpoints = Vec::new();
    for step in steps {
        match step {
            Step::Write(length) => {
                let end = (at + length).min(bytes.len());
                append(current, &bytes[at..end]);
                at = end;
                tailer.apply(wrote, &mut node.asked);
            }
            // A runtime goes to the next file between lines.
            Step::Rotate if current.exists() && (at == 0 || bytes[at - 1] == b'\n') => {
                rotations += 1;
                rotate(rotations);
                node.look(&mut tailer);
            }
            Step::Rotate => {}
            Step::Turn => {
                turn(&mut tailer, &mut found);
            }
            Step::Commit => {
                (checkpoints, durable) = (tailer.checkpoints(), found.len());
                tailer.committed(&checkpoints);
            }
            Step::Crash => {
                found.truncate(durable);
                tailer = node.tailer(checkpoints.clone());
            }
            Step::DeleteRead => {
                for file in checkpoints.iter().flat_map(|stream| &stream.files) {
                    let folder = current.parent().expect("a folder");
                    let rotated = folder.read_dir().expect("listed").filter_map(Result::ok).find(|entry| {
                        let metadata = entry.metadata().expect("there");
                        metadata.ino() == file.inode
                            && metadata.len() == file.offset
                            && entry.path() != current
                            && entry.path().extension().is_none_or(|ending| ending != "gz")
                    });
                    rotated.into_iter().for_each(|entry| fs::remove_file(entry.path()).expect("deleted"));
                }
                node.look(&mut tailer);
            }
        }
    }
    append(current, &bytes[at..]);
    node.look(&mut tailer);
    while turn(&mut tailer, &mut found) {}
    found
}

#[test]
fn logs_of_the_nodes_own_parts_are_read_through_rotation_and_restart() {
    let mut node = Node::new();
    let folder = tempfile::tempdir().expect("a folder");
    let (path, rotated) = (folder.path().join("cd.log"), folder.path().join("cd.log.1"));
    let system = vec![SystemLog { name: "containerd".into(), path: path.clone() }];
    append(&folder.path().join("other.log"), b"not ours\n");
    append(&path, b"time=\"2026-01-31T12:00:00Z\" level=info msg=one\ncontinued\n");
    let start = |node: &mut Node, checkpoints| {
        let mut tailer = Tailer::new(node.root.path(), "n1", checkpoints).expect("a tailer");
        tailer = tailer.with_system(system.clone());
        tailer.apply(&Change::Everything, &mut node.asked);
        tailer
    };
    let mut tailer = start(&mut node, Vec::new());
    assert!(node.asked.0.contains(&Place::Folder(folder.path().to_owned())));
    let Turn::Batch(batch) = tailer.turn() else { panic!("a batch") };
    assert_eq!((batch.info.namespace.as_str(), batch.info.pod.as_str()), ("kube-system", "containerd-n1"));
    assert_eq!(batch.info.container, "containerd");
    let noon = crate::time::parse("2026-01-31T12:00:00Z").expect("a time");
    assert_eq!(batch.records.iter().map(|record| record.time).collect::<Vec<_>>(), [noon, noon]);
    append(&path, b"time=\"2026-01-31T12:00:01Z\" level=info msg=two\n");
    let wrote = Change::WroteIn(folder.path().to_owned(), "cd.log".into());
    tailer.apply(&wrote, &mut node.asked);
    assert_eq!(drain(&mut tailer), ["time=\"2026-01-31T12:00:01Z\" level=info msg=two"]);

    // Rotated, and written on, while the collector is away.
    let checkpoints = tailer.checkpoints();
    append(&path, b"three\n");
    fs::rename(&path, &rotated).expect("renamed");
    append(&path, b"four\n");
    let mut tailer = start(&mut node, checkpoints);
    assert_eq!(drain(&mut tailer), ["three", "four"]);
    append(&path, b"five\n");
    tailer.apply(&Change::In(Place::Folder(folder.path().to_owned())), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["five"]);
}

#[test]
fn an_audit_log_is_read_through_its_rotation_also_while_the_collector_is_away() {
    let mut node = Node::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let aside = |second: u8| folder.path().join(format!("audit-2026-01-31T12-00-0{second}.000.log"));
    let system = vec![SystemLog { name: "audit".into(), path: path.clone() }];
    let start = |node: &mut Node, checkpoints| {
        let mut tailer = Tailer::new(node.root.path(), "n1", checkpoints).expect("a tailer");
        tailer = tailer.with_system(system.clone());
        tailer.apply(&Change::Everything, &mut node.asked);
        tailer
    };
    append(&path, b"one\n");
    let mut tailer = start(&mut node, Vec::new());
    assert_eq!(drain(&mut tailer), ["one"]);
    // What was written before the file was set aside, and what comes into the next one.
    append(&path, b"two\n");
    fs::rename(&path, aside(1)).expect("renamed");
    append(&path, b"three\n");
    tailer.apply(&Change::In(Place::Folder(folder.path().to_owned())), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["two", "three"]);
    append(&path, b"four\n");
    tailer.apply(&Change::WroteIn(folder.path().to_owned(), "audit.log".into()), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["four"]);

    let checkpoints = tailer.checkpoints();
    drop(tailer);
    append(&path, b"five\n");
    fs::rename(&path, aside(2)).expect("renamed");
    append(&path, b"six\n");
    assert_eq!(drain(&mut start(&mut node, checkpoints)), ["five", "six"]);
}

#[test]
fn lines_without_any_time_have_the_time_of_reading() {
    let mut node = Node::new();
    let folder = tempfile::tempdir().expect("a folder");
    let system = SystemLog { name: "x".into(), path: folder.path().join("x.log") };
    append(&system.path, b"a\n");
    let mut tailer =
        Tailer::new(node.root.path(), "n1", Vec::new()).expect("a tailer").with_system(vec![system]);
    let before = crate::time::now();
    tailer.apply(&Change::Everything, &mut node.asked);
    let Turn::Batch(batch) = tailer.turn() else { panic!("a batch") };
    assert!((before..=crate::time::now()).contains(&batch.records[0].time));
}

#[test]
fn a_line_goes_on_though_its_first_file_is_gone_before_the_next_is_there() {
    let mut node = Node::new();
    let (path, rotated) = (node.dir().join("0.log"), node.dir().join("0.log.20260131-120000"));
    append(&path, line(1, 'P', "begun ").as_bytes());
    let mut tailer = node.tailer(Vec::new());
    assert_eq!(drain(&mut tailer), Vec::<String>::new());
    fs::rename(&path, &rotated).expect("renamed");
    fs::remove_file(&rotated).expect("removed");
    let mut tailer = node.tailer(tailer.checkpoints());
    assert_eq!(drain(&mut tailer), Vec::<String>::new());
    // Kept over another restart, too.
    let mut tailer = node.tailer(tailer.checkpoints());
    append(&path, line(2, 'F', "and ended").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["begun and ended"]);

    append(&path, line(3, 'P', "never ended").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), Vec::<String>::new());
    fs::remove_file(&path).expect("removed");
    let mut tailer = node.tailer(tailer.checkpoints());
    assert_eq!(drain(&mut tailer), Vec::<String>::new());
    fs::remove_dir_all(node.root.path().join(POD)).expect("removed");
    tailer.apply(&Change::In(Place::Pod(POD.into())), &mut node.asked);
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!(drain(&mut tailer), ["never ended"]);
}

#[test]
fn deleted_files_of_pods_that_wait_are_held_up_to_a_bound() {
    const MOST: u64 = super::held::MAX_DELETED;
    let mut node = Node::new();
    let large = File::create(node.dir().join("0.log.20260131-110000")).expect("a file");
    // Nothing of it is on disk.
    large.set_len(MOST + 10).expect("grown");
    append(&node.dir().join("0.log.20260131-120000"), line(1, 'F', "kept").as_bytes());
    append(&node.dir().join("0.log"), line(2, 'F', "last").as_bytes());
    let mut tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer").holding_unknown();
    tailer.apply(&Change::Everything, &mut node.asked);
    assert!(drain(&mut tailer).is_empty());
    let asked = tailer.take_asked();
    assert_eq!(asked.iter().map(|(directory, _)| directory.as_str()).collect::<Vec<_>>(), [POD]);
    fs::remove_file(node.dir().join("0.log.20260131-120000")).expect("deleted");
    node.look(&mut tailer);
    assert_eq!((tailer.take_lost(), tailer.waiting().0), (0, 1));
    fs::remove_file(node.dir().join("0.log.20260131-110000")).expect("deleted");
    node.look(&mut tailer);
    assert_eq!(tailer.take_lost(), MOST + 10, "the oldest goes");
    assert!(drain(&mut tailer).is_empty());
    tailer.release(POD);
    assert_eq!(drain(&mut tailer), ["kept", "last"]);
    assert_eq!(tailer.waiting(), (0, 0));
}
