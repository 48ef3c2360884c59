//! Files that another vendor's kubelet compresses: each line is read once, however much of the
//! file was read before, and whoever was looking.

use flate2::{Compression, write::GzEncoder};

use super::{
    super::{file::CHUNK, name, packed::Begin, tailer::MAX_UNPACKING},
    descriptors::{as_nobody, set_mode},
    *,
};
use crate::parse;

/// Rotates and compresses as upstream's kubelet does.
struct Kubelet {
    current: PathBuf,
    rotations: u32,
}

impl Kubelet {
    fn new(node: &Node) -> Self {
        Self { current: node.dir().join("0.log"), rotations: 0 }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.current.with_file_name(format!("0.log.{number:06}"))
    }

    /// Rotated files that are there, the oldest first.
    fn uncompressed(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (1..=self.rotations).map(move |number| self.rotated(number)).filter(|path| path.exists())
    }

    /// What was rotated before is compressed first.
    fn rotate(&mut self) {
        self.uncompressed().for_each(|path| compress(&path));
        self.rotations += 1;
        fs::rename(&self.current, self.rotated(self.rotations)).expect("renamed");
    }

    fn write(&self, number: usize, text: &str) {
        append(&self.current, line(number, 'F', text).as_bytes());
    }
}

/// A name with an ending.
fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a compressed file beside its original.
fn pack(path: &Path) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&fs::read(path).expect("read")).expect("packed");
    let unfinished = with(path, ".tmp");
    fs::write(&unfinished, encoder.finish().expect("packed")).expect("written");
    fs::rename(unfinished, with(path, ".gz")).expect("renamed");
}

fn compress(path: &Path) {
    if !with(path, ".gz").exists() {
        pack(path);
    }
    fs::remove_file(path).expect("removed");
}

/// A node whose first line was read.
fn began() -> (Node, Kubelet, Tailer) {
    let mut node = Node::new();
    let kubelet = Kubelet::new(&node);
    kubelet.write(1, "one");
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    (node, kubelet, tailer)
}

#[test]
fn a_file_that_was_compressed_while_nobody_looked_is_read_on_where_reading_stood() {
    for is_inode_used_again in [false, true] {
        let (mut node, mut kubelet, tailer) = began();
        let mut checkpoints = saved(tailer);
        kubelet.write(2, "two");
        kubelet.rotate();
        kubelet.write(3, "three");
        kubelet.rotate();
        kubelet.write(4, "four");
        assert!(with(&kubelet.rotated(1), ".gz").exists() && kubelet.rotated(2).exists());
        if is_inode_used_again {
            checkpoints[0].files[0].inode = fs::metadata(&kubelet.current).expect("there").ino();
        }
        let mut tailer = node.tailer(checkpoints);
        assert_eq!(drain(&mut tailer), ["two", "three", "four"], "{is_inode_used_again}");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
    }
}

#[test]
fn what_was_read_before_it_was_compressed_is_not_read_again() {
    for n_commits in [0, 1, 4] {
        let (mut node, mut kubelet, mut tailer) = began();
        kubelet.rotate();
        kubelet.write(2, "two");
        node.look(&mut tailer);
        assert_eq!(drain(&mut tailer), ["two"]);
        for _ in 0..n_commits {
            // Closes the rotated file.
            tailer.committed(&tailer.checkpoints());
        }
        kubelet.rotate();
        kubelet.write(3, "three");
        node.look(&mut tailer);
        assert_eq!(drain(&mut tailer), ["three"], "{n_commits}");
        kubelet.rotate();
        kubelet.write(4, "four");
        node.look(&mut tailer);
        assert_eq!(drain(&mut tailer), ["four"], "{n_commits}");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty(), "{n_commits}");
    }
}

#[test]
fn what_is_held_open_unread_is_read_once_though_it_is_compressed() {
    let mut node = Node::new();
    let mut kubelet = Kubelet::new(&node);
    kubelet.write(1, "one");
    let mut tailer = node.tailer(vec![]);
    for (number, text) in [(2, "two"), (3, "three")] {
        kubelet.rotate();
        kubelet.write(number, text);
    }
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["one", "two", "three"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn files_of_before_the_first_start_are_read_in_their_order_and_unfinished_ones_never() {
    let mut node = Node::new();
    let mut kubelet = Kubelet::new(&node);
    for number in 1..=4 {
        kubelet.write(number, &format!("line {number}"));
        kubelet.rotate();
    }
    kubelet.write(5, "last");
    // A kubelet that died in the midst left both files, and another unfinished.
    let newest = kubelet.rotated(4);
    pack(&newest);
    fs::copy(with(&newest, ".gz"), with(&kubelet.rotated(5), ".tmp")).expect("copied");
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["line 1", "line 2", "line 3", "line 4", "last"]);
    fs::remove_file(newest).expect("removed");
    node.look(&mut tailer);
    assert!(drain(&mut tailer).is_empty());
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

/// Compresses a file when it is asked to watch something.
struct Meddler(PathBuf);

impl Watch for Meddler {
    fn watch(&mut self, _: &Place) -> bool {
        if self.0.exists() {
            compress(&self.0);
        }
        true
    }
}

#[test]
fn a_file_that_is_compressed_between_listing_and_opening_is_read_before_the_next() {
    let (node, mut kubelet, tailer) = began();
    let checkpoints = saved(tailer);
    kubelet.write(2, "two");
    kubelet.rotate();
    kubelet.write(3, "three");
    // A link's target is watched when the directory was listed and nothing of it was opened.
    docker::link(&node, "4f2a", "app", 1);
    let tailer = Tailer::new(node.root.path(), "n1", checkpoints).expect("a tailer");
    let mut tailer = tailer.with_container_logs(Some(node.docker.path().to_owned()));
    let mut meddler = Meddler(kubelet.rotated(1));
    tailer.apply(&Change::In(Place::Container(POD.into(), "app".into())), &mut meddler);
    assert!(!meddler.0.exists());
    assert_eq!(drain(&mut tailer), ["two", "three"]);
}

#[test]
fn a_damaged_file_is_read_as_far_as_it_goes_and_counted_and_the_next_is_read() {
    let expected: Vec<String> = (0..2000).map(|number| format!("record {number}")).collect();
    for is_cut in [true, false] {
        let mut node = Node::new();
        let mut kubelet = Kubelet::new(&node);
        expected.iter().enumerate().for_each(|(number, text)| kubelet.write(number, text));
        kubelet.rotate();
        kubelet.write(2000, "next");
        kubelet.rotate();
        kubelet.write(2001, "last");
        let path = with(&kubelet.rotated(1), ".gz");
        let whole = fs::read(&path).expect("read");
        let damaged: &[u8] = if is_cut { &whole[..whole.len() / 2] } else { b"no gzip, but of some length" };
        fs::write(&path, damaged).expect("written");

        let mut tailer = node.tailer(vec![]);
        let found = drain(&mut tailer);
        let n_read = found.len() - 2;
        assert_eq!(found[n_read..], ["next", "last"]);
        if is_cut {
            assert!((100..1999).contains(&n_read), "{n_read}");
            // Its last line is torn.
            assert_eq!(found[..n_read - 1], expected[..n_read - 1]);
        } else {
            assert_eq!(n_read, 0);
        }
        assert_eq!(tailer.take_damaged(), 1);
        node.look(&mut tailer);
        assert!(drain(&mut tailer).is_empty());
        assert_eq!(tailer.take_damaged(), 0, "told once");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
    }
}

#[test]
fn a_torn_line_at_the_end_of_a_compressed_file_is_a_record() {
    let mut node = Node::new();
    let mut kubelet = Kubelet::new(&node);
    kubelet.write(1, "one");
    append(&kubelet.current, b"2026-01-31T12:00:00.000000002Z stdout F torn");
    kubelet.rotate();
    kubelet.write(3, "three");
    kubelet.rotate();
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one", "torn", "three"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn a_long_line_goes_on_in_the_compressed_file() {
    let text = "0123456789abcdef".repeat(3 * CHUNK / 16);
    for turns in 0..3 {
        let mut node = Node::new();
        let mut kubelet = Kubelet::new(&node);
        kubelet.write(1, &text);
        let (mut tailer, mut bodies) = (node.tailer(vec![]), Vec::new());
        for _ in 0..turns {
            turn(&mut tailer, &mut bodies);
        }
        let checkpoints = saved(tailer);
        kubelet.rotate();
        compress(&kubelet.rotated(1));
        kubelet.write(2, "next");
        bodies.extend(drain(&mut node.tailer(checkpoints)));
        assert_eq!(bodies.pop().as_deref(), Some("next"));
        let parts: Vec<&[u8]> =
            bodies.iter().map(|body| parse::part(body.as_bytes()).unwrap_or(body.as_bytes())).collect();
        assert!(parts.concat() == text.as_bytes(), "after {turns} turns");
    }
}

#[test]
fn reading_goes_on_far_behind_the_begin_of_a_compressed_file() {
    let mut node = Node::new();
    let mut kubelet = Kubelet::new(&node);
    let text = "x".repeat(100_000);
    (0..60).for_each(|number| kubelet.write(number, &text));
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer).len(), 60);
    let checkpoints = saved(tailer);
    kubelet.write(60, "after six megabytes");
    kubelet.rotate();
    compress(&kubelet.rotated(1));
    assert_eq!(drain(&mut node.tailer(checkpoints)), ["after six megabytes"]);
}

#[test]
fn a_compressed_file_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let mut node = Node::new();
    let mut kubelet = Kubelet::new(&node);
    let text = "x".repeat(10_000);
    (0..90).for_each(|number| kubelet.write(number, &text));
    kubelet.rotate();
    compress(&kubelet.rotated(1));
    let (mut tailer, mut bodies) = (node.tailer(vec![]), Vec::new());
    assert!(turn(&mut tailer, &mut bodies) && bodies.len() < 30);
    assert_eq!(tailer.n_unpacking(), 1);
    fs::remove_file(with(&kubelet.rotated(1), ".gz")).expect("removed");
    node.look(&mut tailer);
    assert!(tailer.take_vanished());
    bodies.extend(drain(&mut tailer));
    assert_eq!((bodies.len(), tailer.n_unpacking(), tailer.take_damaged()), (90, 0, 0));
}

#[test]
fn few_files_are_unpacked_at_the_same_time_and_all_in_the_end() {
    const MANY: usize = 2 * MAX_UNPACKING + 3;
    let mut node = Node::new();
    let text: String = (0..30).map(|number| line(number, 'F', &"x".repeat(10_000))).collect();
    for number in 0..MANY {
        let folder = node.dir().with_file_name(format!("c{number}"));
        fs::create_dir(&folder).expect("a folder");
        let rotated = folder.join("0.log.000001");
        append(&rotated, text.as_bytes());
        compress(&rotated);
        append(&folder.join("0.log"), line(30, 'F', "last").as_bytes());
    }
    let (mut tailer, mut bodies, mut most) = (node.tailer(vec![]), Vec::new(), 0);
    while turn(&mut tailer, &mut bodies) {
        most = most.max(tailer.n_unpacking());
    }
    assert_eq!((most, tailer.n_unpacking()), (MAX_UNPACKING, 0));
    assert_eq!(bodies.len(), MANY * 31);
}

#[test]
fn a_compressed_file_that_can_not_be_opened_for_long_is_neither_read_again_nor_lost() {
    let (mut node, mut kubelet, mut tailer) = began();
    set_mode(node.root.path(), 0o755);
    kubelet.rotate();
    kubelet.write(2, "two");
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["two"]);
    // Closes what is rotated.
    tailer.committed(&tailer.checkpoints());
    kubelet.rotate();
    kubelet.write(3, "three");
    let packed = with(&kubelet.rotated(1), ".gz");
    set_mode(&packed, 0);
    assert!(as_nobody(|| File::open(&packed)).is_err(), "it is open to this user");
    // It would be forgotten after three.
    for _ in 0..5 {
        as_nobody(|| node.look(&mut tailer));
        tailer.committed(&tailer.checkpoints());
    }
    assert_eq!(as_nobody(|| drain(&mut tailer)), ["three"]);
    assert!(tailer.has_refused());
    let live = tailer.checkpoints();

    // Nor is it after a start, of which nothing but the checkpoint is left.
    let mut tailer = Tailer::new(node.root.path(), "n1", live).expect("a tailer");
    node.asked = Asked::default();
    as_nobody(|| tailer.apply(&Change::Everything, &mut node.asked));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty());
    tailer.committed(&tailer.checkpoints());
    let started = saved(tailer);
    kubelet.write(4, "four");
    set_mode(&packed, 0o644);
    assert_eq!(drain(&mut node.tailer(started)), ["four"]);
}

#[test]
fn a_compressed_file_that_can_not_be_opened_is_read_when_it_can() {
    let mut node = Node::new();
    set_mode(node.root.path(), 0o755);
    let mut kubelet = Kubelet::new(&node);
    kubelet.write(1, "one");
    kubelet.rotate();
    compress(&kubelet.rotated(1));
    let packed = with(&kubelet.rotated(1), ".gz");
    set_mode(&packed, 0);
    let mut tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer");
    as_nobody(|| tailer.apply(&Change::Everything, &mut node.asked));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty() && tailer.has_refused());
    set_mode(&packed, 0o644);
    tailer.try_again(&mut node.asked);
    assert_eq!(drain(&mut tailer), ["one"]);
    assert!(!tailer.has_refused());
}

#[test]
fn what_an_earlier_version_had_read_or_left_is_not_read_after_an_update() {
    let (mut node, mut kubelet, mut tailer) = began();
    for (number, text) in [(2, "two"), (3, "three")] {
        kubelet.rotate();
        kubelet.write(number, text);
        node.look(&mut tailer);
        assert_eq!(drain(&mut tailer), [text]);
    }
    // It knew nothing of compressed files, and nothing of this one.
    let mut old = serde_json::to_value(tailer.checkpoints()).expect("JSON");
    drop(tailer);
    let stream = old[0].as_object_mut().expect("a stream");
    assert_eq!(stream.remove("has_compressed"), Some(true.into()));
    let files = stream["files"].as_array_mut().expect("files");
    files.retain(|file| file["name"].as_str().is_some_and(|name| name::original(name).is_none()));
    assert_eq!(files.len(), 2);
    kubelet.write(4, "four");
    for (number, text) in [(5, "five"), (6, "six"), (7, "seven")] {
        kubelet.rotate();
        kubelet.write(number, text);
    }
    let mut tailer = node.tailer(serde_json::from_value(old).expect("checkpoints"));
    assert_eq!(drain(&mut tailer), ["four", "five", "six", "seven"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[derive(Debug, Clone)]
enum Event {
    Write(usize),
    Rotate,
    /// The kubelet dies before it removes the original.
    Pack,
    /// It dies before the compressed file is whole.
    Litter,
    /// It removes a compressed file whose records are durable.
    Expire,
    Look,
    Turn,
    Commit,
    /// The collector ends in order.
    Stop,
    Crash,
    Start,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (1usize..200).prop_map(Event::Write),
        4 => Just(Event::Rotate),
        1 => Just(Event::Pack),
        1 => Just(Event::Litter),
        1 => Just(Event::Expire),
        4 => Just(Event::Look),
        6 => Just(Event::Turn),
        2 => Just(Event::Commit),
        1 => Just(Event::Stop),
        1 => Just(Event::Crash),
        3 => Just(Event::Start),
    ];
    proptest::collection::vec(event, 1..90)
}

/// A container that writes, its kubelet, and a collector that is there or not.
struct World<'a> {
    node: Node,
    kubelet: Kubelet,
    bytes: &'a [u8],
    written: usize,
    tailer: Option<Tailer>,
    checkpoints: Vec<StreamCheckpoint>,
    found: Vec<String>,
    durable: usize,
}

impl World<'_> {
    fn happens(&mut self, event: &Event) {
        match event {
            Event::Write(length) => self.write(*length),
            // A runtime goes to the next file between lines.
            Event::Rotate if self.kubelet.current.exists() && self.bytes[..self.written].ends_with(b"\n") => {
                self.kubelet.rotate();
            }
            Event::Rotate => {}
            Event::Pack => {
                let oldest = self.kubelet.uncompressed().next();
                if let Some(path) = oldest.filter(|path| !with(path, ".gz").exists()) {
                    pack(&path);
                }
            }
            Event::Litter => {
                let unfinished = with(&self.kubelet.rotated(self.kubelet.rotations), ".tmp");
                fs::write(unfinished, b"\x1f\x8b\x08").expect("written");
            }
            Event::Expire => self.expire(),
            Event::Look => self.look(),
            Event::Turn => {
                if let Some(tailer) = &mut self.tailer {
                    turn(tailer, &mut self.found);
                }
            }
            Event::Commit => self.commit(),
            Event::Stop => {
                self.commit();
                self.tailer = None;
            }
            Event::Crash => self.tailer = None,
            Event::Start => self.start(),
        }
    }

    fn write(&mut self, length: usize) {
        let end = self.bytes.len().min(self.written + length);
        append(&self.kubelet.current, &self.bytes[self.written..end]);
        self.written = end;
        if let Some(tailer) = &mut self.tailer {
            let wrote = Change::Wrote(POD.into(), "app".into(), "0.log".into());
            tailer.apply(&wrote, &mut self.node.asked);
        }
    }

    fn look(&mut self) {
        if let Some(tailer) = &mut self.tailer {
            self.node.look(tailer);
        }
    }

    fn commit(&mut self) {
        if let Some(tailer) = &mut self.tailer {
            (self.checkpoints, self.durable) = (tailer.checkpoints(), self.found.len());
            tailer.committed(&self.checkpoints);
        }
    }

    fn start(&mut self) {
        if self.tailer.is_none() {
            self.found.truncate(self.durable);
            self.tailer = Some(self.node.tailer(self.checkpoints.clone()));
        }
    }

    fn expire(&mut self) {
        for file in self.checkpoints.iter().flat_map(|stream| &stream.files) {
            let path = self.kubelet.current.with_file_name(&file.name);
            if name::original(&file.name).is_none() || !path.exists() {
                continue;
            }
            let begin = Begin::of(&File::open(&path).expect("open")).expect("read");
            if begin.length() == file.offset {
                fs::remove_file(path).expect("removed");
            }
        }
    }

    /// All that was found when everything was written.
    fn ends(mut self) -> Vec<String> {
        self.start();
        self.write(self.bytes.len());
        self.look();
        if let Some(tailer) = &mut self.tailer {
            while turn(tailer, &mut self.found) {}
        }
        self.found
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Written in any pieces, rotated and compressed at any moment, with the collector there or not.
    #[test]
    fn every_line_is_read_once_from_whichever_file(
        pieces in proptest::collection::vec(1u8..4, 1..60),
        events in events(),
    ) {
        let (bytes, expected) = script(&pieces);
        let mut node = Node::new();
        let (kubelet, tailer) = (Kubelet::new(&node), Some(node.tailer(vec![])));
        let (checkpoints, found) = (Vec::new(), Vec::new());
        let mut world =
            World { node, kubelet, bytes: &bytes, written: 0, tailer, checkpoints, found, durable: 0 };
        events.iter().for_each(|event| world.happens(event));
        prop_assert_eq!(world.ends(), expected);
    }
}
