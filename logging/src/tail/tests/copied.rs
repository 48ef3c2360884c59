//! Rotation by a copy, behind which the log is emptied (logrotate's `copytruncate`): each line is
//! read once, whoever looks when.

use super::{docker::link, *};

/// The log of an app, set aside by logrotate.
struct App {
    _folder: TempDir,
    path: PathBuf,
}

impl App {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("app.log");
        Self { _folder: folder, path }
    }

    fn write(&self, number: usize) {
        append(&self.path, format!("{}\n", said(number)).as_bytes());
    }

    fn start(&self, node: &mut Node, checkpoints: Vec<StreamCheckpoint>) -> Tailer {
        let system = SystemLog { name: "app".into(), path: self.path.clone() };
        let tailer = Tailer::new(node.root.path(), "n1", checkpoints).expect("a tailer");
        let mut tailer = tailer.with_system(vec![system]);
        node.asked = Asked::default();
        tailer.apply(&Change::Everything, &mut node.asked);
        tailer
    }

    /// Of names.
    fn look(&self, node: &mut Node, tailer: &mut Tailer) {
        let folder = self.path.parent().expect("a folder").to_owned();
        tailer.apply(&Change::In(Place::Folder(folder)), &mut node.asked);
    }

    /// An event of the log itself.
    fn wrote(&self, node: &mut Node, tailer: &mut Tailer) {
        let folder = self.path.parent().expect("a folder").to_owned();
        tailer.apply(&Change::WroteIn(folder, "app.log".into()), &mut node.asked);
    }
}

/// A line as it is found.
fn said(number: usize) -> String {
    format!("2026-01-31T12:00:00.{number:09}Z line {number}")
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(said).collect()
}

fn aside(path: &Path, number: u32) -> PathBuf {
    path.with_file_name(format!("{}.{number}", path.file_name().expect("a name").display()))
}

/// How many there are.
fn n_aside(path: &Path) -> u32 {
    (1..).take_while(|number| aside(path, *number).exists()).last().unwrap_or_default()
}

fn copy(path: &Path) {
    for number in (1..=n_aside(path)).rev() {
        fs::rename(aside(path, number), aside(path, number + 1)).expect("renamed");
    }
    fs::copy(path, aside(path, 1)).expect("copied");
}

fn empty(path: &Path) {
    OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0)).expect("emptied");
}

fn rotate(path: &Path) {
    copy(path);
    empty(path);
}

#[test]
fn what_was_read_before_the_copy_is_not_read_again_and_the_rest_is() {
    // Whether the copy is seen before the log is emptied.
    for is_seen in [false, true] {
        let (mut node, app) = (Node::new(), App::new());
        app.write(1);
        let mut tailer = app.start(&mut node, vec![]);
        assert_eq!(drain(&mut tailer), lines([1]));
        app.write(2);
        copy(&app.path);
        if is_seen {
            app.look(&mut node, &mut tailer);
        }
        empty(&app.path);
        app.write(3);
        app.look(&mut node, &mut tailer);
        assert_eq!(drain(&mut tailer), lines([2, 3]), "{is_seen}");
        // The first copy has another name then.
        rotate(&app.path);
        app.write(4);
        app.look(&mut node, &mut tailer);
        assert_eq!(drain(&mut tailer), lines([4]), "{is_seen}");
        tailer.committed(&tailer.checkpoints());
        assert!(drain(&mut app.start(&mut node, saved(tailer))).is_empty(), "{is_seen}");
    }
}

#[test]
fn a_log_that_is_emptied_is_read_on_in_its_copy_in_order_also_before_the_copy_is_seen() {
    for is_seen in [false, true] {
        let (mut node, app) = (Node::new(), App::new());
        app.write(1);
        let mut tailer = app.start(&mut node, vec![]);
        assert_eq!(drain(&mut tailer), lines([1]));
        app.write(2);
        copy(&app.path);
        if is_seen {
            app.look(&mut node, &mut tailer);
        }
        empty(&app.path);
        app.write(3);
        app.wrote(&mut node, &mut tailer);
        let mut found = drain(&mut tailer);
        assert_eq!(found, if is_seen { lines([2, 3]) } else { lines([3]) });
        // Where the former text was read to is kept over a start.
        let mut tailer = app.start(&mut node, saved(tailer));
        found.extend(drain(&mut tailer));
        found.sort();
        assert_eq!(found, lines([2, 3]), "{is_seen}");
        assert!(drain(&mut app.start(&mut node, saved(tailer))).is_empty(), "{is_seen}");
    }
}

#[test]
fn two_rotations_while_nobody_looks_lose_and_double_nothing() {
    let (mut node, app) = (Node::new(), App::new());
    app.write(1);
    let mut tailer = app.start(&mut node, vec![]);
    assert_eq!(drain(&mut tailer), lines([1]));
    let checkpoints = saved(tailer);
    app.write(2);
    rotate(&app.path);
    app.write(3);
    rotate(&app.path);
    app.write(4);
    let mut tailer = app.start(&mut node, checkpoints);
    assert_eq!(drain(&mut tailer), lines(2..5));
    assert!(drain(&mut app.start(&mut node, saved(tailer))).is_empty());
}

#[test]
fn a_copy_of_a_log_that_goes_on_is_not_read() {
    let (mut node, app) = (Node::new(), App::new());
    app.write(1);
    let mut tailer = app.start(&mut node, vec![]);
    assert_eq!(drain(&mut tailer), lines([1]));
    app.write(2);
    // As it is while it is being written.
    fs::write(aside(&app.path, 1), b"").expect("written");
    app.look(&mut node, &mut tailer);
    fs::copy(&app.path, aside(&app.path, 1)).expect("copied");
    let folder = app.path.parent().expect("a folder").to_owned();
    tailer.apply(&Change::WroteIn(folder, "app.log.1".into()), &mut node.asked);
    assert_eq!(drain(&mut tailer), lines([2]));
    app.write(3);
    app.wrote(&mut node, &mut tailer);
    assert_eq!(drain(&mut tailer), lines([3]));
    // After a start neither, and what was read beyond its end isn't taken for missing.
    let mut tailer = app.start(&mut node, saved(tailer));
    assert!(drain(&mut tailer).is_empty());
    let checkpoints = saved(tailer);
    empty(&app.path);
    app.write(4);
    let mut tailer = app.start(&mut node, checkpoints);
    assert_eq!(drain(&mut tailer), lines([4]));
    // Another file with such a name has a text of its own, though it was empty at first.
    copy(&app.path);
    fs::write(aside(&app.path, 1), b"").expect("written");
    app.look(&mut node, &mut tailer);
    assert!(drain(&mut tailer).is_empty());
    append(&aside(&app.path, 1), format!("{}\n", said(5)).as_bytes());
    let folder = app.path.parent().expect("a folder").to_owned();
    tailer.apply(&Change::WroteIn(folder, "app.log.1".into()), &mut node.asked);
    assert_eq!(drain(&mut tailer), lines([5]));
}

#[test]
fn a_copy_that_is_deleted_is_read_to_its_end_if_it_is_the_only_one() {
    let (mut node, app) = (Node::new(), App::new());
    app.write(1);
    let mut tailer = app.start(&mut node, vec![]);
    assert_eq!(drain(&mut tailer), lines([1]));
    app.write(2);
    for is_emptied in [false, true] {
        copy(&app.path);
        app.look(&mut node, &mut tailer);
        if is_emptied {
            empty(&app.path);
        }
        fs::remove_file(aside(&app.path, 1)).expect("removed");
        if is_emptied {
            app.write(3);
        }
        app.look(&mut node, &mut tailer);
    }
    assert_eq!(drain(&mut tailer), lines([2, 3]));
}

#[test]
fn a_log_of_which_nothing_was_read_is_read_in_its_copy() {
    let (mut node, app) = (Node::new(), App::new());
    app.write(1);
    let mut tailer = app.start(&mut node, vec![]);
    // No turn comes before it is emptied.
    copy(&app.path);
    app.look(&mut node, &mut tailer);
    empty(&app.path);
    app.write(2);
    app.wrote(&mut node, &mut tailer);
    assert_eq!(drain(&mut tailer), lines([1, 2]));
    assert!(drain(&mut app.start(&mut node, saved(tailer))).is_empty());
}

/// An app that writes the same at each start, more than what a file is known by.
#[test]
fn logs_that_begin_alike_are_told_apart() {
    let banner = "x".repeat(400);
    for is_copied in [true, false] {
        let (mut node, app) = (Node::new(), App::new());
        let start = |numbers: &[usize]| {
            append(&app.path, format!("{banner}\n").as_bytes());
            numbers.iter().for_each(|number| app.write(*number));
        };
        let set_aside = || {
            if is_copied {
                return rotate(&app.path);
            }
            for number in (1..=n_aside(&app.path)).rev() {
                fs::rename(aside(&app.path, number), aside(&app.path, number + 1)).expect("renamed");
            }
            fs::rename(&app.path, aside(&app.path, 1)).expect("renamed");
        };
        start(&[1]);
        let mut tailer = app.start(&mut node, vec![]);
        assert_eq!(drain(&mut tailer), [vec![banner.clone()], lines([1])].concat());
        let checkpoints = saved(tailer);
        app.write(2);
        set_aside();
        // Longer than the first was: neither size nor begin shows that it is another.
        start(&[3, 4, 5]);
        set_aside();
        start(&[6, 7, 8]);
        let mut tailer = app.start(&mut node, checkpoints);
        let expected =
            [lines([2]), vec![banner.clone()], lines(3..6), vec![banner.clone()], lines(6..9)].concat();
        assert_eq!(drain(&mut tailer), expected, "{is_copied}");
        assert!(drain(&mut app.start(&mut node, saved(tailer))).is_empty(), "{is_copied}");
    }
}

#[test]
fn a_log_behind_a_link_is_read_on_in_its_copy() {
    let mut node = Node::new();
    let path = link(&node, "4f2a", "app", 0);
    let write = |number: usize, text: &str| {
        let time = format!("2026-01-31T12:00:00.{number:09}Z");
        let line = serde_json::json!({ "log": format!("{text}\n"), "stream": "stdout", "time": time });
        append(&path, format!("{line}\n").as_bytes());
    };
    write(1, "one");
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    write(2, "two");
    rotate(&path);
    write(3, "three");
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["two", "three"]);
    let checkpoints = saved(tailer);
    write(4, "four");
    rotate(&path);
    write(5, "five");
    let mut tailer = node.tailer(checkpoints);
    assert_eq!(drain(&mut tailer), ["four", "five"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[derive(Debug, Clone)]
enum Event {
    /// So many bytes.
    Write(usize),
    /// So many lines, or the rest of one.
    Lines(usize),
    Copy,
    Empty,
    /// The oldest copy goes, if its records are durable.
    Expire,
    Look,
    Turn,
    Commit,
    Stop,
    Crash,
    Start,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (1usize..100).prop_map(Event::Write),
        8 => (1usize..5).prop_map(Event::Lines),
        4 => Just(Event::Copy),
        6 => Just(Event::Empty),
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

/// An app that writes, its logrotate, and a collector that is there or not.
struct World<'a> {
    node: Node,
    app: App,
    bytes: &'a [u8],
    written: usize,
    /// It is copied and not emptied. What an app writes then, no copy has: that is logrotate's.
    is_copied: bool,
    tailer: Option<Tailer>,
    checkpoints: Vec<StreamCheckpoint>,
    found: Vec<String>,
    durable: usize,
}

impl World<'_> {
    fn happens(&mut self, event: &Event) {
        let path = self.app.path.clone();
        match event {
            Event::Write(length) => self.write(*length),
            Event::Lines(number) => {
                let rest = &self.bytes[self.written..];
                let ends = (1..=rest.len()).filter(|end| rest[..*end].ends_with(b"\n"));
                self.write(ends.take(*number).last().unwrap_or_default());
            }
            Event::Copy if !self.is_copied && self.bytes[..self.written].ends_with(b"\n") => {
                copy(&path);
                self.is_copied = true;
            }
            Event::Empty if self.is_copied => {
                empty(&path);
                self.is_copied = false;
                self.wrote();
            }
            Event::Expire => self.expire(),
            Event::Copy | Event::Empty => {}
            Event::Look => {
                if let Some(tailer) = &mut self.tailer {
                    self.app.look(&mut self.node, tailer);
                }
            }
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
            Event::Start => {
                if self.tailer.is_none() {
                    self.found.truncate(self.durable);
                    self.tailer = Some(self.app.start(&mut self.node, self.checkpoints.clone()));
                }
            }
        }
    }

    fn write(&mut self, length: usize) {
        if !self.is_copied {
            let end = self.bytes.len().min(self.written + length);
            append(&self.app.path, &self.bytes[self.written..end]);
            self.written = end;
            self.wrote();
        }
    }

    fn wrote(&mut self) {
        if let Some(tailer) = &mut self.tailer {
            self.app.wrote(&mut self.node, tailer);
        }
    }

    fn commit(&mut self) {
        if let Some(tailer) = &mut self.tailer {
            (self.checkpoints, self.durable) = (tailer.checkpoints(), self.found.len());
            tailer.committed(&self.checkpoints);
        }
    }

    fn expire(&mut self) {
        let oldest = aside(&self.app.path, n_aside(&self.app.path));
        let Ok(text) = fs::read_to_string(&oldest) else { return };
        let durable: HashSet<&str> = self.found[..self.durable].iter().map(String::as_str).collect();
        if text.lines().all(|line| durable.contains(line)) {
            fs::remove_file(oldest).expect("removed");
        }
    }

    /// All that was found when everything was written.
    fn ends(mut self) -> Vec<String> {
        let rest = Event::Write(self.bytes.len());
        for event in [Event::Start, Event::Empty, rest, Event::Look] {
            self.happens(&event);
        }
        if let Some(tailer) = &mut self.tailer {
            while turn(tailer, &mut self.found) {}
        }
        self.found
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Written in any pieces, copied and emptied at any moment, with the collector there or not.
    #[test]
    fn every_line_is_read_once_from_the_log_or_its_copy(n_lines in 2usize..60, events in events()) {
        let text: String = (1..n_lines).map(|number| said(number) + "\n").collect();
        let (mut node, app) = (Node::new(), App::new());
        app.write(0);
        let mut tailer = app.start(&mut node, vec![]);
        let found = drain(&mut tailer);
        let (checkpoints, durable) = (tailer.checkpoints(), found.len());
        let (bytes, written, is_copied, tailer) = (text.as_bytes(), 0, false, Some(tailer));
        let mut world =
            World { node, app, bytes, written, is_copied, tailer, checkpoints, found, durable };
        events.iter().for_each(|event| world.happens(event));
        let mut found = world.ends();
        // A copy that is seen late is read late.
        found.sort();
        prop_assert_eq!(found, lines(0..n_lines));
    }
}
