//! Requests of real encoders and of JSON as senders write it, and any bytes at all.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Any,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    doors::{
        Kind,
        draft::{Draft, MAX_RECORDS},
    },
    record::Level,
};

fn text(text: &str) -> AnyValue {
    AnyValue { value: Some(Any::StringValue(text.into())) }
}

fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn request(attributes: Vec<KeyValue>, records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let resource = Some(Resource { attributes, ..Resource::default() });
    let scope = Some(InstrumentationScope { name: "checkout".into(), ..InstrumentationScope::default() });
    let scope_logs = vec![ScopeLogs { scope, log_records: records, ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
    }
}

fn bodies(draft: &Draft) -> Vec<String> {
    let lines = draft.groups.iter().flat_map(|group| &group.lines);
    lines.map(|line| String::from_utf8_lossy(&line.body).into_owned()).collect()
}

#[test]
fn a_request_in_protobuf() {
    let resource = vec![
        pair("k8s.namespace.name", text("shop")),
        pair("k8s.pod.name", text("web-1")),
        pair("k8s.container.name", text("app")),
        pair("host.name", text("n7")),
        pair("process.pid", AnyValue { value: Some(Any::IntValue(12)) }),
    ];
    let list = KeyValueList { values: vec![pair("a", text("b"))] };
    let array = ArrayValue { values: vec![text("x"), AnyValue { value: Some(Any::BoolValue(true)) }] };
    let records = vec![
        LogRecord {
            time_unix_nano: 7,
            observed_time_unix_nano: 9,
            severity_number: 17,
            body: Some(text("payment failed")),
            attributes: vec![
                pair("code", AnyValue { value: Some(Any::IntValue(5)) }),
                pair("why", text("no money")),
            ],
            trace_id: vec![0xab; 16],
            span_id: vec![0; 8],
            ..LogRecord::default()
        },
        LogRecord {
            observed_time_unix_nano: u64::MAX,
            severity_text: "Warning".into(),
            body: Some(text("x")),
            ..LogRecord::default()
        },
        LogRecord { body: Some(AnyValue { value: Some(Any::KvlistValue(list)) }), ..LogRecord::default() },
        LogRecord {
            severity_text: "loud".into(),
            body: Some(AnyValue { value: Some(Any::ArrayValue(array)) }),
            event_name: "e".into(),
            ..LogRecord::default()
        },
        LogRecord {
            body: Some(AnyValue { value: Some(Any::BytesValue(b"\xff\x00".to_vec())) }),
            ..LogRecord::default()
        },
    ];
    let mut sent = request(resource, records);
    sent.resource_logs[0].scope_logs[0].scope = None;
    let draft = decode_proto(&sent.encode_to_vec()).expect("decoded");
    assert_eq!(draft.rejected, []);
    let [group] = draft.groups.as_slice() else { panic!("one resource") };
    assert_eq!(group.namespace.as_deref(), Some("shop"));
    let origin =
        (group.origin.pod.as_deref(), group.origin.container.as_deref(), group.origin.node.as_deref());
    assert_eq!(origin, (Some("web-1"), Some("app"), Some("n7")));
    assert_eq!(group.labels["process.pid"], "12");
    assert_eq!(
        bodies(&draft),
        [
            &format!("payment failed code=5 why=\"no money\" trace_id={}", "ab".repeat(16)),
            "x",
            r#"{"a":"b"}"#,
            r#"["x",true] severity_text=loud event_name=e"#,
            "\u{fffd}\0",
        ]
    );
    let shown: Vec<_> = group.lines.iter().map(|line| (line.item, line.time, line.level)).collect();
    assert_eq!(
        shown,
        [
            (0, Some(7), Level::Error),
            (1, Some(i64::MAX), Level::Warn),
            (2, None, Level::Unknown),
            (3, None, Level::Unknown),
            (4, None, Level::Unknown),
        ]
    );
}

#[test]
fn a_request_in_json() {
    let json = r#"{"resourceLogs":[{
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},
        "scopeLogs":[{"scope":{"name":"main","version":"1"},"logRecords":[
            {"timeUnixNano":"1544712660300000000","severityNumber":10,"body":{"stringValue":"one"},
             "attributes":[{"key":"n","value":{"intValue":"-5"}},{"key":"d","value":{"doubleValue":1.5}},
                           {"key":"l","value":{"arrayValue":{"values":[{"boolValue":false}]}}},
                           {"key":"m","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}],
             "traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"","flags":1,"unknown":{"a":[1]}},
            {"observedTimeUnixNano":1544712660300000001,"severityNumber":"SEVERITY_NUMBER_WARN2","body":null},
            {"body":{"bytesValue":"aGk="},"attributes":null,"severityText":null,"traceId":null,"spanId":null,"eventName":null},
            {"body":7}
        ]}]},
        {"resource":null,"scopeLogs":null}, {"scopeLogs":[{"scope":{"name":null}}]}, {}]}"#;
    let draft = decode_json(json.as_bytes()).expect("decoded");
    assert_eq!(
        bodies(&draft),
        [
            r#"one n=-5 d=1.5 l=[false] m="{\"k\":\"v\"}" trace_id=5b8efff798038103d269b633813fc60c otel.scope.name=main"#,
            "otel.scope.name=main",
            "hi otel.scope.name=main",
        ]
    );
    let lines = &draft.groups[0].lines;
    assert_eq!((lines[0].time, lines[0].level), (Some(1_544_712_660_300_000_000), Level::Info));
    assert_eq!((lines[1].time, lines[1].level), (Some(1_544_712_660_300_000_001), Level::Warn));
    assert_eq!(draft.groups[0].origin.pod.as_deref(), Some("checkout"));
    assert_eq!(draft.rejected.iter().flat_map(|rejected| rejected.items.clone()).collect::<Vec<_>>(), [3]);
    for wrong in ["", "{\"resourceLogs\":7}", "{\"resourceLogs\":[7]}", "{"] {
        assert_eq!(decode_json(wrong.as_bytes()).expect_err("refused").kind, Kind::Malformed, "{wrong}");
    }
}

#[test]
fn a_record_that_is_damaged_is_rejected_and_the_others_are_taken() {
    let mut bytes = request(vec![], vec![LogRecord { body: Some(text("good")), ..LogRecord::default() }; 2])
        .encode_to_vec();
    let at = bytes.windows(4).position(|window| window == b"good").expect("the first body");
    bytes[at] = 0xff;
    let draft = decode_proto(&bytes).expect("decoded");
    assert_eq!(bodies(&draft), ["good otel.scope.name=checkout"]);
    assert_eq!(draft.rejected[0].items, [0]);
    assert_eq!(draft.rejected[0].why.kind, Kind::Malformed);
}

#[test]
fn abuse_34_a_small_request_of_a_million_records_is_refused() {
    let records = [0x12, 0].repeat(MAX_RECORDS + 1);
    let mut scope_logs = Vec::new();
    prost::encoding::encode_key(2, prost::encoding::WireType::LengthDelimited, &mut scope_logs);
    prost::encoding::encode_varint(records.len() as u64, &mut scope_logs);
    scope_logs.extend(records);
    let mut bytes = Vec::new();
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut bytes);
    prost::encoding::encode_varint(scope_logs.len() as u64, &mut bytes);
    bytes.extend(scope_logs);
    assert_eq!(decode_proto(&bytes).expect_err("refused").kind, Kind::TooLarge);
    let json = format!("{{\"resourceLogs\":[{}{{}}]}}", "{},".repeat(MAX_RECORDS));
    assert_eq!(decode_json(json.as_bytes()).expect_err("refused").kind, Kind::Malformed);
    let large = LogRecord { body: Some(text(&"x".repeat(MAX_RECORD))), ..LogRecord::default() };
    let draft =
        decode_proto(&request(vec![], vec![large, LogRecord::default()]).encode_to_vec()).expect("decoded");
    assert_eq!((draft.rejected[0].why.kind, draft.groups[0].lines.len()), (Kind::TooLarge, 1));
}

#[test]
fn abuse_16_deeply_nested_values_are_refused() {
    let mut value = text("deep");
    for _ in 0..200 {
        value = AnyValue { value: Some(Any::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let sent = request(vec![], vec![LogRecord { body: Some(value), ..LogRecord::default() }]);
    assert_eq!(decode_proto(&sent.encode_to_vec()).expect("decoded").rejected.len(), 1);
    let nested = format!("{}null{}", r#"{"arrayValue":{"values":["#.repeat(5_000), "]}}".repeat(5_000));
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{nested}}}]}}]}}]}}"#);
    assert_eq!(decode_json(json.as_bytes()).expect("decoded").rejected.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_none(bytes: Vec<u8>, at: prop::sample::Index, bit in 0u8..8, body in ".{0,20}") {
        let _ = decode_proto(&bytes);
        let _ = decode_json(&bytes);
        let mut sent = request(vec![pair("a", text("b"))], vec![LogRecord { body: Some(text(&body)), ..LogRecord::default() }]).encode_to_vec();
        let at = at.index(sent.len());
        sent[at] ^= 1 << bit;
        let _ = decode_proto(&sent);
        let _ = decode_proto(&sent[..at]);
    }

    #[test]
    fn what_a_real_encoder_wrote_is_understood(
        records in proptest::collection::vec((any::<u64>(), 0i32..25, ".{0,30}", "[a-z]{1,8}", ".{1,10}"), 0..8),
    ) {
        let record = |(time, level, body, key, value): &(u64, i32, String, String, String)| LogRecord {
            time_unix_nano: *time,
            severity_number: *level,
            body: Some(text(body)),
            attributes: vec![pair(key, text(value))],
            ..LogRecord::default()
        };
        let draft = decode_proto(&request(vec![], records.iter().map(record).collect()).encode_to_vec());
        let draft = draft.expect("decoded");
        let lines: Vec<_> = draft.groups.iter().flat_map(|group| &group.lines).collect();
        prop_assert_eq!(lines.len(), records.len());
        for (line, (time, level, body, key, value)) in lines.into_iter().zip(&records) {
            let expected = (*time > 0).then(|| i64::try_from(*time).unwrap_or(i64::MAX));
            prop_assert_eq!(line.time, expected);
            prop_assert_eq!(line.level as i32, (level + 3) / 4);
            let mut fields = crate::doors::fields::Fields::default();
            fields.add(key, value.as_str().into());
            fields.add("otel.scope.name", "checkout".into());
            let joined = fields.join(body.as_bytes(), &mut Default::default());
            prop_assert_eq!(&line.body, &joined);
        }
    }
}
