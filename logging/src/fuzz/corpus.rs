//! Inputs as real senders write them, which damage begins with.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;

use crate::{
    record::{Level, Record, Source},
    wal::{Pushed, write_entry},
};

fn all(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub fn otlp_protobuf() -> Vec<Vec<u8>> {
    let string = |text: &str| AnyValue { value: Some(Value::StringValue(text.into())) };
    let pair = |key: &str, value| KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() };
    let nested = Value::KvlistValue(KeyValueList {
        values: vec![pair(
            "list",
            AnyValue {
                value: Some(Value::ArrayValue(ArrayValue {
                    values: vec![string("x"), AnyValue { value: Some(Value::DoubleValue(1.5)) }],
                })),
            },
        )],
    });
    let record = LogRecord {
        time_unix_nano: 1_700_000_000_000_000_000,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(string("payment failed")),
        attributes: vec![
            pair("code", AnyValue { value: Some(Value::IntValue(5)) }),
            pair("cart", AnyValue { value: Some(nested) }),
            pair("raw", AnyValue { value: Some(Value::BytesValue(vec![0, 255, 3])) }),
        ],
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        ..LogRecord::default()
    };
    let resource = Resource {
        attributes: vec![
            pair("service.name", string("checkout")),
            pair("k8s.namespace.name", string("shop")),
        ],
        ..Resource::default()
    };
    let request = |records| ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource.clone()),
            scope_logs: vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    vec![request(vec![record.clone()]).encode_to_vec(), request(vec![record; 40]).encode_to_vec(), Vec::new()]
}

pub fn otlp_json() -> Vec<Vec<u8>> {
    all(&[
        r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1700000000000000000","severityNumber":"SEVERITY_NUMBER_ERROR","body":{"stringValue":"payment failed"},"attributes":[{"key":"n","value":{"intValue":"5"}},{"key":"l","value":{"arrayValue":{"values":[{"doubleValue":1.5},{"boolValue":true}]}}}],"traceId":"abababababababababababababababab"}]}]}]}"#,
        r#"{"resource_logs":[{"scope_logs":[{"log_records":[{"body":{"kvlistValue":{"values":[{"key":"a","value":{"bytesValue":"AP8="}}]}}},{}]}]}]}"#,
        "{}",
    ])
}

pub fn loki_json() -> Vec<Vec<u8>> {
    all(&[
        r#"{"streams":[{"stream":{"app":"web","namespace":"shop"},"values":[["1700000000000000000","a line"],["1700000000000000001","another",{"trace":"x"}]]}]}"#,
        r#"{"streams":[]}"#,
    ])
}

/// Loki's protobuf, without its packing.
pub fn loki_protobuf() -> Vec<Vec<u8>> {
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(bytes.len() as u64, &mut out);
        out.extend_from_slice(bytes);
        out
    };
    let time = field(1, &[8, 0x80, 0xe2, 0xcf, 0xaa, 6, 16, 1]);
    let metadata = field(3, &[field(1, b"trace"), field(2, b"x")].concat());
    let entry = field(2, &[time, field(2, b"a line"), metadata].concat());
    let stream = field(1, &[field(1, br#"{app="web", namespace="shop"}"#), entry.clone(), entry].concat());
    vec![stream.clone(), stream.repeat(3)]
}

pub fn bulk() -> Vec<Vec<u8>> {
    all(&[
        "{\"index\":{\"_index\":\"app\"}}\n{\"@timestamp\":\"2026-01-31T12:00:00Z\",\"message\":\"hello\",\"kubernetes\":{\"namespace\":\"shop\",\"pod\":{\"name\":\"web\"}}}\n{\"create\":{}}\n{\"message\":\"two\",\"log.level\":\"warn\"}\n",
        "{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n",
    ])
}

pub fn syslog() -> Vec<Vec<u8>> {
    all(&[
        "<34>1 2026-01-31T12:00:00.003Z host su 77 ID47 [ex@32473 iut=\"3\" src=\"a \\\"b\\\"\"][p@1 high=\"\"] 'su root' failed\n",
        "<30>Dec 31 23:59:59 web1 nginx[12]: up\n<13>Jan  1 2024 00:00:01 h x: y\n",
        "52 <11>1 2026-01-31T12:00:00Z edge app 7 - - over two\nlin13 <13>1 - - - -",
    ])
}

pub fn container_lines() -> Vec<Vec<u8>> {
    all(&[
        "2026-01-31T12:00:00.000000001Z stdout F hello\n2026-01-31T12:00:00.000000002Z stderr P begin\n2026-01-31T12:00:00.000000003Z stderr F  and end\n",
        "{\"log\":\"level=error msg=\\\"by docker\\\"\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-31T12:00:00Z\"}\n{\"log\":\"piece\",\"stream\":\"stdout\",\"time\":\"2026-01-31T12:00:00Z\"}\n",
        "2026-01-31T12:00:00Z stdout F java.lang.IllegalStateException: boom\n2026-01-31T12:00:00Z stdout F \tat c.e.App.run(App.java:12)\n",
        "E0131 12:00:00.1 1 main.go:1] klogged\npanic: gone\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:3 +0x1\n",
    ])
}

pub fn bodies() -> Vec<Vec<u8>> {
    all(&[
        r#"{"level":"\u001b[32minfo\u001b[39m","msg":"a \"b\"","http":{"status":500,"took":"12ms"},"list":[1,2,{"a":null}]}"#,
        r#"level=warn msg="slow \"query\"" took=1.5s rows=12 user=ada@example.org"#,
        r#"10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 502 157 "-" "curl/8""#,
        "\x1b[33mWARN\x1b[0m id=0af7651916cd43dd8448eb211c80319c at 2026-01-31T12:00:00.123456Z 0x1f 1.5e9",
        "[W 2026-01-31 12:00:00.000 App] a\r\nb\tc",
        r#"[2026-01-31T12:00:00.000Z] "GET /a?b=c HTTP/2" 503 UF 0 91 12 - "-" "a \"b" "1f" "shop" "10.0.0.1:80""#,
        "E0131 12:00:00.123456       7 main.go:116] \"gone\" err=\"no\"",
        "<34>1 2026-01-31T12:00:00Z web-1 su 77 ID47 - up",
        "<30>Jan  1 00:00:01 web-1 nginx[12]: up",
    ])
}

pub fn queries() -> Vec<Vec<u8>> {
    all(&[
        "error timeout -retry \"connection reset\" AND (ns:shop OR NOT pod:web-*)",
        "level:>=warn status:[400 TO 499] took:>100ms size:<=4KiB @label.tier:front",
        "/time(d )?out/ http.path:/^\\/api/ user:\"a b\" user:* level:(warn OR error) time:>=-1h",
        "a* ?b \\\"x\\\" -{1 TO *]",
    ])
}

pub fn logql() -> Vec<Vec<u8>> {
    all(&[
        r#"{namespace="shop", pod=~"web-.*", app!="x"} |= "error" != "retry" |~ "t(ime)?out" | json | status >= 500 | line_format "{{.msg}}""#,
        r#"sum by (level) (rate({namespace="shop"} | logfmt | took > 10ms | unwrap duration(took) [5m] offset 1h)) / 2"#,
        r#"topk(3, count_over_time({app="a"} | pattern "<_> <method> <path>" [1m])) > bool 0"#,
        r#"quantile_over_time(0.99, {a="b"} | regexp `(?P<x>\d+)` | unwrap x [1h]) by (c)"#,
    ])
}

pub fn wal_entries() -> Vec<Vec<u8>> {
    let record = Record {
        time: 5,
        seq: 7,
        level: Level::Warn,
        source: Source::Stdout,
        body: bytes::Bytes::from_static(b"hello"),
    };
    let labels = std::sync::Arc::new([("app".to_owned(), "web".to_owned())].into());
    let stream = Pushed { info: crate::index::tests::info("web"), labels, records: vec![record; 3] };
    vec![write_entry(std::slice::from_ref(&stream)), write_entry(&[stream.clone(), stream])]
}
