//! Counts by step of time against counts made record by record, over minutes and hours:
//! what heads, marks and templates tell is what the records say.

use std::time::Instant;

use super::*;
use crate::{grid::Grid, wire::NodeStatsRequest};

const MINUTE: i64 = 60_000_000_000;

/// What a query finds, and how it is told without one.
type Query = (&'static str, fn(&StreamInfo, &Record) -> bool);

fn has(record: &Record, word: &str) -> bool {
    String::from_utf8_lossy(&record.body).contains(word)
}

const QUERIES: [Query; 8] = [
    ("", |_, _| true),
    ("expired", |_, record| has(record, "expired")),
    ("\"carts expired\"", |_, record| has(record, "carts expired")),
    ("NOT expired", |_, record| !has(record, "expired")),
    ("level:error", |_, record| record.level == Level::Error),
    ("expired level:error", |_, record| has(record, "expired") && record.level == Level::Error),
    ("/took 1[0-9]ms/", |_, record| has(record, "took 1")),
    ("pod:web-1 OR expired", |info, record| info.pod == "web-1" || has(record, "expired")),
];

fn record(seq: u64, time: i64, kind: u8) -> Record {
    let body = match kind % 3 {
        0 => format!("{} carts expired", time / MINUTE),
        1 => format!("request took {}ms", 10 + time.rem_euclid(20)),
        _ => "nothing to do".to_owned(),
    };
    let level = if kind < 200 { Level::Info } else { Level::Error };
    Record { time, seq, level, source: Source::Stdout, body: Bytes::from(body) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn counts_by_time_are_those_of_the_records(
        start in (0i64..100_000).prop_map(|minutes| minutes * MINUTE),
        gaps in proptest::collection::vec((0i64..4 * MINUTE, any::<u8>()), 1..200),
        backwards in any::<bool>(),
        commits in 1usize..4,
        since in -5i64..300,
        width in 1i64..400,
        bars in 1usize..80,
        (step, origin) in (prop_oneof![Just(1i64), Just(60), Just(90), Just(300), Just(7)], 0i64..200),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let (mut time, mut all) = (start, Vec::new());
        for (seq, (gap, kind)) in gaps.into_iter().enumerate() {
            time += if backwards && kind % 7 == 0 { -gap } else { gap };
            all.push((info(usize::from(kind % 2)), record(seq as u64, time, kind)));
        }
        for part in all.chunks(all.len().div_ceil(commits)) {
            for (info, record) in part {
                store.append(Batch { info: info.clone(), records: vec![record.clone()] }).expect("appended");
            }
            let pending = store.begin_commit(vec![]).expect("begun");
            store.finish_commit(&pending).expect("durable");
        }
        let (since, until) = (start + since * MINUTE, start + (since + width) * MINUTE);
        let grid = Grid::new(since, until, bars);
        let (step, origin) = (step * 1_000_000_000, since - origin * 1_000_000_000);
        for (query, matches) in QUERIES {
            let request = NodeRequest { query: query.into(), since: Some(since), until: Some(until), ..NodeRequest::default() };
            let request = Request::new(&request, Duration::from_secs(60)).expect(query);
            let hits = || all.iter().filter(|(info, record)| (since..until).contains(&record.time) && matches(info, record));

            let mut expected = vec![BTreeMap::new(); grid.bars];
            for (_, record) in hits() {
                let bar = ((record.time - grid.origin) / grid.step) as usize;
                *expected[bar].entry(record.level.name().to_owned()).or_insert(0u64) += 1;
            }
            let answer = histogram(&store, &request, bars, "n1");
            prop_assert!(answer.partial.is_empty());
            let found: Vec<_> = answer.buckets.into_iter().map(|bar| bar.by_level).collect();
            prop_assert_eq!(found, expected, "{}", query);

            let mut expected: BTreeMap<(Option<String>, u32), u64> = BTreeMap::new();
            for (info, record) in hits() {
                let at = ((record.time - origin) / step) as u32;
                *expected.entry((Some(info.pod.clone()), at)).or_default() += 1;
            }
            let want = NodeStatsRequest { by: vec!["pod".into()], step_ns: step, origin: Some(origin), ..NodeStatsRequest::default() };
            let answer = super::super::stats(&store, &request, &want, "n1");
            let found = answer.series.iter().flat_map(|series| {
                series.cells.iter().map(|(at, cell)| ((series.group[0].clone(), *at), cell.count))
            });
            prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{} by Pod", query);
        }
    }
}

#[test]
fn many_blocks_on_several_threads_count_as_one_after_the_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    let mut all = Vec::new();
    // A block a commit and stream.
    for at in 0..60i64 {
        for stream in 0..5 {
            let record = record(at as u64, at * MINUTE, (at * 7 + stream * 3) as u8);
            all.push(record.clone());
            store.append(Batch { info: info(stream as usize), records: vec![record] }).expect("appended");
        }
        let pending = store.begin_commit(vec![]).expect("begun");
        store.finish_commit(&pending).expect("durable");
    }
    let until = 60 * MINUTE;
    for query in ["", "expired", "/took 1[0-9]ms/"] {
        let matches = |record: &&Record| {
            query.is_empty() || has(record, if query == "expired" { query } else { "took 1" })
        };
        let request =
            NodeRequest { query: query.into(), since: Some(0), until: Some(until), ..NodeRequest::default() };
        let request = Request::new(&request, Duration::from_secs(60)).expect(query);
        let answer = histogram(&store, &request, 60, "n1");
        for (at, bucket) in answer.buckets.iter().enumerate() {
            let expected = all.iter().filter(matches).filter(|one| one.time / MINUTE == at as i64).count();
            assert_eq!(bucket.count, expected as u64, "{query} {at}");
        }
        let answer = facets(&store, &request, "n1");
        assert_eq!(answer.count, all.iter().filter(matches).count() as u64, "{query}");
        let pods: u64 = answer.facets["pod"].iter().map(|value| value.count).sum();
        assert_eq!((pods, answer.blocks > 64 || !query.is_empty()), (answer.count, true), "{query}");
        // A request whose time is over says so.
        let late = Request { deadline: Instant::now(), ..request };
        let answer = histogram(&store, &late, 60, "n1");
        assert!(
            answer.buckets.iter().all(|bucket| bucket.count == 0) && !answer.partial.is_empty(),
            "{query}"
        );
    }
}
