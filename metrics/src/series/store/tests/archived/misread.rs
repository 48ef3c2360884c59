//! A day of the archive that is read wrongly though it is whole is told of once, however often it is read.

use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::set_default,
};

use super::*;
use crate::series::archive::Entry;

/// Counts what the log tells on this thread that is wrong with the archive.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Subscriber for Counting {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let told = event.metadata();
        if *told.level() <= Level::WARN && told.target().contains("series::archive") {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_day_that_is_whole_and_read_wrongly_is_told_of_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::recover(&archived(folder.path(), in_folder(folder.path()))).expect("opened");
    fill(&store);
    round(&store, NOW).await.expect("archived");
    let archive = store.archive.as_ref().expect("one");
    let day = |number: i64| -> Option<Entry> {
        let range = START + number * DAY..START + (number + 1) * DAY;
        archive.chosen(&[], &range, &[], None, &Missing::default()).pop()
    };
    let counting = Counting::default();
    // With one alone, what other tests' threads log first would be off for this one, too.
    let _second = Dispatch::new(Counting::default());
    let _guard = set_default(counting.clone());
    let told = || (counting.0.load(Ordering::Relaxed), archive.counts.misread.get());
    for expected in [(2, 1), (2, 1), (2, 1)] {
        let first = day(0).expect("there");
        archive.give_up(&first, "a row is wrong");
        assert_eq!(day(0), None, "it is looked at first");
        round(&store, NOW).await.expect("looked");
        assert_eq!((day(0), told()), (Some(first), expected));
    }
    // Of another one it is told.
    archive.give_up(&day(1).expect("there"), "a row is wrong");
    round(&store, NOW).await.expect("looked");
    assert_eq!(told(), (4, 2));
    // So it is when the day has changed.
    let first = day(0).expect("there");
    let path = folder.path().join(first.path());
    let mut bytes = std::fs::read(&path).expect("a day");
    bytes[40] ^= 0x55;
    std::fs::write(&path, bytes).expect("damaged");
    archive.give_up(&first, "a row is wrong");
    round(&store, NOW).await.expect("set aside");
    assert_eq!((day(0), told(), archive.counts.damaged.get()), (None, (5, 2), 1));
    assert!(!path.exists() && path.with_extension("parquet.damaged").exists());
}
