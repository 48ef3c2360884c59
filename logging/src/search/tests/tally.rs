//! Counts by step of time against counts made record by record, over minutes and hours:
//! what heads, marks and templates tell is what the records say.

use std::time::Instant;

use super::{
    super::{counts::Facets, groups::Groups, plan, stats::Walk},
    *,
};
use crate::{
    grid::Grid,
    wire::{FacetValue, NodeStats, NodeStatsRequest},
};

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

/// A block a commit and stream: `each` gives the records of a stream at a minute.
fn many_blocks(
    commits: i64,
    streams: usize,
    each: impl Fn(i64, usize) -> Vec<Record>,
) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    for at in 0..commits {
        for stream in 0..streams {
            store.append(Batch { info: info(stream), records: each(at, stream) }).expect("appended");
        }
        let pending = store.begin_commit(vec![]).expect("begun");
        store.finish_commit(&pending).expect("durable");
    }
    let blocks = plan::plan(&store, &over("", i64::MAX), &mut Progress::default()).len();
    assert!(blocks > 64, "{blocks} blocks are too few for threads");
    (folder, store)
}

/// A record that differs between streams.
fn of_stream(at: i64, stream: usize) -> Record {
    record(at as u64, at * MINUTE, (at * 7 + stream as i64 * 3) as u8)
}

/// The statistics as one thread finds them, and how many records it looked at.
fn in_turn(store: &Store, request: &Request, want: &NodeStatsRequest) -> NodeStats {
    let (mut progress, mut groups) = (Progress::default(), Groups::new(want));
    let candidates = plan::plan(store, request, &mut progress);
    Walk::new(store, request, want).straight(&candidates, &mut progress, &mut groups);
    NodeStats { scanned: progress.scanned, ..groups.answer() }
}

/// As it is sent: to the last bit of a sum, in the same order.
fn sent(answer: &NodeStats) -> String {
    serde_json::to_string(answer).expect("JSON")
}

fn over(query: &str, until: i64) -> Request {
    let request =
        NodeRequest { query: query.into(), since: Some(0), until: Some(until), ..NodeRequest::default() };
    Request::new(&request, Duration::from_secs(60)).expect(query)
}

#[test]
fn statistics_of_several_threads_are_those_of_one() {
    // Of each stream the second minute has a block of many records.
    let each = |at: i64, stream: usize| {
        let many = if at == 1 { 50 } else { 1 };
        let one = |more: i64| Record { seq: (at * 50 + more) as u64, ..of_stream(at * 3 + more, stream) };
        (0..many).map(one).collect()
    };
    let (_folder, store) = many_blocks(60, 5, each);
    let keys: [&[&str]; 5] = [&["ns"], &["pod", "ns"], &["level"], &["pattern", "pod"], &["took"]];
    for (query, _) in QUERIES {
        let request = over(query, 240 * MINUTE);
        for by in keys {
            for (field, step) in [(None, 1), (None, 7), (Some("_bytes"), 60), (Some("took"), 5)] {
                let want = NodeStatsRequest {
                    by: by.iter().map(ToString::to_string).collect(),
                    field: field.map(str::to_owned),
                    step_ns: step * MINUTE,
                    origin: None,
                    sketch: true,
                };
                let answer = super::super::stats(&store, &request, &want, "n1");
                assert_eq!(
                    sent(&answer),
                    sent(&in_turn(&store, &request, &want)),
                    "{query} by {by:?} of {field:?}"
                );
            }
        }
    }
}

#[test]
fn abuse_34_too_many_groups_of_several_threads_are_those_of_one() {
    // More users than groups, and more cells, in the first blocks and again behind them.
    let each = |at: i64, _: usize| {
        let one = |user: i64| {
            let body = Bytes::from(format!("user=u{} took={user}ms", (at % 40) * 200 + user));
            Record { time: at * MINUTE + user, seq: (at * 200 + user) as u64, body, ..of_stream(at, 0) }
        };
        (0..200).map(one).collect()
    };
    let (_folder, store) = many_blocks(90, 1, each);
    let request = over("", 90 * MINUTE);
    for (by, step, capped) in [("user", MINUTE, true), ("user", 90 * MINUTE, true), ("pod", 1, false)] {
        for field in [None, Some("took".to_owned())] {
            let want =
                NodeStatsRequest { by: vec![by.into()], field, step_ns: step, origin: None, sketch: true };
            let answer = super::super::stats(&store, &request, &want, "n1");
            assert_eq!(sent(&answer), sent(&in_turn(&store, &request, &want)), "by {by} in {step}");
            assert_eq!(answer.other.is_empty(), !capped, "by {by} in {step}");
            assert_eq!(answer.scanned, 90 * 200);
        }
    }
}

#[test]
fn many_blocks_on_several_threads_count_as_one_after_the_other() {
    let (_folder, store) = many_blocks(60, 5, |at, stream| vec![of_stream(at, stream)]);
    let stream_of = |stream: usize| (0..60).map(move |at| (stream, of_stream(at, stream)));
    let all: Vec<(usize, Record)> = (0..5).flat_map(stream_of).collect();
    for query in ["", "expired", "/took 1[0-9]ms/"] {
        let matches = |(_, record): &&(usize, Record)| {
            query.is_empty() || has(record, if query == "expired" { query } else { "took 1" })
        };
        let request = over(query, 60 * MINUTE);
        let answer = histogram(&store, &request, 60, "n1");
        for (at, bucket) in answer.buckets.iter().enumerate() {
            let expected =
                all.iter().filter(matches).filter(|(_, one)| one.time / MINUTE == at as i64).count();
            assert_eq!(bucket.count, expected as u64, "{query} {at}");
        }
        let answer = facets(&store, &request, "n1");
        assert_eq!(answer.count, all.iter().filter(matches).count() as u64, "{query}");
        let pods: BTreeMap<_, _> =
            answer.facets["pod"].iter().map(|value| (value.value.clone(), value.count)).collect();
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (stream, _) in all.iter().filter(matches) {
            *expected.entry(format!("web-{stream}")).or_default() += 1;
        }
        assert_eq!((pods, answer.blocks > 64 || !query.is_empty()), (expected, true), "{query}");
        // A request whose time is over says so.
        let late = Request { deadline: Instant::now(), ..request };
        let answer = histogram(&store, &late, 60, "n1");
        assert!(
            answer.buckets.iter().all(|bucket| bucket.count == 0) && !answer.partial.is_empty(),
            "{query}"
        );
    }
}

/// Facets, sentences about what is missing, and how many records were looked at.
type Told = (BTreeMap<String, Vec<FacetValue>>, Vec<String>, u64);

/// The facets as one thread finds them.
fn facets_in_turn(store: &Store, request: &Request) -> Told {
    let (mut progress, mut found) = (Progress::default(), Facets::new(request));
    found.straight(store, &plan::plan(store, request, &mut progress), &mut progress);
    if let Some(before) = request.before().filter(|_| request.patterns) {
        let candidates = plan::plan(store, &before, &mut progress);
        found.compare_straight(store, &before, &candidates, &mut progress);
    }
    let (values, missing) = found.finish();
    (values, missing, progress.scanned)
}

fn told(store: &Store, request: &Request) -> Told {
    let answer = facets(store, request, "n1");
    let missing = answer.partial.into_iter().map(|missing| missing.error).collect();
    (answer.facets, missing, answer.scanned)
}

/// What facets have beside levels and streams: these fields; patterns; names.
type Wanted = (&'static [&'static str], bool, bool);

fn with_facets(request: Request, (fields, patterns, names): Wanted) -> Request {
    Request { fields: fields.iter().map(ToString::to_string).collect(), patterns, names, ..request }
}

#[test]
fn facets_of_several_threads_are_those_of_one() {
    let (_folder, store) = many_blocks(60, 5, |at, stream| vec![of_stream(at, stream)]);
    for (query, _) in QUERIES {
        let wanted: [Wanted; 4] = [
            (&["pod", "level"], false, false),
            (&["took"], true, false),
            (&["pattern", "pod"], false, true),
            (&["took", "stream"], true, true),
        ];
        for wanted in wanted {
            let late = Request { since: Some(30 * MINUTE), ..over(query, 60 * MINUTE) };
            let request = Request { compare_since: Some(0), ..with_facets(late, wanted) };
            let (found, expected) = (told(&store, &request), facets_in_turn(&store, &request));
            assert!(found == expected, "{query} {wanted:?}: {found:?} is not {expected:?}");
        }
    }
    let request = with_facets(over("", 60 * MINUTE), (&["pod"], true, true));
    let answer = facets(&store, &request, "n1");
    let pods: Vec<_> = answer.facets["pod"].iter().map(|pod| (pod.value.clone(), pod.count)).collect();
    assert_eq!((answer.count, answer.scanned, pods.len()), (300, 300, 5));
    assert!(pods.iter().all(|(_, count)| *count == 60), "{pods:?}");
    let patterns: u64 = answer.facets["pattern"].iter().map(|pattern| pattern.count).sum();
    assert_eq!(patterns, 300);
}

/// A word of letters for each number: words make patterns, numbers don't.
fn word(mut number: i64) -> String {
    let mut word = String::from("w");
    while number > 0 {
        word.push(char::from(b'g' + (number % 20) as u8));
        number /= 20;
    }
    word
}

/// So many records a block. In the first sixty minutes each has a user and a word of its own, behind
/// them they come again, some often; each minute has twelve fields of its own.
fn of_many(each: i64, at: i64) -> Vec<Record> {
    let one = |more: i64| {
        let new = at * each + more;
        let user = if at < 60 { new } else { (at * 7919 + more * more * 31) % (60 * each) };
        let body = format!("{} user=u{user} f{}=1", word(user), at * 12 + more % 12);
        Record { time: at * MINUTE + more, seq: new as u64, body: Bytes::from(body), ..of_stream(at, 0) }
    };
    (0..each).map(one).collect()
}

#[test]
fn abuse_34_too_many_values_on_several_threads_are_those_of_one() {
    let others = |values: &[FacetValue]| values.iter().any(|value| value.value == "<others>");
    // No portion has too many, but all together; and each has.
    for each in [200, 400] {
        let (_folder, store) = many_blocks(90, 1, |at, _| of_many(each, at));
        let all: [Wanted; 4] = [
            (&["user"], false, false),
            (&[], true, false),
            (&[], false, true),
            (&["pod", "user"], true, true),
        ];
        for wanted in all {
            let (fields, patterns, names) = wanted;
            let request = with_facets(over("", 90 * MINUTE), wanted);
            let (found, expected) = (told(&store, &request), facets_in_turn(&store, &request));
            assert!(found == expected, "{wanted:?} differ with {each} records a block");
            let capped = [("user", fields.contains(&"user")), ("pattern", patterns)];
            for (facet, _) in capped.into_iter().filter(|(_, asked)| *asked) {
                assert!(others(&found.0[facet]), "there is room for each {facet}");
            }
            assert_eq!((found.1.is_empty(), found.2), (!names, 90 * each as u64));
        }
        // The time before is in more than two portions, too.
        let late = Request { since: Some(70 * MINUTE), ..over("", 90 * MINUTE) };
        let request = Request { compare_since: Some(0), ..with_facets(late, (&[], true, false)) };
        let (found, expected) = (told(&store, &request), facets_in_turn(&store, &request));
        assert!(found == expected, "patterns of the time before differ with {each} records a block");
        assert!(!found.1.is_empty(), "there is room for each pattern of the time before");
    }
}
