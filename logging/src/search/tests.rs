//! Search against a grep that knows nothing of blocks, terms or filters: the
//! same hits in the same order, in pages of any size, at every stage of storage.

mod lines;
mod order;
mod stats;
mod tally;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use proptest::prelude::*;

use super::*;
use crate::{
    index::{PodMeta, Retention, Store},
    record::{Level, Record, Source, StreamInfo},
    tail::Batch,
    wire::TailLine,
};

fn info(stream: usize) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        namespace: if stream == 0 { "shop" } else { "ops" }.into(),
        pod: format!("web-{stream}"),
        uid: format!("uid-{stream}"),
        container: "app".into(),
        restart: stream as u32,
        node: "n1".into(),
    })
}

const LABEL: (&str, &str) = ("tier", "front");
const APP: (&str, &str) = ("app", "shop-front");

/// A word as the language defines it, found the slow way.
fn has_word(body: &[u8], word: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let body = body.to_ascii_lowercase();
    let word = word.as_bytes().to_ascii_lowercase();
    (0..body.len().saturating_sub(word.len() - 1)).any(|at| {
        body[at..].starts_with(&word)
            && !(at > 0 && token(body[at - 1]) && token(word[0]))
            && !body.get(at + word.len()).is_some_and(|next| token(*next) && token(word[word.len() - 1]))
    })
}

type Naive = Box<dyn Fn(&StreamInfo, &Record) -> bool>;

/// Queries in the language with what they mean.
fn leaf(which: usize) -> (&'static str, Naive) {
    let words = [
        "error",
        "id_7",
        "a1b2c3",
        "1234567",
        "\"error at\"",
        "reset",
        "x",
        // What may stand in variables, or touch them.
        "dead",
        "jan",
        "ms",
        "T",
        "\"reset id_7\"",
        "\"errors error\"",
        "\"12 error\"",
        "é",
        "\"10.0.0.1\"",
    ];
    if let Some(word) = words.get(which) {
        let plain = word.trim_matches('"');
        return (word, Box::new(move |_, record| has_word(&record.body, plain)));
    }
    part_leaf(which - words.len())
}

/// Queries on names and fields, and patterns.
fn part_leaf(which: usize) -> (&'static str, Naive) {
    match which {
        0 => ("pod:web-1", Box::new(|info, _| info.pod == "web-1")),
        1 => ("ns:sh*", Box::new(|info, _| info.namespace == "shop")),
        2 => ("level:>=error", Box::new(|_, record| record.level >= Level::Error)),
        3 => ("stream:stderr", Box::new(|_, record| record.source == Source::Stderr)),
        4 => ("status:>=500", Box::new(|_, r| naive_number(r, "status") >= Some(500.0))),
        5 => ("status:200", Box::new(|_, r| naive_field(r, "status").as_deref() == Some("200"))),
        6 => (
            "msg:reset",
            Box::new(|_, r| naive_field(r, "msg").is_some_and(|text| has_word(text.as_bytes(), "reset"))),
        ),
        7 => ("tier:front", Box::new(|info, _| info.uid == "uid-0")),
        8 => (
            "err*",
            Box::new(|_, record| {
                let lower = record.body.to_ascii_lowercase();
                lower.windows(3).enumerate().any(|(at, w)| {
                    w == b"err"
                        && !(at > 0
                            && (lower[at - 1].is_ascii_alphanumeric()
                                || lower[at - 1] == b'_'
                                || lower[at - 1] >= 0x80))
                })
            }),
        ),
        9 => (
            "/id_\\d/",
            Box::new(|_, record| {
                record.body.windows(4).any(|w| w.starts_with(b"id_") && w[3].is_ascii_digit())
            }),
        ),
        _ => more_leaf(which),
    }
}

fn more_leaf(which: usize) -> (&'static str, Naive) {
    match which {
        10 => ("took:<100ms", Box::new(|_, r| naive_number(r, "took").is_some_and(|took| took < 0.1))),
        11 => (
            "status:[500 TO 503]",
            Box::new(|_, r| naive_number(r, "status").is_some_and(|n| (500.0..=503.0).contains(&n))),
        ),
        12 => ("user.id:*", Box::new(|_, r| naive_field(r, "user.id").is_some())),
        13 => (
            "user.id:u7",
            Box::new(|_, r| naive_field(r, "user.id").is_some_and(|id| has_word(id.as_bytes(), "u7"))),
        ),
        14 => (
            "user.id:/^u\\d$/",
            Box::new(|_, r| naive_field(r, "user.id").is_some_and(|id| id.len() == 2 && id.starts_with('u'))),
        ),
        15 => {
            ("user.id:u*", Box::new(|_, r| naive_field(r, "user.id").is_some_and(|id| id.starts_with('u'))))
        }
        16 => ("stream:stdout", Box::new(|_, r| r.source == Source::Stdout)),
        17 => ("container:app", Box::new(|_, _| true)),
        18 => ("node:n2", Box::new(|_, _| false)),
        19 => ("app:shop-front", Box::new(|info, _| info.uid == "uid-0")),
        20 => ("uid:uid-?", Box::new(|_, _| true)),
        21 => ("level:{debug TO error}", Box::new(|_, r| (Level::Info..=Level::Warn).contains(&r.level))),
        22 => ("level:*", Box::new(|_, r| r.level != Level::Unknown)),
        23 => (
            "status:(200 OR 500)",
            Box::new(|_, r| {
                naive_field(r, "status")
                    .is_some_and(|s| has_word(s.as_bytes(), "200") || has_word(s.as_bytes(), "500"))
            }),
        ),
        24 => (
            "*set",
            Box::new(|_, r| {
                r.body.split(|b| !word_byte(*b)).any(|w| w.to_ascii_lowercase().ends_with(b"set"))
            }),
        ),
        25 => (
            "r?set",
            Box::new(|_, r| r.body.split(|b| !word_byte(*b)).any(|w| w.eq_ignore_ascii_case(b"reset"))),
        ),
        26 => ("\"connection *t\"", Box::new(|_, r| has_text(&r.body, "connection *t"))),
        27 => ("@label.tier:front", Box::new(|info, _| info.uid == "uid-0")),
        28 => ("@label.status:*", Box::new(|_, _| false)),
        29 => ("@body.tier:front", Box::new(|_, _| false)),
        30 => ("/^error at /", Box::new(|_, r| r.body.starts_with(b"error at "))),
        31 => ("/connection reset id_\\d$/", Box::new(|_, r| r.body.ends_with(b"connection reset id_7"))),
        32 => (
            "/ 12ms? (ms|x) /",
            Box::new(|_, r| {
                ["12m ms ", "12ms ms ", "12m x ", "12ms x "].iter().any(|text| {
                    r.body.windows(text.len() + 1).any(|w| w[0] == b' ' && w[1..] == *text.as_bytes())
                })
            }),
        ),
        33 => ("time:>1970-01-01T00:00:00.000000009Z", Box::new(|_, r| r.time > 9)),
        34 => ("time:<=1970-01-01T01:00:00.000000005+01:00", Box::new(|_, r| r.time <= 5)),
        35 => (
            "time:[1970-01-01T00:00:00.000000004Z TO 1970-01-01T00:00:00.000000012Z]",
            Box::new(|_, r| (4..=12).contains(&r.time)),
        ),
        36 => ("time:{1970-01-01T00:00:00.000000004Z TO now-1h}", Box::new(|_, r| r.time > 4)),
        37 => ("*", Box::new(|_, _| true)),
        38 => ("restart:1", Box::new(|info, _| info.restart == 1)),
        39 => ("restart:>=1", Box::new(|info, _| info.restart >= 1)),
        40 => ("restart:{0 TO 2}", Box::new(|info, _| info.restart == 1)),
        41 => ("@body.restart:1", Box::new(|_, r| naive_field(r, "restart").as_deref() == Some("1"))),
        42 => ("status:=500", Box::new(|_, r| naive_number(r, "status") == Some(500.0))),
        43 => ("user.id:=u7", Box::new(|_, r| naive_field(r, "user.id").as_deref() == Some("u7"))),
        44 => ("pod:=Web-1", Box::new(|info, _| info.pod == "Web-1")),
        _ => lines::leaf(which - 45),
    }
}
const LEAVES: usize = 16 + 45 + lines::LEAVES;

fn word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn has_text(body: &[u8], text: &str) -> bool {
    body.to_ascii_lowercase().windows(text.len()).any(|window| window == text.as_bytes())
}

/// A field of a JSON body along its dots, of `name=value` words, or of a line of a known format,
/// found the slow way.
fn naive_field(record: &Record, name: &str) -> Option<String> {
    if let Ok(json) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&record.body) {
        let mut names = name.split('.');
        let mut value = json.get(names.next()?)?;
        for name in names {
            value = value.get(name)?;
        }
        return match value {
            serde_json::Value::Null => None,
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
    }
    let text = std::str::from_utf8(&record.body).ok()?;
    let words = text.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    let pair = words.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next();
    pair.or_else(|| lines::naive_field(text, name))
}

/// As a number; only the units that the bodies here have.
fn naive_number(record: &Record, name: &str) -> Option<f64> {
    let text = naive_field(record, name)?;
    let (digits, of_one) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1000.0),
        None => (text.as_str(), 1.0),
    };
    digits.parse::<f64>().ok().map(|number| number / of_one)
}

#[derive(Debug, Clone)]
enum Query {
    Leaf(usize),
    Not(Box<Query>),
    Both(Box<Query>, Box<Query>),
    Either(Box<Query>, Box<Query>),
}

impl Query {
    fn text(&self) -> String {
        match self {
            Query::Leaf(which) => leaf(*which).0.to_owned(),
            Query::Not(inner) => format!("NOT ({})", inner.text()),
            Query::Both(a, b) => format!("({}) AND ({})", a.text(), b.text()),
            Query::Either(a, b) => format!("({}) OR ({})", a.text(), b.text()),
        }
    }

    fn grep(&self, info: &StreamInfo, record: &Record) -> bool {
        match self {
            Query::Leaf(which) => leaf(*which).1(info, record),
            Query::Not(inner) => !inner.grep(info, record),
            Query::Both(a, b) => a.grep(info, record) && b.grep(info, record),
            Query::Either(a, b) => a.grep(info, record) || b.grep(info, record),
        }
    }
}

fn queries() -> impl Strategy<Value = Query> {
    (0..LEAVES).prop_map(Query::Leaf).prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|query| Query::Not(Box::new(query))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Query::Both(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Query::Either(Box::new(a), Box::new(b))),
        ]
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let words = proptest::collection::vec(
        prop_oneof![
            Just("error"),
            Just("Error at"),
            Just("errors"),
            Just("id_7"),
            Just("a1b2c3"),
            Just("1234567"),
            Just("12345678"),
            Just("connection reset"),
            Just("-x-"),
            Just("é"),
            Just("12"),
            Just("12ms"),
            Just("ms"),
            Just("dead"),
            Just("deadbeef-dead-beef-dead-beefdeadbeef"),
            Just("02/Jan/2024:10:00:00"),
            Just("2024-01-02T03:04:05.5Z"),
            Just("2024-01-02T03:04:05T"),
            Just("10.0.0.1"),
            Just("a\0error"),
        ],
        0..5,
    );
    prop_oneof![
        4 => words.prop_map(|words| words.join(" ").into_bytes()),
        4 => lines::bodies(),
        2 => (prop_oneof![Just("200"), Just("500"), Just("5e2"), Just("\"503\"")], prop_oneof![Just("a reset"), Just("a\\nreset"), Just("r\\u0065set"), Just("presets")])
            .prop_map(|(status, msg)| format!("{{\"status\":{status},\"msg\":\"{msg}\"}}").into_bytes()),
        // Without escapes: what search sees of them is told in query/plain.rs, and grep knows none.
        1 => proptest::collection::vec(any::<u8>().prop_map(|byte| if byte == 0x1b { b' ' } else { byte }), 0..12),
        2 => (prop_oneof![Just("200"), Just("500"), Just("0503"), Just("1e2"), Just("-7")], 0u32..200, prop_oneof![Just("u7"), Just("u12"), Just("x"), Just("10.0.0.1")])
            .prop_map(|(status, took, user)| format!("status={status} took={took}ms user.id={user} 12 ms").into_bytes()),
        2 => (prop_oneof![Just("200"), Just("1.5"), Just("\"u7\""), Just("-12"), Just("012"), Just("7.50")], prop_oneof![Just("u7"), Just("u8 x"), Just("2024-01-02T03:04:05.5Z"), Just("a\\u0041")], prop_oneof![Just("99ms"), Just("1250"), Just("x")])
            .prop_map(|(status, user, took)| format!("{{\"user\":{{\"id\":\"{user}\",\"n7\":1}},\"took\":\"{took}\", \"status\": {status}}}").into_bytes()),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Append { stream: usize, time: i64, level: u8, stderr: bool, body: Vec<u8> },
    Commit,
    Begin,
    Merge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append = (0usize..3, 0i64..20, 0u8..7, any::<bool>(), bodies().boxed())
        .prop_map(|(stream, time, level, stderr, body)| Step::Append { stream, time, level, stderr, body });
    let step =
        prop_oneof![20 => append, 2 => Just(Step::Commit), 1 => Just(Step::Begin), 1 => Just(Step::Merge)];
    proptest::collection::vec(step, 1..80)
}

struct World {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    all: Vec<(Arc<StreamInfo>, Record)>,
}

fn world(steps: Vec<Step>) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
    let labels = Arc::new([LABEL, APP].map(|(key, value)| (key.to_string(), value.to_string())).into());
    store.pods().update("uid-0", PodMeta { labels, ..PodMeta::default() });
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Append { stream, time, level, stderr, body } => {
                let seq = all.len() as u64;
                let level = Level::from_number(level).expect("a level");
                let source = if stderr { Source::Stderr } else { Source::Stdout };
                let record = Record { time, seq, level, source, body: Bytes::from(body) };
                all.push((info(stream), record.clone()));
                store.append(Batch { info: info(stream), records: vec![record] }).expect("appended");
            }
            Step::Commit => {
                let pending = store.begin_commit(vec![]).expect("begun");
                store.finish_commit(&pending).expect("durable");
            }
            Step::Begin => drop(store.begin_commit(vec![]).expect("begun")),
            Step::Merge => {
                store.merge().expect("merged");
            }
        }
    }
    World { _folder: folder, store: Arc::new(store), all }
}

fn request(query: &str, cursor: Option<String>) -> Request {
    let request = NodeRequest {
        query: query.into(),
        since: Some(2),
        until: Some(19),
        cursor,
        ..NodeRequest::default()
    };
    Request::new(&request, Duration::from_secs(60)).expect(query)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn search_finds_what_grep_finds_in_the_same_order(
        steps in steps(),
        queries in proptest::collection::vec(queries(), 1..6),
        page in 1usize..30,
    ) {
        let world = world(steps);
        for query in queries {
            let text = query.text();
            let mut expected: Vec<(i64, String, u64)> = world.all.iter()
                .filter(|(info, record)| (2..19).contains(&record.time) && query.grep(info, record))
                .map(|(info, record)| (record.time, info.key(), record.seq))
                .collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));

            let mut found = Vec::new();
            let mut cursor = None;
            loop {
                let answer = search(&world.store, &request(&text, cursor), page, "n1");
                prop_assert!(answer.records.len() <= page && answer.partial.is_empty());
                found.extend(answer.records.iter().map(|record| {
                    let at: Position = record.id.parse().expect("an id");
                    (at.time, at.stream, at.seq)
                }));
                cursor = answer.cursor;
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&found, &expected, "{}", text);
            let bare = search(&world.store, &Request { without_body: true, ..request(&text, None) }, 1000, "n1");
            prop_assert!(bare.records.iter().all(|record| record.body.is_empty()));
            let positions = bare.records.iter().map(|record| record.id.parse().expect("an id"));
            let found: Vec<_> = positions.map(|at: Position| (at.time, at.stream, at.seq)).collect();
            prop_assert_eq!(&found, &expected, "{} without bodies", text);

            let bars = histogram(&world.store, &request(&text, None), 7, "n1");
            prop_assert_eq!(bars.buckets.iter().map(|bar| bar.count).sum::<u64>(), expected.len() as u64);
            prop_assert_eq!(bars.buckets[1].count, expected.iter().filter(|hit| (5..10).contains(&hit.0)).count() as u64);
            let facets = facets(&world.store, &request(&text, None), "n1");
            prop_assert_eq!(facets.count, expected.len() as u64);
            let shop: u64 = facets.facets.get("namespace").into_iter().flatten().filter(|v| v.value == "shop").map(|v| v.count).sum();
            prop_assert_eq!(shop, expected.iter().filter(|hit| hit.1.starts_with("uid-0/")).count() as u64);

            let mut patterns = patterns::Patterns::default();
            let mut key = Vec::new();
            for (info, record) in &world.all {
                if (2..19).contains(&record.time) && query.grep(info, record) {
                    crate::block::template::split(&record.body, record.time, &mut key, &mut Vec::new());
                    patterns.add(&key, record.time);
                }
            }
            let with_patterns = Request { patterns: true, ..request(&text, None) };
            let mut facets = super::facets(&world.store, &with_patterns, "n1").facets;
            let found = facets.remove("pattern").unwrap_or_default();
            prop_assert_eq!(found, patterns.shown(false));
        }
    }
}

fn append(stream: usize, seq: u64, body: Bytes) -> Step {
    Step::Append { stream, time: 2 + seq as i64, level: 3, stderr: false, body: body.to_vec() }
}

/// The variables of the only block of the only split, no longer readable.
fn damage_variables(world: &World) {
    let path = world._folder.path().join("splits/0/blocks");
    let mut bytes = std::fs::read(&path).expect("a split");
    // Behind the split's and the block's magic: columns, templates, times, variables.
    let mut at = 8 + 4;
    for _ in 0..3 {
        at += 12 + u32::from_le_bytes(bytes[at + 4..at + 8].try_into().expect("four bytes")) as usize;
    }
    bytes[at + 12] ^= 0xff;
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn words_of_templates_are_counted_without_a_body() {
    let line = |at: u64| {
        format!("{} number {at} took {}ms", if at.is_multiple_of(3) { "error" } else { "call" }, at * 7)
    };
    let steps = (0..16).map(|at| append(0, at, line(at).into()));
    let world = world(steps.chain([Step::Commit]).collect());
    damage_variables(&world);
    for (query, count) in [
        ("error", 6),
        ("NOT error", 10),
        ("\"call number\" level:info", 10),
        ("error AND call", 0),
        ("level:warn OR error", 6),
    ] {
        let bars = histogram(&world.store, &request(query, None), 17, "n1");
        assert_eq!(bars.partial, [], "{query}");
        assert_eq!(bars.buckets.iter().map(|bar| bar.count).sum::<u64>(), count, "{query}");
        assert!(bars.buckets.iter().all(|bar| bar.count <= 1), "{query}");
        let with_patterns = Request { patterns: true, ..request(query, None) };
        let facets = facets(&world.store, &with_patterns, "n1");
        assert_eq!((facets.partial, facets.count), (vec![], count), "{query}");
    }
    // A template that can't match is not decoded even where others are.
    assert_eq!(search(&world.store, &request("missing OR \"error call\"", None), 10, "n1").partial, []);
    // What asks for variables needs them.
    assert_eq!(histogram(&world.store, &request("error AND took", None), 3, "n1").partial, []);
    assert_eq!(histogram(&world.store, &request("/number 1$/", None), 3, "n1").partial.len(), 1);
}

#[test]
fn fields_of_templates_are_known_without_a_variable() {
    let line = |at: u64| format!("ok={} took={at}ms done", if at.is_multiple_of(4) { "no" } else { "yes" });
    let steps = (0..16).map(|at| append(0, at, line(at).into()));
    let world = world(steps.chain([Step::Commit]).collect());
    damage_variables(&world);
    for (query, count) in
        [("ok:no", 4), ("NOT ok:no done", 12), ("ok:(yes OR no)", 16), ("ok:/^n/ OR ok:none", 4)]
    {
        let bars = histogram(&world.store, &request(query, None), 17, "n1");
        assert_eq!(bars.partial, [], "{query}");
        assert_eq!(bars.buckets.iter().map(|bar| bar.count).sum::<u64>(), count, "{query}");
    }
    let by_field = Request { fields: vec!["ok".into()], ..request("done", None) };
    let facets = facets(&world.store, &by_field, "n1");
    let found: Vec<_> = facets.facets["ok"].iter().map(|v| (v.value.as_str(), v.count)).collect();
    assert_eq!((facets.partial, found), (vec![], vec![("yes", 12), ("no", 4)]));
    // What asks for a variable needs them.
    assert_eq!(histogram(&world.store, &request("took:>5ms", None), 3, "n1").partial.len(), 1);
}

#[test]
fn abuse_30_a_namespace_that_is_not_allowed_shows_nothing_in_any_answer() {
    let world = world(vec![
        append(0, 0, "seen".into()),
        append(1, 1, "secret".into()),
        Step::Commit,
        append(1, 2, "secret".into()),
    ]);
    let asked = |namespaces: Vec<String>| {
        let request = NodeRequest {
            since: Some(0),
            until: Some(100),
            namespaces: Some(namespaces),
            ..NodeRequest::default()
        };
        let request = Request::new(&request, Duration::from_secs(60)).expect("a query");
        let found = search(&world.store, &request, 10, "n1");
        let bars: u64 = histogram(&world.store, &request, 3, "n1").buckets.iter().map(|bar| bar.count).sum();
        let facets = facets(&world.store, &request, "n1");
        assert!(!serde_json::to_string(&facets).expect("JSON").contains("ops"));
        (found.records.len() as u64, found.scanned, bars, facets.count)
    };
    assert_eq!(asked(vec!["shop".into()]), (1, 1, 1, 1));
    assert_eq!(asked(vec![]), (0, 0, 0, 0));
}

#[test]
fn abuse_35_an_answer_is_bounded_in_bytes_and_time() {
    let body = Bytes::from(vec![b'x'; 256 << 10]);
    let world = world((0..100).map(|at| append(0, at, body.clone())).collect());
    let request = NodeRequest::default();
    let wide = Request::new(&request, Duration::from_secs(60)).expect("a query");
    let answer = search(&world.store, &wide, 10_000, "n1");
    assert_eq!(answer.records.len(), MAX_RESULT_BYTES / body.len());
    let rest = NodeRequest { cursor: answer.cursor, ..NodeRequest::default() };
    let rest =
        search(&world.store, &Request::new(&rest, Duration::from_secs(60)).expect("a query"), 10_000, "n1");
    assert_eq!(rest.records.len(), 100 - MAX_RESULT_BYTES / body.len());

    let late = Request::new(&request, Duration::ZERO).expect("a query");
    let missing = &search(&world.store, &late, 10, "n1").partial[0];
    assert!(missing.error.starts_with("time was up") && missing.error.contains("`within`"), "{missing:?}");
    assert_eq!(missing.node, "n1");
}

#[test]
fn bytes_that_are_no_text_are_given_exactly() {
    let world = world(vec![append(0, 0, Bytes::from_static(b"a\xff\x00b"))]);
    let answer = search(&world.store, &request("*", None), 10, "n1");
    assert_eq!(answer.records[0].body, "a\u{fffd}\0b");
    assert_eq!(answer.records[0].body_base64.as_deref(), Some("Yf8AYg=="));
    assert_eq!(answer.records[0].labels.as_ref().map(|labels| labels.len()), Some(2));
}

#[tokio::test]
async fn abuse_33_a_slow_follower_is_told_what_it_missed_and_holds_nobody_up() {
    let world = world(vec![]);
    let hub = TailHub::default();
    let publish = |seq: u64| {
        let body = Bytes::from(format!("line {seq}"));
        // Each but the first is older than the one before.
        let time = if seq == 0 { -5_000 } else { -seq.cast_signed() };
        let record = Record { time, seq, level: Level::Info, source: Source::Stdout, body };
        hub.publish(&Batch { info: info(0), records: vec![record] });
    };
    let request = |query: &str| {
        let request = NodeRequest { query: query.into(), ..NodeRequest::default() };
        Request::new(&request, Duration::from_secs(60)).expect("a query")
    };
    let mut slow = Box::pin(tail(&hub, world.store.clone(), request("*"), "n1".into()));
    let mut other = Box::pin(tail(&hub, world.store.clone(), request("pod:web-1"), "n1".into()));
    publish(0);
    assert!(matches!(slow.next().await, Some(TailLine::Record(record)) if record.body == "line 0"));
    (1..1001).for_each(publish);
    let (mut records, mut dropped) = (0, 0);
    while records + dropped < 1000 {
        match slow.next().await.expect("a line") {
            TailLine::Record(_) => records += 1,
            TailLine::Dropped { dropped: missed, since, .. } => {
                assert_eq!(since, Some(-1_000), "of those from there on the last is the oldest");
                dropped += missed;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(dropped > 0 && records > 0, "{records} records, {dropped} dropped");
    let nothing = tokio::time::timeout(Duration::from_millis(10), other.next()).await;
    assert!(!matches!(nothing, Ok(Some(TailLine::Record(_)))));
}
