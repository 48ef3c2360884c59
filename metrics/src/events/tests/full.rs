//! A disk that takes nothing: what it does not take is not half written, and is written when it
//! comes again and there is room.

use super::*;
use crate::append::tests::small_disk;

const NAME_OF_TEST: &str = "events::tests::full::a_full_disk_has_whole_occurrences";

#[test]
fn a_full_disk_has_whole_occurrences() {
    let Some(disk) = small_disk::enter(NAME_OF_TEST) else { return };
    let folder = disk.data.join("events");
    let open = || Segments::open(folder.clone(), within(1 << 20)).expect("opened");
    let segments = open();
    let now: Timestamp = "2026-01-31T12:30:00Z".parse().expect("a time");
    let add = |version: u64| segments.add(&event(version, "shop", "2026-01-31T12:29:00Z"), now);
    for version in 1..20 {
        add(version).expect("there is room");
    }
    disk.leave(1);
    let refused = (20..999).find(|version| add(*version).is_err()).expect("one has no room");
    assert!(add(refused).is_err() && add(refused + 1).is_err());
    assert_eq!(kept(&segments), (1..refused).collect::<Vec<_>>());
    disk.free();
    for version in refused..refused + 5 {
        add(version).expect("there is room again");
    }
    assert_eq!(kept(&segments), (1..refused + 5).collect::<Vec<_>>());
    assert_eq!(kept(&open()), (1..refused + 5).collect::<Vec<_>>());
}
