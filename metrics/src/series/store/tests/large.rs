//! Histograms and appends that are very large: what is refused, what was taken before there was a limit, and
//! what can't be read take nothing else with them.

use bytes::Bytes;

use super::*;
use crate::series::{
    Buckets,
    block::{Row, Writer},
};

fn wide(buckets: usize) -> Value {
    let positive = Buckets { spans: vec![(0, buckets as u32)], counts: vec![1.5; buckets] };
    Value::Histogram(Arc::new(Histogram { positive, ..Histogram::default() }))
}

/// Instances, and how many samples each has.
async fn counted(store: &Store) -> Vec<(String, usize)> {
    let found = all(store, &[], 0..i64::MAX).await;
    let of = |labels: &Labels| labels.get("instance").unwrap_or_default().to_owned();
    found.iter().map(|(labels, samples)| (of(labels), samples.len())).collect()
}

fn blocks(store: &Store) -> usize {
    let blocks = store.blocks.as_ref().expect("on disk");
    blocks.meeting(&(i64::MIN..i64::MAX)).0.len()
}

#[tokio::test]
async fn abuse_34_a_histogram_of_too_many_buckets_costs_nobody_else_anything() {
    // As they are taken now; and as they were when nobody looked, and readers stopped at 100,000.
    for (histogram, buckets, taken) in [(10_000, 9_999, 1), (10_000, 10_000, 0), (usize::MAX, 100_001, 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits { histogram, ..Limits::default() };
        let config = StoreConfig { limits, ..config(folder.path()) };
        let mut store = Store::recover(&config).expect("opened");
        for quarter in 0..4 {
            let time = START + quarter * PART;
            let [a, b, c] = ["a", "b", "c"].map(|name| store.resolve(&up(name)).expect("made"));
            let of_b = Sample { series: b, time, value: wide(buckets) };
            let appended = store.append(&[number(a, time, 1.0), of_b, number(c, time, 2.0)]);
            assert_eq!((appended.taken, appended.too_large), (2 + taken, 1 - taken));
            // What stands behind it in the log, after a restart.
            assert_eq!(store.append(&[number(c, time + 1, 3.0)]).taken, 1);
            store.flush_log().expect("flushed");
            store = Store::recover(&config).expect("opened again");
            store.keep(&config, time + PART + GRACE, true).expect("written out");
        }
        assert_eq!(blocks(&store), 1, "quarters became an hour");
        let mut expected = vec![("a".to_owned(), 4), ("c".to_owned(), 8)];
        if taken > 0 {
            expected.insert(1, ("b".to_owned(), 4));
            let of_b = all(&store, &[Matcher::equal("instance", "b")], 0..i64::MAX).await;
            assert!(of_b[0].1[3].1 == wide(buckets));
        }
        assert_eq!(counted(&store).await, expected);
        assert_eq!((store.counts.unreadable.get(), store.counts.damaged_blocks.get()), (0, 0));
    }
}

#[tokio::test]
async fn a_row_that_cant_be_read_is_left_out_and_its_file_is_not_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let place = folder.path().join("blocks");
    std::fs::create_dir_all(&place).expect("made");
    for quarter in 0..4 {
        let time = START + quarter * PART;
        let mut writer = Writer::begin(&place, &(time..time + PART)).expect("begun");
        writer.add(&up("a"), &[(time, 1.0)], &[]).expect("added");
        if quarter == 1 {
            // Its checksum is right, and of the histogram there is nothing.
            let row = Row::of_histograms(&up("b"), &[(time, Arc::default())]).expect("a sample");
            writer.add_row(Row { values: Bytes::new(), ..row }).expect("added");
        }
        writer.add(&up("c"), &[(time, 1.0)], &[]).expect("added");
        writer.finish().expect("finished");
    }
    let store = Store::recover(&config).expect("opened");
    store.keep(&config, START + HOUR + GRACE, true).expect("put together");
    assert_eq!((blocks(&store), counted(&store).await), (1, vec![("a".to_owned(), 4), ("c".to_owned(), 4)]));
    assert_eq!((store.counts.unreadable.get(), store.counts.damaged_blocks.get()), (1, 0));
}

#[tokio::test]
async fn an_append_of_more_than_may_wait_is_logged_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let store = Store::recover(&config).expect("opened");
    let series = store.resolve(&up("a")).expect("made");
    // 73 MB of records.
    let value = wide(9_000);
    let samples: Vec<_> =
        (0..900).map(|n| Sample { series, time: START + n, value: value.clone() }).collect();
    assert_eq!(store.append(&samples).taken, 900);
    assert_eq!(store.counts.unlogged.get(), 0);
    store.flush_log().expect("flushed");
    let store = Store::recover(&config).expect("opened again");
    assert_eq!(counted(&store).await, [("a".to_owned(), 900)]);
    let size = store.head_size();
    assert!(size > 900 * 9_000 * 8, "histograms count: {size} bytes");
}
