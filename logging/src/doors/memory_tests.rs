//! What a sender can make a decoder allocate: requests that are small on the wire and
//! would be large in memory.

use super::{Refusal, draft::Draft, elastic, loki, otlp};

/// Beside the request itself, which may be 16 MiB: what is capped hardly grows in memory.
const MOST: u64 = 8 << 20;
/// Of the forms of which all is kept: a document, its action, labels.
const MOST_KEPT: u64 = 32 << 20;

type Decode = fn(&[u8]) -> Result<Draft, Refusal>;

/// A protobuf message in the field of another.
fn field(number: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(message.len() as u64, &mut bytes);
    bytes.extend_from_slice(message);
    bytes
}

fn otlp_record(record: &[u8]) -> Vec<u8> {
    field(1, &field(2, &field(2, record)))
}

fn json_record(record: &str) -> Vec<u8> {
    format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#).into_bytes()
}

fn document(document: &str) -> Vec<u8> {
    format!("{{\"index\":{{}}}}\n{document}\n").into_bytes()
}

#[test]
fn abuse_34_no_request_makes_a_decoder_allocate_many_times_its_size() {
    const MIB: usize = 1 << 20;
    let times = |text: &str, bytes: usize| text.repeat(bytes / text.len());
    let requests: Vec<(&str, Decode, Vec<u8>)> = vec![
        ("resources", otlp::decode_proto, [10, 0].repeat(8 * MIB)),
        ("records", otlp::decode_proto, field(1, &field(2, &[18, 0].repeat(7 * MIB)))),
        ("attributes", otlp::decode_proto, otlp_record(&[50, 0].repeat(MIB / 2))),
        ("values", otlp::decode_proto, otlp_record(&field(5, &field(5, &[10, 0].repeat(MIB / 2 - 20))))),
        ("resource", otlp::decode_proto, field(1, &field(1, &[10, 0].repeat(MIB / 2)))),
        (
            "json resources",
            otlp::decode_json,
            format!(r#"{{"resourceLogs":[{}0]}}"#, times("0,", 16 * MIB)).into(),
        ),
        (
            "json attributes",
            otlp::decode_json,
            json_record(&format!(r#"{{"attributes":[{}{{}}]}}"#, times("{},", MIB - 40))),
        ),
        (
            "json values",
            otlp::decode_json,
            json_record(&format!(
                r#"{{"attributes":[{}{{}}]}}"#,
                times(r#"{"value":{"arrayValue":{"values":[{},{}]}}},"#, MIB - 60)
            )),
        ),
        ("streams", loki::decode_proto, [10, 0].repeat(8 * MIB)),
        ("entries", loki::decode_proto, field(1, &[18, 0].repeat(8 * MIB))),
        ("metadata", loki::decode_proto, field(1, &field(2, &[26, 0].repeat(MIB / 2)))),
        (
            "labels",
            loki::decode_proto,
            field(
                1,
                &[field(1, format!("{{{}}}", times("a=``,", MIB - 9)).as_bytes()), vec![18, 0]].concat(),
            ),
        ),
        (
            "json entries",
            loki::decode_json,
            format!(r#"{{"streams":[{{"stream":{{}},"values":[{}0]}}]}}"#, times("0,", 16 * MIB - 60)).into(),
        ),
        ("actions", elastic::decode, times("{\"index\":{}}\n{}\n", 16 * MIB).into()),
        ("document", elastic::decode, document(&format!(r#"{{"a":[{}0]}}"#, times("0,", MIB - 20)))),
        ("line ends", elastic::decode, times("\n", 16 * MIB).into()),
    ];
    for (name, decode, request) in requests {
        let mut result = None;
        let cost = allocation_counter::measure(|| result = Some(decode(&request)));
        let taken = result.is_some_and(|result| result.is_ok());
        let is_kept = matches!(name, "actions" | "document" | "labels");
        assert!(
            cost.bytes_max < if is_kept { MOST_KEPT } else { MOST },
            "{name}: {} bytes of {} (taken: {taken})",
            cost.bytes_max,
            request.len()
        );
    }
}
