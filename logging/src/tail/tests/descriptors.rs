//! What can't be opened for a while is read later, once and in its order; and how many files are
//! open meanwhile.

use std::os::unix::fs::PermissionsExt;

use nix::unistd::{Uid, setfsuid};

use super::{super::room::Room, *};
use crate::own_process::{self, free_descriptors, leave_descriptors};

/// Works as one who may not read what is closed to others, which root may; for this thread alone.
pub fn as_nobody<T>(work: impl FnOnce() -> T) -> T {
    let own = setfsuid(Uid::from_raw(65_534));
    let done = work();
    setfsuid(own);
    done
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

/// A container's folder in the Pod.
fn container(node: &Node, name: &str) -> PathBuf {
    let folder = node.root.path().join(POD).join(name);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn in_container(name: &str) -> Change {
    Change::In(Place::Container(POD.into(), name.into()))
}

fn wrote(container: &str, file: &str) -> Change {
    Change::Wrote(POD.into(), container.into(), file.into())
}

/// What is read when there are descriptors again.
fn retry(node: &mut Node, tailer: &mut Tailer) -> Vec<String> {
    free_descriptors();
    tailer.try_again(&mut node.asked);
    let bodies = drain(tailer);
    assert!(!tailer.has_refused());
    bodies
}

#[test]
fn nothing_is_lost_or_doubled_while_there_are_no_descriptors() {
    if !own_process::enter(
        "tail::tests::descriptors::nothing_is_lost_or_doubled_while_there_are_no_descriptors",
    ) {
        return;
    }
    const ROTATED: &str = "0.log.20260131-110000";
    let mut node = Node::new();
    let (path, rotated) = (node.dir().join("0.log"), node.dir().join(ROTATED));
    append(&rotated, line(1, 'F', "one").as_bytes());
    append(&path, line(2, 'F', "two").as_bytes());
    append(&container(&node, "side").join("0.log"), line(3, 'F', "three").as_bytes());
    let mut tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer");

    // Each with a few more: other steps of the way fail.
    let mut bodies = Vec::new();
    leave_descriptors(0);
    tailer.apply(&Change::Everything, &mut node.asked);
    assert!(tailer.has_refused() && tailer.take_refusals() > 0);
    for n in 1..6 {
        leave_descriptors(n);
        tailer.try_again(&mut node.asked);
        bodies.extend(drain(&mut tailer));
        tailer.committed(&tailer.checkpoints());
    }
    bodies.extend(retry(&mut node, &mut tailer));
    let place = |body: &str| bodies.iter().position(|found| found == body);
    assert!(place("one") < place("two"), "{bodies:?}");
    bodies.sort();
    assert_eq!(bodies, ["one", "three", "two"]);
    for watched in ["app", "side"] {
        assert!(node.asked.0.contains(&Place::Container(POD.into(), watched.into())), "{watched}");
    }

    // A file that was closed has more.
    tailer.committed(&tailer.checkpoints());
    append(&rotated, line(4, 'F', "late").as_bytes());
    leave_descriptors(0);
    tailer.apply(&wrote("app", ROTATED), &mut node.asked);
    for _ in 0..5 {
        assert!(drain(&mut tailer).is_empty());
        assert_eq!(tailer.reached(1), None, "it is there");
        tailer.committed(&tailer.checkpoints());
        tailer.try_again(&mut node.asked);
    }
    assert_eq!(retry(&mut node, &mut tailer), ["late"]);
    assert_eq!(tailer.reached(1), Some(1));

    // Nothing can be opened at a start.
    let checkpoints = tailer.checkpoints();
    append(&path, line(5, 'F', "five").as_bytes());
    node.asked = Asked::default();
    let mut tailer = Tailer::new(node.root.path(), "n1", checkpoints).expect("a tailer");
    leave_descriptors(0);
    tailer.apply(&Change::Everything, &mut node.asked);
    assert!(drain(&mut tailer).is_empty());
    assert_eq!(tailer.checkpoints().len(), 2);
    assert_eq!(retry(&mut node, &mut tailer), ["five"]);
}

#[test]
fn a_file_that_may_not_be_read_holds_up_no_other_and_is_read_when_it_may() {
    let mut node = Node::new();
    let (path, rotated) = (node.dir().join("0.log"), node.dir().join("0.log.20260131-110000"));
    append(&rotated, line(1, 'F', "one").as_bytes());
    append(&path, line(2, 'F', "two").as_bytes());
    set_mode(node.root.path(), 0o755);
    set_mode(&rotated, 0);
    assert!(as_nobody(|| File::open(&rotated)).is_err(), "it is open to this user");
    let mut tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer");
    let found = as_nobody(|| {
        tailer.apply(&Change::Everything, &mut node.asked);
        drain(&mut tailer)
    });
    assert_eq!(found, ["two"]);
    assert!(tailer.has_refused() && tailer.take_refusals() > 0);
    as_nobody(|| tailer.try_again(&mut node.asked));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty() && tailer.has_refused());
    set_mode(&rotated, 0o644);
    as_nobody(|| tailer.try_again(&mut node.asked));
    assert_eq!(as_nobody(|| drain(&mut tailer)), ["one"]);
    assert!(!tailer.has_refused());

    // The same of a whole folder.
    let side = container(&node, "side");
    append(&side.join("0.log"), line(3, 'F', "three").as_bytes());
    set_mode(&side, 0);
    as_nobody(|| tailer.apply(&in_container("side"), &mut node.asked));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty() && tailer.has_refused());
    set_mode(&side, 0o755);
    as_nobody(|| tailer.try_again(&mut node.asked));
    assert_eq!(as_nobody(|| drain(&mut tailer)), ["three"]);
    let checkpoints = tailer.checkpoints();
    assert!(drain(&mut node.tailer(checkpoints)).is_empty());
}

/// A node with so much room, and nothing on it.
fn small(most: usize) -> (Node, Room, Tailer) {
    let (node, room) = (Node::new(), Room::new(most));
    let tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer").with_room(room.clone());
    (node, room, tailer)
}

#[test]
fn any_number_of_streams_is_read_with_few_files_open() {
    const MANY: usize = 30;
    const MOST: usize = 8;
    let (mut node, room, mut tailer) = small(MOST);
    let (mut number, mut expected) = (0, HashSet::new());
    // More than a turn takes.
    let long = "x".repeat(100_000);
    let mut write = |path: &Path, lines: usize| {
        for _ in 0..lines {
            number += 1;
            let body = format!("{number} {long}");
            append(path, line(number, 'F', &body).as_bytes());
            assert!(expected.insert(body));
        }
    };
    let paths: Vec<PathBuf> =
        (0..MANY).map(|number| container(&node, &format!("c{number}")).join("0.log")).collect();
    paths.iter().for_each(|path| write(path, 5));
    let mut bodies = Vec::new();
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!(room.n_open(), MOST, "what is found is held open");
    while turn(&mut tailer, &mut bodies) {
        assert!(room.n_open() <= MOST, "{}", room.n_open());
    }
    for round in 0..2 {
        for (container, path) in paths.iter().enumerate() {
            write(path, 1);
            tailer.apply(&wrote(&format!("c{container}"), "0.log"), &mut node.asked);
            if round == 0 {
                turn(&mut tailer, &mut bodies);
            }
            assert!(room.n_open() <= MOST, "{}", room.n_open());
        }
        while turn(&mut tailer, &mut bodies) {
            assert!(room.n_open() <= MOST, "{}", room.n_open());
        }
        tailer.committed(&tailer.checkpoints());
    }
    assert_eq!(bodies.len(), expected.len());
    assert!(bodies.into_iter().collect::<HashSet<_>>() == expected);
}

#[test]
fn those_give_way_that_were_read_the_longest_ago() {
    let (mut node, room, mut tailer) = small(4);
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        append(&container(&node, name).join("0.log"), line(number, 'F', name).as_bytes());
    }
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!(drain(&mut tailer).len(), 4);
    for (number, name) in ["c", "a", "d"].into_iter().enumerate() {
        append(&container(&node, name).join("0.log"), line(10 + number, 'F', "more").as_bytes());
        tailer.apply(&wrote(name, "0.log"), &mut node.asked);
        assert_eq!(drain(&mut tailer), ["more"]);
    }
    for (number, name, open) in [(20, "e", ["a", "c", "d", "e"]), (21, "f", ["a", "d", "e", "f"])] {
        append(&container(&node, name).join("0.log"), line(number, 'F', name).as_bytes());
        tailer.apply(&in_container(name), &mut node.asked);
        assert_eq!((tailer.open_containers(), room.n_open()), (open.to_vec(), 4));
        assert_eq!(drain(&mut tailer), [name]);
    }
}

#[test]
fn a_file_with_unread_bytes_gives_way_to_none_and_is_read_though_it_is_deleted() {
    let (mut node, room, mut tailer) = small(2);
    let first = container(&node, "first");
    append(&first.join("0.log"), line(1, 'F', "first").as_bytes());
    append(&container(&node, "second").join("0.log"), line(2, 'F', "second").as_bytes());
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!(room.n_open(), 2);
    let mut expected = vec!["first".to_owned(), "second".to_owned()];
    for number in 3..20 {
        let name = format!("number {number}");
        append(&container(&node, &name).join("0.log"), line(number, 'F', &name).as_bytes());
        tailer.apply(&in_container(&name), &mut node.asked);
        expected.push(name);
    }
    fs::remove_dir_all(first).expect("deleted");
    tailer.apply(&Change::In(Place::Pod(POD.into())), &mut node.asked);
    let mut bodies = drain(&mut tailer);
    bodies.sort();
    expected.sort();
    assert_eq!(bodies, expected);
}
