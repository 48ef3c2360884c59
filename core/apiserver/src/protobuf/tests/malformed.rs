//! Bytes that are no message, or a nasty one: an error, never a panic, and never
//! much more memory than the body.

use proptest::prelude::*;
use serde_json::json;
use tiphys_api::kinds;

use super::{
    super::{catalog::named, decode, encode, envelope, read, wire},
    bytes, wrapped,
};

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(kind in 0..kinds::all().len(), raw in prop::collection::vec(any::<u8>(), 0..300)) {
        let kind = kinds::all()[kind];
        let _ = decode(&raw);
        let _ = decode(&[b"k8s\0".as_slice(), &raw].concat());
        let _ = decode(&wrapped(&kind.api_version(), kind.kind, &raw));
    }

    /// Tags that fit and lengths that nearly do lead further in than noise does.
    #[test]
    fn a_damaged_message_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a": "b"},
                "managedFields": [{"fieldsV1": {"f:spec": {}}}]},
            "spec": {"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}],
                "containers": [{"name": "c", "livenessProbe": {"httpGet": {"port": "http"}},
                    "resources": {"limits": {"cpu": "1"}}}], "priority": 0},
        });
        let mut body = encode(&pod).expect("a Pod");
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode(&body);
        body.truncate(cut.index(body.len()));
        let _ = decode(&body);
    }
}

#[test]
fn abuse_16_a_length_beyond_the_end_allocates_nothing() {
    for length in [
        [0xff, 0xff, 0xff, 0xff, 0x07].as_slice(),
        &[0xff; 9],
        &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let raw = [&[0x0a], length, b"x"].concat();
        assert_eq!(decode(&wrapped("v1", "Pod", &raw)).expect_err("cut off").code.as_u16(), 400);
        let whole = [b"k8s\0".as_slice(), &[0x12], length].concat();
        assert_eq!(decode(&whole).expect_err("cut off").code.as_u16(), 400);
    }
}

#[test]
fn abuse_16_deep_nesting_ends_where_the_types_do() {
    // Each layer is field 3 of the one before: nothing of it is a field of the innermost known message.
    let mut raw = Vec::new();
    for _ in 0..2_000 {
        raw = bytes(3, &raw);
    }
    let _ = decode(&wrapped("v1", "Pod", &raw)).map(|object| assert!(object.to_string().len() < 1_000));
    // Embedded JSON is bounded by its reader.
    let deep = bytes(2, &bytes(1, "[".repeat(10_000).as_bytes()));
    let refused = decode(&wrapped("apps/v1", "ControllerRevision", &deep)).expect_err("deep");
    assert_eq!(refused.code.as_u16(), 400);
}

#[test]
fn texts_are_utf_8() {
    let raw = bytes(1, &bytes(1, &[0xff, 0xfe]));
    assert_eq!(decode(&wrapped("v1", "Pod", &raw)).expect_err("no text").code.as_u16(), 400);
    assert!(envelope::unwrap(&bytes(1, &bytes(2, &[0xc0]))).is_err());
}

#[test]
fn a_wrong_wire_type_is_refused() {
    let pod = named("v1", "Pod").expect("a message");
    let mut raw = Vec::new();
    wire::put_integer(&mut raw, 1, 7);
    assert!(read::read(pod, &raw).is_err());
    for head in [3, 4, 6, 7] {
        assert!(read::read(pod, &[1 << 3 | head, 0]).is_err(), "{head}");
    }
}
