//! Docker's log files, which it compresses (`compress: "true"`) and gives other names at each rotation:
//! each line is read once and in order, whoever was looking, as of a kubelet's ([`super::compressed`]).

use std::time::{Duration, SystemTime};

use flate2::{Compression, write::GzEncoder};

use super::{
    descriptors::{as_nobody, set_mode},
    docker::{ID, folder_of, json, link, script, wrote},
    *,
};

/// Rotates and compresses as docker does.
struct Docker {
    current: PathBuf,
}

impl Docker {
    fn new(node: &Node) -> Self {
        Self { current: link(node, ID, "app", 0) }
    }

    /// Of a file that was set aside.
    fn numbered(&self, number: usize, ending: &str) -> PathBuf {
        let name = self.current.file_name().expect("a name").display();
        self.current.with_file_name(format!("{name}.{number}{ending}"))
    }

    fn write(&self, number: usize, text: &str) {
        append(&self.current, json(number, &format!("{text}\n")).as_bytes());
    }

    /// The compressed ones go up by one, and the file itself is the first.
    fn rotate(&self) {
        let free = (1..).find(|number| !self.numbered(*number, ".gz").exists()).expect("a free number");
        for number in (1..free).rev() {
            fs::rename(self.numbered(number, ".gz"), self.numbered(number + 1, ".gz")).expect("renamed");
        }
        fs::rename(&self.current, self.numbered(1, "")).expect("renamed");
        File::create(&self.current).expect("made");
    }

    /// Under its last name at once, and so much of it.
    fn pack(&self, part: fn(&[u8]) -> &[u8]) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&fs::read(self.numbered(1, "")).expect("read")).expect("packed");
        let packed = encoder.finish().expect("packed");
        fs::write(self.numbered(1, ".gz"), part(&packed)).expect("written");
    }

    fn compress(&self) {
        self.pack(|whole| whole);
        fs::remove_file(self.numbered(1, "")).expect("removed");
    }

    fn turn_over(&self) {
        self.rotate();
        self.compress();
    }
}

/// A node whose first line was read.
fn began() -> (Node, Docker, Tailer) {
    let mut node = Node::new();
    let docker = Docker::new(&node);
    docker.write(1, "one");
    let mut tailer = node.tailer(vec![]);
    assert_eq!(drain(&mut tailer), ["one"]);
    (node, docker, tailer)
}

#[test]
fn files_of_before_the_first_start_are_read_by_their_numbers_and_unfinished_ones_never() {
    let mut node = Node::new();
    let docker = Docker::new(&node);
    for number in 1..=11 {
        docker.write(number, &format!("line {number}"));
        docker.turn_over();
    }
    docker.write(12, "line 12");
    docker.rotate();
    // It is being compressed.
    docker.pack(|whole| &whole[..whole.len() / 2]);
    docker.write(13, "line 13");
    let mut tailer = node.tailer(vec![]);
    let expected: Vec<String> = (1..=13).map(|number| format!("line {number}")).collect();
    assert_eq!(drain(&mut tailer), expected);
    docker.compress();
    tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
    assert!(drain(&mut tailer).is_empty());
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn what_was_read_before_it_was_compressed_and_renamed_is_not_read_again() {
    for n_commits in [0, 1, 4] {
        let (mut node, docker, mut tailer) = began();
        for number in 2..6 {
            // Between two looks it has other names, and another file has the text.
            docker.turn_over();
            docker.write(number, &format!("line {number}"));
            tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
            assert_eq!(drain(&mut tailer), [format!("line {number}")], "{n_commits}");
            for _ in 0..n_commits {
                tailer.committed(&tailer.checkpoints());
            }
        }
        let mut tailer = node.tailer(saved(tailer));
        assert!(drain(&mut tailer).is_empty(), "{n_commits}");
        docker.turn_over();
        docker.write(6, "after a start");
        tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
        assert_eq!(drain(&mut tailer), ["after a start"], "{n_commits}");
    }
}

#[test]
fn a_compressed_file_in_the_place_and_with_the_inode_of_another_is_not_taken_for_it() {
    let (mut node, docker, mut tailer) = began();
    for number in 2..5 {
        // Of two files the compressed one goes; written over, it keeps its inode.
        fs::rename(&docker.current, docker.numbered(1, "")).expect("renamed");
        File::create(&docker.current).expect("made");
        docker.compress();
        docker.write(number, &format!("line {number}"));
        tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
        assert_eq!(drain(&mut tailer), [format!("line {number}")]);
    }
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn what_was_compressed_while_nobody_looked_is_read_on_where_reading_stood() {
    for is_inode_used_again in [false, true] {
        let (mut node, docker, tailer) = began();
        let mut checkpoints = saved(tailer);
        docker.write(2, "two");
        docker.turn_over();
        docker.write(3, "three");
        docker.turn_over();
        docker.write(4, "four");
        if is_inode_used_again {
            checkpoints[0].files[0].inode = fs::metadata(&docker.current).expect("there").ino();
        }
        let mut tailer = node.tailer(checkpoints);
        assert_eq!(drain(&mut tailer), ["two", "three", "four"], "{is_inode_used_again}");
        let mut checkpoints = saved(tailer);
        docker.turn_over();
        docker.write(5, "five");
        if is_inode_used_again {
            // Of the oldest, which is gone, the newest may have it.
            let oldest = checkpoints[0].files.first_mut().expect("a file");
            oldest.inode = fs::metadata(docker.numbered(1, ".gz")).expect("there").ino();
            fs::remove_file(docker.numbered(3, ".gz")).expect("removed");
        }
        assert_eq!(drain(&mut node.tailer(checkpoints)), ["five"], "{is_inode_used_again}");
    }
}

#[test]
fn texts_that_begin_alike_are_told_by_how_far_they_were_read() {
    let text = "the same words at each start ".repeat(20);
    for is_oldest_gone in [false, true] {
        let mut node = Node::new();
        let docker = Docker::new(&node);
        docker.write(1, &text);
        let mut tailer = node.tailer(vec![]);
        assert_eq!(drain(&mut tailer).len(), 1);
        docker.turn_over();
        docker.write(2, &text);
        docker.write(3, "of the second");
        tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
        assert_eq!(drain(&mut tailer).len(), 2);
        let checkpoints = saved(tailer);
        docker.write(4, "its end");
        docker.turn_over();
        docker.write(5, "the third");
        if is_oldest_gone {
            fs::remove_file(docker.numbered(2, ".gz")).expect("removed");
        }
        let found = drain(&mut node.tailer(checkpoints));
        assert_eq!(found, ["its end", "the third"], "{is_oldest_gone}");
    }
}

#[test]
fn a_text_that_was_copied_emptied_away_and_compressed_is_read_once() {
    let (mut node, docker, mut tailer) = began();
    docker.write(2, "two");
    fs::copy(&docker.current, docker.numbered(1, "")).expect("copied");
    File::options().write(true).truncate(true).open(&docker.current).expect("emptied");
    docker.compress();
    docker.write(3, "three");
    tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["two", "three"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

#[test]
fn a_compressed_file_without_its_begin_waits_for_it_and_nothing_is_read_again() {
    for is_away in [false, true] {
        let (mut node, docker, mut tailer) = began();
        let checkpoints = tailer.checkpoints();
        docker.write(2, "two");
        docker.rotate();
        let packed = docker.numbered(1, ".gz");
        docker.pack(|whole| whole);
        let whole = fs::read(&packed).expect("read");
        // Somebody is writing it, and what it is made of is elsewhere.
        docker.pack(|whole| &whole[..5]);
        fs::remove_file(docker.numbered(1, "")).expect("removed");
        docker.write(3, "three");
        if is_away {
            tailer = node.tailer(checkpoints);
        } else {
            tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
        }
        let (expected, rest) =
            if is_away { (vec!["three"], vec!["two"]) } else { (vec!["two", "three"], Vec::new()) };
        assert_eq!(drain(&mut tailer), expected);
        for _ in 0..5 {
            tailer.committed(&tailer.checkpoints());
            tailer.try_again(&mut node.asked);
            assert!(drain(&mut tailer).is_empty() && tailer.has_refused(), "{is_away}");
        }
        let mut tailer = node.tailer(saved(tailer));
        assert!(drain(&mut tailer).is_empty() && tailer.has_refused(), "{is_away}");
        fs::write(&packed, whole).expect("written");
        tailer.try_again(&mut node.asked);
        assert_eq!(drain(&mut tailer), rest);
        assert!(!tailer.has_refused() && tailer.take_damaged() == 0, "{is_away}");
        assert!(drain(&mut node.tailer(saved(tailer))).is_empty(), "{is_away}");
    }
}

#[test]
fn a_deleted_file_is_kept_in_mind_while_what_it_became_is_read_and_not_known() {
    let (mut node, docker, mut tailer) = began();
    let mut expected = Vec::new();
    for number in 2..4000 {
        docker.write(number, &format!("line {number}"));
        expected.push(format!("line {number}"));
    }
    docker.rotate();
    let packed = docker.numbered(1, ".gz");
    docker.pack(|whole| whole);
    let whole = fs::read(&packed).expect("read");
    docker.pack(|whole| &whole[..5]);
    fs::remove_file(docker.numbered(1, "")).expect("removed");
    tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
    let mut found = Vec::new();
    assert!(turn(&mut tailer, &mut found) && found.len() < expected.len());
    // It ends here, and nothing but the compressed file is left.
    let mut tailer = node.tailer(saved(tailer));
    assert!(drain(&mut tailer).is_empty());
    fs::write(&packed, whole).expect("written");
    tailer.try_again(&mut node.asked);
    found.extend(drain(&mut tailer));
    assert!(found == expected, "{} of {}", found.len(), expected.len());
}

#[test]
fn a_compressed_file_that_stays_without_its_begin_is_damaged() {
    let (mut node, docker, mut tailer) = began();
    docker.rotate();
    docker.pack(|whole| &whole[..5]);
    fs::remove_file(docker.numbered(1, "")).expect("removed");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let packed = File::options().write(true).open(docker.numbered(1, ".gz")).expect("open");
    packed.set_modified(hour_ago).expect("changed");
    docker.write(2, "two");
    tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked);
    assert_eq!(drain(&mut tailer), ["two"]);
    assert_eq!((tailer.has_refused(), tailer.take_damaged()), (false, 1));
}

#[test]
fn a_compressed_file_that_may_not_be_opened_is_not_read_again_when_it_may() {
    let (mut node, docker, mut tailer) = began();
    for folder in [node.root.path(), node.docker.path()] {
        set_mode(folder, 0o755);
    }
    docker.write(2, "two");
    docker.turn_over();
    docker.write(3, "three");
    let packed = docker.numbered(1, ".gz");
    set_mode(&packed, 0);
    assert!(as_nobody(|| File::open(&packed)).is_err(), "it is open to this user");
    as_nobody(|| tailer.apply(&Change::In(folder_of(&docker.current)), &mut node.asked));
    assert_eq!(drain(&mut tailer), ["two", "three"]);
    for _ in 0..5 {
        as_nobody(|| tailer.try_again(&mut node.asked));
        tailer.committed(&tailer.checkpoints());
        assert!(drain(&mut tailer).is_empty() && tailer.has_refused());
    }
    set_mode(&packed, 0o644);
    tailer.try_again(&mut node.asked);
    assert!(drain(&mut tailer).is_empty() && !tailer.has_refused());
}

#[test]
fn what_an_earlier_version_had_left_is_not_read_after_an_update() {
    let (mut node, docker, tailer) = began();
    let mut old = serde_json::to_value(tailer.checkpoints()).expect("JSON");
    drop(tailer);
    let stream = old[0].as_object_mut().expect("a stream");
    assert_eq!(stream.remove("has_linked_compressed"), Some(true.into()));
    // Older than what was read, and nowhere in the checkpoint.
    docker.rotate();
    fs::write(docker.numbered(1, ""), json(0, "long ago\n")).expect("written");
    docker.compress();
    docker.rotate();
    fs::write(docker.numbered(1, ""), json(2, "new\n")).expect("written");
    docker.compress();
    let mut tailer = node.tailer(serde_json::from_value(old).expect("checkpoints"));
    assert_eq!(drain(&mut tailer), ["new"]);
    assert!(drain(&mut node.tailer(saved(tailer))).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    /// As of files that stay as they were written, with each compressed when it is rotated.
    #[test]
    fn every_line_is_read_once_though_docker_compresses(
        pieces in proptest::collection::vec(1u8..4, 1..30),
        steps in steps(),
    ) {
        let (bytes, expected) = script(&pieces);
        let mut node = Node::new();
        let docker = Docker::new(&node);
        let (path, wrote) = (docker.current.clone(), wrote(&docker.current));
        let found = read(&mut node, &path, &wrote, |_| docker.turn_over(), &bytes, steps);
        prop_assert_eq!(found, expected);
    }
}
