//! Logs of the node's parts that logrotate compresses (`compress`, at once or with `delaycompress`, by
//! numbers or by dates): each line is read once and in order, whoever was looking, as of docker's
//! ([`super::docker_compressed`]).

use flate2::{Compression, write::GzEncoder};

use super::*;

/// The log of a part, and its logrotate.
struct Part {
    _folder: TempDir,
    path: PathBuf,
}

impl Part {
    fn new(node: &mut Node) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kern.log");
        node.system = vec![SystemLog { name: "kernel".into(), path: path.clone() }];
        Self { _folder: folder, path }
    }

    fn write(&self, number: usize) {
        append(&self.path, format!("{}\n", said(number)).as_bytes());
    }

    /// A file beside it, by what its name has behind the log's.
    fn aside(&self, added: &str) -> PathBuf {
        self.path.with_file_name(format!("kern.log{added}"))
    }

    /// What the rotation before has left as it was is compressed first.
    fn rotate(&self, is_delayed: bool) {
        let (newest, packed) = (self.aside(".1"), |number: u32| self.aside(&format!(".{number}.gz")));
        if newest.exists() {
            compress(&newest);
        }
        let free = (1..).find(|number| !packed(*number).exists()).expect("a free number");
        for number in (1..free).rev() {
            fs::rename(packed(number), packed(number + 1)).expect("renamed");
        }
        fs::rename(&self.path, &newest).expect("renamed");
        File::create(&self.path).expect("made");
        if !is_delayed {
            compress(&newest);
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

/// Beside what it is made of, which then goes.
fn compress(path: &Path) {
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    fs::write(packed, gzip(&fs::read(path).expect("read"))).expect("written");
    fs::remove_file(path).expect("removed");
}

/// A line as it is found.
fn said(number: usize) -> String {
    format!("2026-01-31T12:00:00.{number:09}Z line {number}")
}

fn lines(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(said).collect()
}

/// A node whose part wrote a line that was read.
fn began() -> (Node, Part, Tailer) {
    let mut node = Node::new();
    let part = Part::new(&mut node);
    part.write(1);
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), lines([1]));
    (node, part, tailer)
}

#[test]
fn files_of_before_the_first_start_are_read_by_their_age() {
    let mut node = Node::new();
    let part = Part::new(&mut node);
    for number in 1..=11 {
        part.write(number);
        part.rotate(number.is_multiple_of(3));
    }
    part.write(12);
    part.rotate(true);
    part.write(13);
    fs::write(part.aside(".20.xz"), b"of another kind").expect("written");
    assert!(part.aside(".12.gz").exists() && part.aside(".1").exists());
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), lines(1..=13));
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn what_was_read_before_it_was_compressed_is_not_read_again() {
    for (is_delayed, n_commits) in [(false, 0), (false, 1), (false, 4), (true, 0), (true, 1), (true, 4)] {
        let (mut node, part, mut tailer) = began();
        for number in 2..6 {
            part.rotate(is_delayed);
            part.write(number);
            node.look(&mut tailer);
            assert_eq!(drain(&mut tailer), lines([number]), "{is_delayed}, {n_commits}");
            for _ in 0..n_commits {
                tailer.committed(&tailer.checkpoints());
            }
        }
        let mut tailer = node.tailer(saved(tailer));
        assert!(drain(&mut tailer).is_empty(), "{is_delayed}, {n_commits}");
        part.rotate(is_delayed);
        part.write(6);
        node.look(&mut tailer);
        assert_eq!(drain(&mut tailer), lines([6]), "{is_delayed}, {n_commits}");
    }
}

#[test]
fn what_was_compressed_while_nobody_looked_is_read_on_where_reading_stood() {
    for (is_delayed, is_inode_used_again) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut node, part, tailer) = began();
        let mut checkpoints = saved(tailer);
        part.write(2);
        part.rotate(is_delayed);
        part.write(3);
        part.rotate(is_delayed);
        part.write(4);
        if is_inode_used_again {
            checkpoints[0].files[0].inode = fs::metadata(&part.path).expect("there").ino();
        }
        let mut tailer = node.tailer(checkpoints);
        assert_eq!(drain(&mut tailer), lines(2..5), "{is_delayed}, {is_inode_used_again}");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty(), "{is_delayed}, {is_inode_used_again}");
    }
}

#[test]
fn files_that_are_named_by_a_date_are_read_too() {
    for named in ["kern.log-20260131", "kern-2026-01-31T12-00-00.000.log"] {
        for is_away in [false, true] {
            let (mut node, part, mut tailer) = began();
            let checkpoints = tailer.checkpoints();
            part.write(2);
            let rotated = part.path.with_file_name(named);
            fs::rename(&part.path, &rotated).expect("renamed");
            compress(&rotated);
            part.write(3);
            if is_away {
                tailer = node.tailer(checkpoints);
            } else {
                node.look(&mut tailer);
            }
            assert_eq!(drain(&mut tailer), lines([2, 3]), "{named}, {is_away}");
            assert!(drain(&mut node.tailer(saved(tailer))).is_empty(), "{named}, {is_away}");
        }
    }
}

#[test]
fn a_copy_that_is_compressed_at_once_is_read_on_where_the_log_was_read_to() {
    for is_away in [false, true] {
        let (mut node, part, mut tailer) = began();
        let checkpoints = tailer.checkpoints();
        part.write(2);
        fs::copy(&part.path, part.aside(".1")).expect("copied");
        File::options().write(true).truncate(true).open(&part.path).expect("emptied");
        compress(&part.aside(".1"));
        part.write(3);
        if is_away {
            tailer = node.tailer(checkpoints);
        } else {
            node.look(&mut tailer);
        }
        assert_eq!(drain(&mut tailer), lines([2, 3]), "{is_away}");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty(), "{is_away}");
    }
}

#[test]
fn what_an_earlier_version_had_left_is_not_read_after_an_update() {
    let (mut node, part, tailer) = began();
    let mut old = serde_json::to_value(tailer.checkpoints()).expect("JSON");
    drop(tailer);
    let stream = old[0].as_object_mut().expect("a stream");
    assert_eq!(stream.remove("has_plain_compressed"), Some(true.into()));
    for (added, text) in [(".3.gz", said(0)), (".2.gz", "without a time".into()), (".1.gz", said(2))] {
        fs::write(part.aside(added), gzip(format!("{text}\n").as_bytes())).expect("written");
    }
    let mut tailer = node.tailer(serde_json::from_value(old).expect("checkpoints"));
    assert_eq!(drain(&mut tailer), lines([2]));
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// Written in any pieces, rotated, crashed and deleted at any moment, every other file compressed one
    /// rotation later.
    #[test]
    fn every_line_is_read_once_though_logrotate_compresses(n_lines in 1usize..40, steps in steps()) {
        let text: String = (0..n_lines).map(|number| said(number) + "\n").collect();
        let mut node = Node::new();
        let part = Part::new(&mut node);
        let folder = part.path.parent().expect("a folder").to_owned();
        let wrote = Change::WroteIn(folder, "kern.log".into());
        let rotate = |number: u32| part.rotate(number.is_multiple_of(2));
        let found = read(&mut node, &part.path, &wrote, rotate, text.as_bytes(), steps);
        prop_assert_eq!(found, lines(0..n_lines));
    }
}
