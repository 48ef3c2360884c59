//! Bulks as Filebeat and Fluent Bit write them, and any bytes at all.

use proptest::prelude::*;

use super::{bulk::decode, *};
use crate::doors::{
    Kind,
    draft::{MAX_RECORDS, Rejected},
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
