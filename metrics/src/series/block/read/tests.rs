//! A block gives back what was written to it, and says so where it can't.

use std::{ops::Range, path::Path};

use bytes::Bytes;
use datafusion::parquet::file::reader::ChunkReader;

use super::*;
use crate::series::block::{Unread, Writer};

/// The bytes of a block, or why they can't be had.
struct Held(Result<Bytes, Unread>);

impl Ranges for Held {
    fn read(&self, range: Range<u64>) -> Result<Bytes, Unread> {
        self.0.clone().map(|bytes| bytes.slice(range.start as usize..range.end as usize))
    }
}

fn metric(name: &str, pod: usize) -> Labels {
    Labels::new([(NAME, name.to_owned()), ("pod", format!("web-{pod}"))])
}

/// Bytes of a block of these series, one a thousand milliseconds, one each.
fn written(series: &[(Labels, Vec<(i64, f64)>)], range: Range<i64>) -> Bytes {
    let folder = tempfile::tempdir().expect("a folder");
    let mut writer = Writer::begin(folder.path(), &range).expect("begun");
    for (labels, numbers) in series {
        writer.add(labels, numbers, &[]).expect("added");
    }
    std::fs::read(writer.finish().expect("finished")).expect("read").into()
}

fn open(bytes: &Bytes, range: Range<i64>) -> Result<Arc<Block>, BlockError> {
    let held = Arc::new(Held(Ok(bytes.clone())));
    Block::open_elsewhere(Path::new("held"), range, bytes.len() as u64, held).map(Arc::new)
}

type Found = Vec<(Labels, Vec<(i64, u64)>)>;

fn read(rows: Rows) -> Result<Found, BlockError> {
    let mut found = Vec::new();
    for row in rows {
        let row = row?;
        let mut numbers = Vec::new();
        row.numbers(|time, value| numbers.push((time, value.to_bits()))).expect("its checksum is right");
        found.push((row.labels, numbers));
    }
    Ok(found)
}

#[test]
fn a_metric_is_found_in_whichever_group_it_lies() {
    let names = ["apples", "beans", "corn", "dill"];
    let mut series: Vec<_> = names
        .iter()
        .flat_map(|name| (0..10_000).map(|pod| (metric(name, pod), vec![(pod as i64, 1.0)])))
        .collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let bytes = written(&series, 0..10_000);
    let block = open(&bytes, 0..10_000).expect("opened");
    assert_eq!(block.names().expect("read"), names);
    let all = block.metadata.metadata().num_row_groups();
    assert!(all > 2, "{all}");
    for name in names {
        let matchers = [Matcher::equal(NAME, name)];
        assert!(block.groups(&matchers).len() < all, "{name}");
        assert_eq!(block.series(&matchers, &(0..10_000)).expect("read").len(), 10_000, "{name}");
        let one = [Matcher::equal(NAME, name), Matcher::equal("pod", "web-77")];
        let found = read(block.clone().matching(&one, &(0..10_000)).expect("begun")).expect("read");
        assert_eq!(found, [(metric(name, 77), vec![(77, 1f64.to_bits())])]);
    }
    let some = [Matcher::new(NAME, MatchOp::Matches, "a.*|c.*").expect("valid")];
    assert_eq!(block.series(&some, &(0..10_000)).expect("read").len(), 20_000);
    let others = [Matcher::new(NAME, MatchOp::NotEqual, "beans").expect("valid")];
    assert_eq!(block.series(&others, &(500..600)).expect("read").len(), 300);
    assert!(block.series(&[Matcher::equal(NAME, "basil")], &(0..10_000)).expect("read").is_empty());
}

#[test]
fn series_are_chosen_by_their_first_and_last_sample() {
    let series = [(metric("a", 1), vec![(10, 1.0), (19, 2.0)]), (metric("a", 2), vec![(30, 3.0)])];
    let bytes = written(&series, 0..40);
    let block = open(&bytes, 0..40).expect("opened");
    let found = |range| -> Vec<bool> {
        let found = block.series(&[], &range).expect("read");
        let rows = read(block.clone().matching(&[], &range).expect("begun")).expect("read");
        assert!(rows.iter().map(|(labels, _)| labels).eq(&found));
        series.iter().map(|(labels, _)| found.contains(labels)).collect()
    };
    assert_eq!(found(0..10), [false, false]);
    assert_eq!(found(0..11), [true, false]);
    assert_eq!(found(19..30), [true, false]);
    assert_eq!(found(20..30), [false, false]);
    assert_eq!(found(19..31), [true, true]);
    assert_eq!(found(31..40), [false, false]);
}

#[test]
fn a_pair_is_looked_for_before_the_range_and_gives_no_row_beside_it() {
    let series = [(metric("a", 1), vec![(10, 1.0), (19, 2.0)]), (metric("b", 1), vec![(30, 3.0)])];
    let bytes = written(&series, 0..40);
    let pair = [Matcher::equal("pod", "web-1")];
    for range in [0..10, 0..11, 19..30, 20..30, 19..31, 31..40] {
        let block = open(&bytes, 0..40).expect("opened");
        let expected = block.series(&pair, &range).expect("read");
        for time in ["read", "kept"] {
            let rows = read(block.clone().matching(&pair, &range).expect("begun")).expect("read");
            assert!(rows.iter().map(|(labels, _)| labels).eq(&expected), "{range:?} {time}: {rows:?}");
        }
    }
}

#[test]
fn no_byte_that_changed_is_read_as_something_else() {
    let series: Vec<_> = (0..6)
        .map(|pod| {
            let numbers = (0..20).map(|n| (n * 1000 + pod as i64, (n * n) as f64 + 0.1 * pod as f64));
            (metric("a", pod), numbers.collect())
        })
        .collect();
    let bytes = written(&series, 0..20_000);
    let whole = read(open(&bytes, 0..20_000).expect("opened").rows().expect("begun")).expect("read");
    assert_eq!(whole.len(), 6);
    let mut refused = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1 << (at % 8);
        let found = open(&changed.into(), 0..20_000).and_then(|block| read(block.rows()?));
        match found {
            Ok(found) => assert_eq!(found, whole, "byte {at} of {}", bytes.len()),
            Err(BlockError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(refused > bytes.len() / 4, "{refused} of {}", bytes.len());
    for cut in 0..bytes.len() {
        assert!(open(&bytes.slice(..cut), 0..20_000).is_err(), "{cut} bytes");
    }
}

#[test]
fn many_read_one_file_at_once() {
    let series: Vec<_> =
        (0..2000).map(|pod| (metric("a", 10_000 + pod), vec![(pod as i64, pod as f64)])).collect();
    let bytes = written(&series, 0..30_000);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("0-30000.parquet");
    std::fs::write(&path, &bytes).expect("written");
    let block = Block::open(&path).expect("opened");
    let reader = &|step: usize| {
        let (source, _) = block.source.again();
        for at in (0..20_000).map(|n| n * step % (bytes.len() - 16)) {
            let found = source.get_bytes(at as u64, 16).expect("read");
            assert!(found == bytes[at..at + 16], "others' bytes were read");
        }
    };
    std::thread::scope(|threads| {
        for step in [3, 7, 11, 13] {
            threads.spawn(move || reader(step));
        }
    });
}

#[test]
fn what_is_away_is_not_damaged() {
    let bytes = written(&[(metric("a", 1), vec![(10, 1.0)])], 0..40);
    let open = |held| Block::open_elsewhere(Path::new("x"), 0..40, bytes.len() as u64, Arc::new(Held(held)));
    let away = open(Err(Unread::Away("the line is cut".to_owned())));
    assert!(matches!(away, Err(BlockError::Unreachable { why, .. }) if why == "the line is cut"));
    let wrong = open(Err(Unread::Wrong("it is short".to_owned())));
    assert!(matches!(wrong, Err(BlockError::Damaged { why, .. }) if why.contains("it is short")));
    let block = Arc::new(open(Ok(bytes.clone())).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(read(block.rows().expect("begun")).expect("read").len(), 1);
}

#[test]
fn names_say_their_range() {
    for range in [-20..-10, -5..7, 0..3_600_000] {
        let name = super::super::write::name_of(&range);
        assert_eq!(range_of(Path::new(&name)), Some(range));
    }
    for bad in ["1.parquet", "2-1.parquet", "a-b.parquet", "1-2.new", "-1.parquet"] {
        assert_eq!(range_of(Path::new(bad)), None, "{bad}");
    }
}

#[test]
fn a_series_of_very_many_samples_is_read_again_from_several_rows() {
    let numbers: Vec<_> = (0..600_000).map(|n| (n, n as f64)).collect();
    let few = vec![(5, 1.0)];
    let series = [(metric("a", 0), few), (metric("b", 0), numbers.clone()), (metric("c", 0), numbers)];
    let block = open(&written(&series, 0..600_000), 0..600_000).expect("opened");
    let found = read(block.clone().rows().expect("begun")).expect("read");
    let rows = |name: &str| found.iter().filter(|(labels, _)| labels.name() == name).collect::<Vec<_>>();
    assert_eq!(["a", "b", "c"].map(|name| rows(name).len()), [1, 3, 3]);
    let times = rows("b").into_iter().flat_map(|(_, numbers)| numbers.iter().map(|(time, _)| *time));
    assert!(times.eq(0..600_000i64));
    // Asked for a part, it gives the rows that have something of it.
    let matchers = [Matcher::equal(NAME, "b")];
    let some = read(block.matching(&matchers, &(10..20)).expect("begun")).expect("read");
    assert_eq!(some.len(), 1);
}
