//! Up to when all that was written has been read.

use super::{
    super::behind::PATIENCE,
    descriptors::{as_nobody, set_mode},
    *,
};

/// The time of [`line`] of this number.
fn time_of(number: usize) -> i64 {
    crate::time::parse(&line(number, 'F', "")[..30]).expect("a time")
}

#[test]
fn all_is_read_up_to_where_who_is_furthest_behind_was() {
    let (mut node, path, mut tailer) = read_one();
    let now = time_of(1_000);
    assert_eq!(tailer.reached(now), Some(now), "nobody has more");
    append(&path, line(5, 'F', "more").as_bytes());
    node.look(&mut tailer);
    assert_eq!(tailer.reached(now + 1), Some(now), "what it has more is newer than that");
    let mut tailer = node.tailer(saved(tailer));
    assert_eq!(tailer.reached(now), Some(time_of(1)), "after a restart: newer than what was read");
    assert_eq!(drain(&mut tailer), ["more"]);
    assert_eq!(tailer.reached(now), Some(now));
    // Another container has come since.
    let other = node.root.path().join(POD).join("other");
    fs::create_dir(&other).expect("a folder");
    append(&other.join("0.log"), line(3, 'F', "another").as_bytes());
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!(tailer.reached(now + 5), Some(now));
    assert_eq!((drain(&mut tailer), tailer.reached(now)), (vec!["another".to_owned()], Some(now)));
}

#[test]
fn what_may_not_be_read_yet_was_not_read() {
    let mut node = Node::new();
    append(&node.dir().join("0.log"), line(1, 'F', "one").as_bytes());
    let mut tailer = Tailer::new(node.root.path(), "n1", vec![]).expect("a tailer").holding_unknown();
    tailer.apply(&Change::Everything, &mut node.asked);
    assert_eq!((drain(&mut tailer), tailer.reached(9)), (vec![], None));
    tailer.release(POD);
    assert_eq!((drain(&mut tailer), tailer.reached(9)), (vec!["one".to_owned()], Some(9)));
}

#[test]
fn a_file_that_may_not_be_read_for_a_while_was_read_up_to_when_it_might() {
    let (mut node, _, mut tailer) = read_one();
    let now = time_of(1_000);
    assert_eq!(tailer.reached(now), Some(now));
    let other = node.root.path().join(POD).join("other");
    fs::create_dir(&other).expect("a folder");
    append(&other.join("0.log"), line(3, 'F', "late").as_bytes());
    set_mode(node.root.path(), 0o755);
    set_mode(&other.join("0.log"), 0);
    as_nobody(|| tailer.apply(&Change::Everything, &mut node.asked));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty() && tailer.has_refused());
    assert_eq!(tailer.reached(now + 1), Some(now));
    // It is tried again, and others have their turn first.
    as_nobody(|| tailer.try_again(&mut node.asked));
    assert_eq!(tailer.reached(now + 2), Some(now));
    assert!(as_nobody(|| drain(&mut tailer)).is_empty() && tailer.has_refused());
    assert_eq!(tailer.reached(now + PATIENCE / 2), Some(now));
    set_mode(&other.join("0.log"), 0o644);
    as_nobody(|| tailer.try_again(&mut node.asked));
    assert!(!tailer.has_refused());
    assert_eq!(tailer.reached(now + PATIENCE), Some(now), "it waits for its turn");
    assert_eq!(as_nobody(|| drain(&mut tailer)), ["late"]);
    assert_eq!(tailer.reached(now + PATIENCE), Some(now + PATIENCE));
}

#[test]
fn a_line_whose_rest_is_not_there_was_not_read_for_a_while() {
    let (mut node, path, mut tailer) = read_one();
    let since = time_of(5);
    append(&path, line(5, 'P', "begin and ").as_bytes());
    append(&path, line(6, 'F', "end").replace("stdout", "stderr").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["end"]);
    assert_eq!(tailer.reached(since + PATIENCE - 1), Some(since));
    append(&path, line(7, 'F', "end").as_bytes());
    node.look(&mut tailer);
    assert_eq!(drain(&mut tailer), ["begin and end"]);
    assert_eq!(tailer.reached(since + PATIENCE - 1), Some(since + PATIENCE - 1));
    // Of another line it never comes.
    append(&path, line(8, 'P', "begin").as_bytes());
    node.look(&mut tailer);
    assert!(drain(&mut tailer).is_empty());
    let later = time_of(8) + PATIENCE;
    assert_eq!(tailer.reached(later), Some(later));
}

#[test]
fn what_is_held_for_the_rest_of_its_trace_was_not_read_however_old_it_is() {
    let (mut node, path, mut tailer) = read_one();
    append(&path, line(5, 'F', "ERROR gone").as_bytes());
    node.look(&mut tailer);
    assert!(drain(&mut tailer).is_empty() && tailer.is_holding());
    let now = time_of(5) + 100 * PATIENCE;
    assert_eq!(tailer.reached(now), Some(time_of(5)));
    while tailer.is_holding() {
        tailer.tick();
    }
    assert_eq!(tailer.reached(now), Some(now));
}

#[test]
fn what_is_held_and_says_a_time_of_decades_ago_holds_up_no_more_than_the_last_record() {
    let (mut node, path, mut tailer) = read_one();
    append(&path, b"1970-01-01T00:00:01.000000000Z stdout F ERROR gone\n");
    node.look(&mut tailer);
    assert!(drain(&mut tailer).is_empty() && tailer.is_holding());
    assert_eq!(tailer.reached(time_of(1_000)), Some(time_of(1)));
}
