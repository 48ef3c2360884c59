//! Up to when all that was written has been read.

use super::*;

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
