//! A disk that takes nothing: senders are told, what was acknowledged is answered, nothing is
//! half written, and all goes on when there is room.

use super::{super::log, *};
use crate::append::tests::small_disk;

const NAME_OF_TEST: &str = "traces::tests::full::a_full_disk_takes_nothing_and_loses_nothing";

/// A request of several spans; `next` is the number of its first.
fn take(spans: &Spans, next: &mut i64) -> std::io::Result<()> {
    spans.take(numbered(*next..*next + 7))?;
    *next += 7;
    Ok(())
}

#[test]
fn a_full_disk_takes_nothing_and_loses_nothing() {
    let Some(disk) = small_disk::enter(NAME_OF_TEST) else { return };
    let spans = Spans::load(config(&disk.data)).expect("opened");
    let mut next = 0;
    for _ in 0..10 {
        take(&spans, &mut next).expect("there is room");
    }
    disk.leave(1);
    // The last of them had room for a part of its spans.
    while take(&spans, &mut next).is_ok() {}
    let all = |next: i64| (0..next).collect::<Vec<_>>();
    assert_eq!(numbers(&spans), all(next));
    disk.free();
    take(&spans, &mut next).expect("there is room again");
    disk.leave(0);
    assert!(spans.write(now()).is_err() && spans.write(now()).is_err());
    assert!(take(&spans, &mut next).is_err());
    assert_eq!(numbers(&spans), all(next), "what is no file is answered from memory");
    let files = small_disk::files(&disk.data);
    assert!(files.iter().all(|path| path.extension().is_none_or(|it| it == "jsonl")), "{files:?}");
    disk.free();
    take(&spans, &mut next).expect("there is room again");
    drop(spans);
    let spans = Spans::load(config(&disk.data)).expect("opened again");
    assert_eq!(numbers(&spans), all(next), "no half request spoils what came behind it");
    spans.write(now()).expect("written");
    take(&spans, &mut next).expect("there is room");
    assert_eq!(numbers(&spans), all(next));
    drop(spans);
    assert_eq!(log::list(&disk.data).expect("listed").len(), 1, "what is a file is in no log");
    assert_eq!(numbers(&Spans::load(config(&disk.data)).expect("opened again")), all(next));
}
