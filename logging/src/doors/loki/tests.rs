//! Pushes as Promtail and others make them, in both forms; and any bytes at all.

use proptest::prelude::*;
use prost::Message;

use super::{
    proto::{Entry, Pair, Timestamp},
    *,
};
use crate::{
    doors::{
        Kind,
        draft::{Draft, MAX_RECORDS},
    },
    record::Level,
};

#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

fn entry(nanos: i64, line: &str, metadata: &[(&str, &str)]) -> Entry {
    let pair = |(name, value): &(&str, &str)| Pair { name: (*name).into(), value: (*value).into() };
    let timestamp = Timestamp { seconds: nanos / 1_000_000_000, nanos: (nanos % 1_000_000_000) as i32 };
    Entry { timestamp: Some(timestamp), line: line.into(), metadata: metadata.iter().map(pair).collect() }
}

fn push(labels: &str, entries: Vec<Entry>) -> Vec<u8> {
    Push { streams: vec![Stream { labels: labels.into(), entries, hash: 7 }] }.encode_to_vec()
}

fn shown(draft: &Draft) -> Vec<(i64, Level, String)> {
    let lines = draft.groups.iter().flat_map(|group| &group.lines);
    let shown = lines.map(|line| {
        (line.time.unwrap_or_default(), line.level, String::from_utf8_lossy(&line.body).into_owned())
    });
    shown.collect()
}

#[test]
fn both_forms_of_a_push_are_the_same_records() {
    let labels = r#"{namespace="shop", pod="web-1", container="app", node_name="n7", level="warn"}"#;
    let entries = vec![
        entry(1_700_000_000_000_000_001, "one", &[]),
        entry(1_700_000_000_000_000_002, "two", &[("trace_id", "ab12"), ("detected_level", "error")]),
    ];
    let protobuf = proto::decode(&push(labels, entries)).expect("decoded");
    let json = r#"{"streams":[{"stream":{"namespace":"shop","pod":"web-1","container":"app","node_name":"n7","level":"warn"},
        "values":[["1700000000000000001","one"],["1700000000000000002","two",{"trace_id":"ab12","detected_level":"error"}]]}]}"#;
    let json = json::decode(json.as_bytes()).expect("decoded");
    assert_eq!(
        shown(&json),
        shown(&protobuf)
            .iter()
            .map(|(time, level, body)| {
                // A map in JSON has no order of its own.
                let body =
                    body.replace("trace_id=ab12 detected_level=error", "detected_level=error trace_id=ab12");
                (*time, *level, body)
            })
            .collect::<Vec<_>>()
    );
    assert_eq!(
        shown(&json),
        [
            (1_700_000_000_000_000_001, Level::Warn, "one".into()),
            (1_700_000_000_000_000_002, Level::Error, "two detected_level=error trace_id=ab12".into()),
        ]
    );
    for draft in [&protobuf, &json] {
        let group = &draft.groups[0];
        assert_eq!(group.namespace.as_deref(), Some("shop"));
        let origin =
            (group.origin.pod.as_deref(), group.origin.container.as_deref(), group.origin.node.as_deref());
        assert_eq!(origin, (Some("web-1"), Some("app"), Some("n7")));
        assert_eq!(group.labels["level"], "warn");
    }
}

#[test]
fn an_entry_that_is_wrong_is_rejected_and_the_others_are_taken() {
    let json = r#"{"streams":[{"stream":{"app":"web"},"values":[["1","a"],["x","b"],["2"],[3,"c"],["4","d",{"n":5}],
        ["99999999999999999999999","far"],["5","\u0000"]]}]}"#;
    let draft = json::decode(json.as_bytes()).expect("decoded");
    let bodies: Vec<_> = shown(&draft).into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(bodies, ["a", "far", "\0"]);
    let rejected: Vec<_> = draft.rejected.iter().flat_map(|rejected| rejected.items.clone()).collect();
    assert_eq!(rejected, [1, 2, 3, 4]);
    assert_eq!(draft.groups[0].lines[1].time, Some(i64::MAX));
    for wrong in [
        "",
        "{}",
        r#"{"streams":7}"#,
        r#"{"streams":[{"values":[]}]}"#,
        r#"{"streams":[{"stream":{"a":1}}]}"#,
    ] {
        assert_eq!(json::decode(wrong.as_bytes()).expect_err("refused").kind, Kind::Malformed, "{wrong}");
    }
    let no_labels = proto::decode(&push("app=web", vec![entry(1, "x", &[])])).expect_err("refused");
    assert!(no_labels.message.contains("`app=web`"), "{no_labels}");
}

#[test]
fn abuse_34_a_small_push_of_a_million_entries_is_refused() {
    let many = push("{}", vec![Entry::default(); MAX_RECORDS + 1]);
    assert_eq!(proto::decode(&many).expect_err("refused").kind, Kind::TooLarge);
    let json = format!(r#"{{"streams":[{{"stream":{{}},"values":[{}0]}}]}}"#, "0,".repeat(MAX_RECORDS));
    assert_eq!(json::decode(json.as_bytes()).expect_err("refused").kind, Kind::Malformed);
    let labels: Vec<String> = (0..10_000).map(|number| format!("l{number}=\"x\"")).collect();
    let draft =
        proto::decode(&push(&format!("{{{}}}", labels.join(",")), vec![entry(1, "still there", &[])]));
    let group = &draft.expect("decoded").groups[0];
    assert_eq!((group.labels.len(), group.capped.labels, group.lines.len()), (64, 9936, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_a_push_or_none(bytes: Vec<u8>, at: prop::sample::Index, bit in 0u8..8, line in ".{0,20}") {
        let _ = proto::decode(&bytes);
        let _ = json::decode(&bytes);
        let mut sent = push(r#"{a="b"}"#, vec![entry(5, &line, &[("c", "d")])]);
        let at = at.index(sent.len());
        sent[at] ^= 1 << bit;
        let _ = proto::decode(&sent);
        let _ = proto::decode(&sent[..at]);
    }

    #[test]
    fn what_a_real_encoder_wrote_is_understood(
        entries in proptest::collection::vec((0i64..i64::MAX, ".{0,30}"), 0..8),
    ) {
        let sent = push(r#"{app="web"}"#, entries.iter().map(|(time, line)| entry(*time, line, &[])).collect());
        let found: Vec<_> = shown(&proto::decode(&sent).expect("decoded")).into_iter().map(|(time, _, body)| (time, body)).collect();
        prop_assert_eq!(found, entries);
    }
}
