//! Thousands of streams that say something now and then: what they hold in memory is bounded,
//! and nothing of it is left after the next commit.

use bytes::Bytes;

use super::{
    IndexError, MAX_OPEN_BYTES, Retention, Store,
    tests::{find, info},
};
use crate::{
    record::{Level, Record, Source},
    tail::Batch,
};

const STREAMS: usize = 5_000;
/// Bytes of one sealed line with what finds it; a line itself has some forty.
const SEALED_LINE: usize = 2 << 10;

fn pod(number: usize) -> String {
    format!("idle-{number}")
}

/// A line of a stream that says nothing after it.
fn say(store: &Store, number: usize, more: &str) {
    let body = Bytes::from(format!("stream {number} is up {more}"));
    let record = Record { time: 5, seq: 0, level: Level::Info, source: Source::Stdout, body };
    store.append(Batch { info: info(&pod(number)), records: vec![record] }).expect("appended");
}

/// Blocks and their raw bytes that are open.
fn open(store: &Store) -> (usize, usize) {
    let state = store.state.read();
    assert_eq!(state.open_bytes, state.open.values().map(|block| block.bytes).sum::<usize>());
    (state.open.len(), state.open_bytes)
}

/// A commit; gives the memory that its sealed blocks took.
fn commit(store: &Store) -> Result<usize, IndexError> {
    let pending = store.begin_commit(vec![])?;
    assert_eq!(open(store), (0, 0), "an open block is sealed though it is not full");
    let sealed: usize = store.snapshot().sealed().map(|block| block.memory()).sum();
    store.finish_commit(&pending)?;
    assert!(!store.has_uncommitted());
    Ok(sealed)
}

#[test]
fn five_thousand_streams_that_say_a_line_each_hold_little_until_the_next_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    (0..STREAMS).for_each(|number| say(&store, number, ""));
    let (blocks, bytes) = open(&store);
    assert!(blocks == STREAMS && bytes < 64 * STREAMS, "{blocks} blocks of {bytes} bytes");
    let sealed = commit(&store).expect("durable");
    assert!(sealed < SEALED_LINE * STREAMS, "{} bytes of each line", sealed / STREAMS);
    assert_eq!((store.sizes().0, store.sizes().2), (STREAMS as u64, 1));
    assert_eq!(find(&store, &format!("pod:{} up", pod(4_321))).records.len(), 1);
}

#[test]
fn open_blocks_of_five_thousand_streams_have_the_memory_of_a_few_full_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    let more = "x".repeat(4 << 10);
    let mut most = 0;
    for number in 0..STREAMS {
        say(&store, number, &more);
        let (_, bytes) = open(&store);
        assert!(bytes <= MAX_OPEN_BYTES, "{bytes} bytes are open after {number} streams");
        most = bytes.max(most);
    }
    assert!(most > MAX_OPEN_BYTES / 2, "the bound was never near: {most} bytes");
    commit(&store).expect("durable");
    assert_eq!(store.sizes().0, STREAMS as u64);
}
