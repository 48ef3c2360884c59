//! Bulks as Filebeat and Fluent Bit write them, and any bytes at all.

use proptest::prelude::*;

use super::{bulk::decode, *};
use crate::{
    doors::{
        Kind,
        draft::{Group, MAX_RECORDS, Rejected},
    },
    record::Level,
};

fn items(bulk: &bulk::Bulk) -> Vec<(&str, &str, Option<&str>)> {
    bulk.items.iter().map(|item| (item.action.as_str(), item.index.as_str(), item.id.as_deref())).collect()
}

#[test]
fn documents_of_shippers() {
    let text = r#"{"create":{"_index":"filebeat-8"}}
{"@timestamp":"2026-01-31T12:00:00.5Z","message":"one","log":{"level":"error"},"kubernetes":{"namespace":"shop","pod":{"name":"web-1"},"container":{"name":"app"},"node":{"name":"n7"},"labels":{"app":"web"}}}
{"index":{"_id":7}}
{"@timestamp":1769860800500,"log":"two","kubernetes":{"namespace_name":"shop","pod_name":"web-1","container_name":"app","host":"n7","labels":{"app":"web"}}}

{"create":{"_index":"filebeat-8"}}
{"service.name":"checkout","host":{"name":"vm1"},"message":"three"}
{"delete":{"_id":"x"}}
{"update":{"_id":"y"}}
{"doc":{}}
{"index":null}
[1]
{"create":{}}
{"message":"plain"}"#;
    let bulk = decode(text.as_bytes(), Some("fluent")).expect("decoded");
    let (create, index) = ("create", "index");
    assert_eq!(
        items(&bulk),
        [
            (create, "filebeat-8", None),
            (index, "fluent", Some("7")),
            (create, "filebeat-8", None),
            ("delete", "fluent", Some("x")),
            ("update", "fluent", Some("y")),
            (index, "fluent", None),
            (create, "fluent", None),
        ]
    );
    let rejected: Vec<_> = bulk.draft.rejected.iter().flat_map(|rejected| rejected.items.clone()).collect();
    assert_eq!(rejected, [3, 4, 5]);
    let shown: Vec<_> = bulk
        .draft
        .groups
        .iter()
        .map(|group| {
            let origin = &group.origin;
            let names = [&group.namespace, &origin.pod, &origin.container, &origin.node];
            let names: Vec<_> = names.into_iter().map(|name| name.as_deref().unwrap_or("-")).collect();
            (
                names.join(" "),
                group
                    .labels
                    .clone()
                    .into_iter()
                    .map(|(a, b)| format!("{a}={b}"))
                    .collect::<Vec<_>>()
                    .join(" "),
                group.lines[0].item,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("shop web-1 app n7".into(), "app=web index=filebeat-8".into(), 0),
            ("shop web-1 app n7".into(), "app=web index=fluent".into(), 1),
            (
                "- checkout checkout vm1".into(),
                "host.name=vm1 index=filebeat-8 service.name=checkout".into(),
                2
            ),
            ("- - fluent -".to_owned(), "index=fluent".to_owned(), 6),
        ]
    );
    let times: Vec<_> = bulk.draft.groups.iter().map(|group| group.lines[0].time).collect();
    assert_eq!(times, [Some(1_769_860_800_500_000_000), Some(1_769_860_800_500_000_000), None, None]);
    assert_eq!(bulk.draft.groups[3].lines[0].body, br#"{"message":"plain"}"#);
}

/// A bulk's one document, as it is taken.
fn taken(document: &str) -> Group {
    let bulk = decode(format!("{{\"create\":{{}}}}\n{document}\n").as_bytes(), None).expect("decoded");
    bulk.draft.groups.into_iter().next().expect("a group")
}

/// One document of each, with all that it says of a place.
const SENDERS: [(&str, &str, &str); 7] = [
    (
        "Filebeat",
        r#"{"@timestamp":"2026-01-31T12:00:00.500Z","message":"x","log":{"offset":1},"agent":{"type":"filebeat"},
"host":{"name":"n7"},"data_stream":{"namespace":"default"},"kubernetes":{"namespace":"shop",
"namespace_labels":{"a":"b"},"node":{"name":"n7"},"pod":{"name":"web-1"},"container":{"name":"app"},"labels":{"app":"web"}}}"#,
        "agent.type=filebeat app=web host.name=n7 index=logs",
    ),
    (
        "Fluent Bit",
        r#"{"@timestamp":"2026-01-31T12:00:00.500Z","log":"x","stream":"stderr","kubernetes":{"pod_name":"web-1",
"namespace_name":"shop","labels":{"app":"web"},"host":"n7","container_name":"app"}}"#,
        "app=web index=logs",
    ),
    (
        "Vector",
        r#"{"file":"/var/log/pods/x/0.log","message":"x","source_type":"kubernetes_logs","stream":"stdout",
"timestamp":"2026-01-31T12:00:00.5Z","kubernetes":{"container_name":"app","pod_name":"web-1","pod_namespace":"shop",
"pod_node_name":"n7","pod_labels":{"app.kubernetes.io/name":"web"},"namespace_labels":{"a":"b"}}}"#,
        "app.kubernetes.io/name=web index=logs",
    ),
    (
        "OpenTelemetry, otel",
        r#"{"@timestamp":"2026-01-31T12:00:00.5Z","body":{"text":"x"},"data_stream":{"namespace":"default"},
"attributes":{"k8s.namespace.name":"other"},"resource":{"attributes":{"k8s.namespace.name":"shop",
"k8s.pod.name":"web-1","k8s.container.name":"app","k8s.node.name":"n7","service.name":"checkout"}}}"#,
        "index=logs service.name=checkout",
    ),
    (
        "OpenTelemetry, ecs",
        r#"{"@timestamp":"2026-01-31T12:00:00.5Z","message":"x","agent":{"name":"otlp"},"service":{"name":"checkout"},
"kubernetes":{"namespace":"shop","node":{"name":"n7"},"pod":{"name":"web-1"},"container":{"name":"app"}}}"#,
        "index=logs service.name=checkout",
    ),
    (
        "OpenTelemetry, none",
        r#"{"@timestamp":"2026-01-31T12:00:00.5Z","Body":"x","Resource.k8s.namespace.name":"shop",
"Resource.k8s.pod.name":"web-1","Resource.k8s.container.name":"app","Resource.k8s.node.name":"n7"}"#,
        "index=logs",
    ),
    (
        "OpenTelemetry, none, with objects for dots",
        r#"{"@timestamp":"2026-01-31T12:00:00.5Z","Body":"x","Resource":{"k8s":{"namespace":{"name":"shop"},
"pod":{"name":"web-1"},"container":{"name":"app"},"node":{"name":"n7"}}}}"#,
        "index=logs",
    ),
];

#[test]
fn each_sender_says_where_and_when_a_document_is_from() {
    for (sender, document, labels) in SENDERS {
        let Group { namespace, origin, labels: found, lines, .. } = taken(&document.replace('\n', ""));
        let names = [namespace, origin.pod, origin.container, origin.node];
        assert_eq!(names, ["shop", "web-1", "app", "n7"].map(|name| Some(name.to_owned())), "{sender}");
        let found: Vec<_> = found.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found.join(" "), labels, "{sender}");
        assert_eq!(lines[0].time, Some(1_769_860_800_500_000_000), "{sender}");
    }
}

#[test]
fn a_time_without_a_zone_is_in_utc_and_other_members_hold_times() {
    let (noon, day) = (Some(1_769_860_800_500_000_000), Some(1_769_817_600_000_000_000));
    for (members, expected) in [
        (r#""@timestamp":"2026-01-31T13:00:00.5+01:00""#, noon),
        (r#""@timestamp":"2026-01-31T12:00:00.5""#, noon),
        (r#""@timestamp":"2026-01-31 12:00:00,500""#, noon),
        (r#""@timestamp":"2026-01-31""#, day),
        (r#""@timestamp":"2026-01-31T00:00""#, day),
        (r#""@timestamp":"1769860800500""#, noon),
        (r#""@timestamp":1769860800500"#, noon),
        (r#""@timestamp":0"#, Some(0)),
        (r#""@timestamp":"2026-01-31T12:00:00.5Z","timestamp":"1999-01-01T00:00:00Z","time":0"#, noon),
        (r#""@timestamp":"soon""#, None),
        (r#""timestamp":"2026-01-31T12:00:00.5","time":"1999-01-01T00:00:00Z""#, noon),
        (r#""timestamp":"soon","time":"2026-01-31T12:00:00.500Z""#, noon),
        (r#""time":1769860800500"#, noon),
        // What may be a duration, or another unit.
        (r#""time":35"#, None),
        (r#""time":0.25"#, None),
        (r#""time":1769860800"#, None),
        (r#""time":"35""#, None),
        (r#""timestamp":null"#, None),
    ] {
        assert_eq!(taken(&format!("{{{members}}}")).lines[0].time, expected, "{members}");
    }
}

#[test]
fn a_document_without_a_level_has_that_of_its_text() {
    for (document, expected) in [
        (r#"{"message":"ERROR: no disk"}"#, Level::Error),
        (r#"{"log":"level=warn msg=x\n"}"#, Level::Warn),
        (r#"{"message":"{\"level\":\"fatal\"}"}"#, Level::Fatal),
        (r#"{"severity_number":0,"severity_text":"","body":{"text":"[error] x"}}"#, Level::Error),
        (r#"{"SeverityNumber":0,"Body":"W0131 12:00:00.1 1 a.go:1] x"}"#, Level::Warn),
        // A member says it.
        (r#"{"level":"info","message":"ERROR: x"}"#, Level::Info),
        (r#"{"log":{"level":"debug"},"message":"ERROR: x"}"#, Level::Debug),
        (r#"{"severity_number":13,"body":{"text":"ERROR: x"}}"#, Level::Warn),
        // Nothing says it.
        (r#"{"message":"plain","log":"ERROR: x"}"#, Level::Unknown),
        (r#"{"msg":"ERROR: x"}"#, Level::Unknown),
        (r#"{"message":7}"#, Level::Unknown),
    ] {
        assert_eq!(taken(document).lines[0].level, expected, "{document}");
    }
}

#[test]
fn actions_that_are_wrong_say_which() {
    for (text, part) in [
        ("nonsense", "action 1"),
        ("{}", "action 1"),
        ("{\"create\":{},\"index\":{}}\n{}", "action 1"),
        ("{\"create\":{}}\n{}\n{\"drop\":{}}\n{}", "action 2"),
        ("{\"create\":{}}", "missing"),
    ] {
        let refusal = decode(text.as_bytes(), None).expect_err(text);
        assert!(refusal.kind == Kind::Malformed && refusal.message.contains(part), "{text}: {refusal}");
    }
    assert!(decode(b"", None).expect("nothing").items.is_empty());
}

#[test]
fn each_item_has_its_answer() {
    let bulk =
        decode(b"{\"create\":{\"_id\":\"a\"}}\n{}\n{\"index\":{}}\n{}\n", Some("logs")).expect("decoded");
    let why = Refusal::new(Kind::Forbidden, "no");
    let outcome = Outcome { taken: 1, rejected: vec![Rejected { items: vec![1], why }] };
    let answer = answer::items(&bulk.items, &outcome);
    assert_eq!(answer["errors"], true);
    assert_eq!(answer["items"][0]["create"]["status"], 201);
    assert_eq!(answer["items"][0]["create"]["_id"], "a");
    assert_eq!(answer["items"][1]["index"]["status"], 403);
    assert_eq!(answer["items"][1]["index"]["error"], json!({"type": "security_exception", "reason": "no"}));
    assert_eq!(answer::items(&bulk.items, &Outcome::default())["errors"], false);
}

#[test]
fn abuse_34_bulks_are_bounded() {
    let many = "{\"create\":{}}\n{}\n".repeat(MAX_RECORDS + 1);
    assert_eq!(decode(many.as_bytes(), None).expect_err("refused").kind, Kind::TooLarge);
    let large = format!("{{\"create\":{{}}}}\n{{\"m\":\"{}\"}}\n", "x".repeat(2 << 20));
    assert_eq!(decode(large.as_bytes(), None).expect("decoded").draft.rejected[0].why.kind, Kind::TooLarge);
    let labels: Vec<String> = (0..10_000).map(|number| format!("\"l{number}\":\"x\"")).collect();
    let labelled =
        format!("{{\"create\":{{}}}}\n{{\"kubernetes\":{{\"labels\":{{{}}}}}}}\n", labels.join(","));
    let group = decode(labelled.as_bytes(), None).expect("decoded").draft.groups.remove(0);
    assert!(group.labels.len() <= 64 && group.lines.len() == 1);
    let deep = format!("{{\"create\":{{}}}}\n{}{}\n", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(decode(deep.as_bytes(), None).expect("decoded").draft.rejected.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_a_bulk_or_none(bytes: Vec<u8>, text in "[{}\":a-z\n,]{0,60}", message in ".{0,20}") {
        let _ = decode(&bytes, None);
        let _ = decode(text.as_bytes(), None);
        let document = json!({"message": message}).to_string();
        let bulk = decode(format!("{{\"index\":{{}}}}\n{document}").as_bytes(), None).expect("decoded");
        prop_assert_eq!(&bulk.draft.groups[0].lines[0].body, document.as_bytes());
    }
}
