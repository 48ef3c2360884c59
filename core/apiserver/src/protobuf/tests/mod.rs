//! Messages as kubectl writes them, as Go and prost do, and as attackers do.

mod against_prost;
mod definitions;
mod malformed;
mod round_trip;

use serde_json::json;

use super::*;

fn varint(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 & 0x7f | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

/// A field of bytes.
fn bytes(number: usize, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat()
}

fn number(number: usize, value: usize) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn wrapped(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw), bytes(3, b""), bytes(4, b"")].concat()
}

#[test]
fn a_config_map_with_its_metadata() {
    let entry = [bytes(1, b"k"), bytes(2, b"v")].concat();
    let metadata = [bytes(1, b"name"), bytes(2, b""), bytes(8, b"")].concat();
    let raw = [bytes(1, &metadata), bytes(2, &entry), bytes(2, &bytes(1, b"empty"))].concat();
    let object = decode(&wrapped("v1", "ConfigMap", &raw)).expect("an object");
    let expected = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "name"}, "data": {"k": "v", "empty": ""},
    });
    assert_eq!(object, expected);
}

#[test]
fn a_deployment_keeps_what_says_something_and_drops_what_is_empty() {
    let volume = [bytes(1, b"v"), bytes(2, &bytes(1, &bytes(1, b"/data")))].concat();
    let quantity = [bytes(1, b"cpu"), bytes(2, &bytes(1, b"500m"))].concat();
    let container = [bytes(1, b"main"), bytes(2, b"web:1"), bytes(8, &bytes(1, &quantity))].concat();
    let pod_spec = [bytes(1, &volume), bytes(2, &container), number(11, 0)].concat();
    let template = [bytes(1, &bytes(8, b"")), bytes(2, &pod_spec)].concat();
    let spec = [number(1, 0), bytes(3, &template), number(5, 0)].concat();
    let raw = [bytes(1, &bytes(1, b"web")), bytes(2, &spec)].concat();
    let object = decode(&wrapped("apps/v1", "Deployment", &raw)).expect("an object");
    let expected = json!({
        "replicas": 0,
        "template": {
            "metadata": {},
            "spec": {
                "volumes": [{"name": "v", "hostPath": {"path": "/data"}}],
                "containers": [{"name": "main", "image": "web:1", "resources": {"limits": {"cpu": "500m"}}}],
            },
        },
    });
    assert_eq!(object["spec"], expected);
}

#[test]
fn a_service_s_target_port_and_a_secret_s_bytes() {
    let named = [number(1, 1), bytes(3, b"http")].concat();
    let numbered = [number(1, 0), number(2, 80)].concat();
    let port = |target: &[u8]| [number(3, 80), bytes(4, target), number(5, 0)].concat();
    let spec = [bytes(1, &port(&named)), bytes(1, &port(&numbered))].concat();
    let service = decode(&wrapped("v1", "Service", &bytes(2, &spec))).expect("an object");
    let ports = json!([{"port": 80, "targetPort": "http"}, {"port": 80, "targetPort": 80}]);
    assert_eq!(service["spec"]["ports"], ports);
    let entry = [bytes(1, b"key"), bytes(2, &[0xff, 0x00])].concat();
    let secret = decode(&wrapped("v1", "Secret", &bytes(2, &entry))).expect("an object");
    assert_eq!(secret["data"]["key"], "/wA=");
}

#[test]
fn options_of_a_deletion_go_by_any_group() {
    let preconditions = bytes(1, b"u");
    let raw = [number(1, 0), bytes(2, &preconditions)].concat();
    let options = decode(&wrapped("apps/v1", "DeleteOptions", &raw)).expect("options");
    assert_eq!((&options["gracePeriodSeconds"], &options["preconditions"]["uid"]), (&json!(0), &json!("u")));
}

#[test]
fn a_zero_that_was_set_stays() {
    let zero = [number(1, 0), number(2, 0), bytes(3, b"")].concat();
    let raw = bytes(2, &bytes(1, &zero));
    let budget = decode(&wrapped("policy/v1", "PodDisruptionBudget", &raw)).expect("an object");
    assert_eq!(budget["spec"], json!({"minAvailable": 0}));

    let conditions = [number(1, 0), number(2, 0)].concat();
    let endpoint = [bytes(1, b"10.0.0.1"), bytes(2, &conditions)].concat();
    let port = [bytes(1, b""), bytes(2, b"TCP"), number(3, 80)].concat();
    let raw = [bytes(2, &endpoint), bytes(3, &port), bytes(4, b"IPv4")].concat();
    let slice = decode(&wrapped("discovery.k8s.io/v1", "EndpointSlice", &raw)).expect("an object");
    let endpoints = json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": false}}]);
    assert_eq!(slice["endpoints"], endpoints);
    assert_eq!(slice["ports"], json!([{"name": "", "protocol": "TCP", "port": 80}]));
}

#[test]
fn a_zero_of_a_field_that_is_always_written_is_left_out_as_go_does() {
    let container = [bytes(1, b"main"), bytes(2, b""), number(16, 0), number(17, 0), number(18, 0)].concat();
    let raw = bytes(2, &[bytes(2, &container), bytes(3, b""), number(11, 0), number(25, 0)].concat());
    let pod = decode(&wrapped("v1", "Pod", &raw)).expect("an object");
    assert_eq!(pod["spec"], json!({"containers": [{"name": "main"}], "priority": 0}));
    // No omitempty: JSON shows them.
    let raw = bytes(3, &[number(1, 0), number(2, 0), number(3, 0), number(4, 0), number(5, 0)].concat());
    let daemons = decode(&wrapped("apps/v1", "DaemonSet", &raw)).expect("an object");
    let counts = json!({
        "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
    });
    assert_eq!(daemons["status"], counts);
}

#[test]
fn parts_of_a_message_are_one() {
    let raw = [bytes(1, &bytes(1, b"name")), bytes(1, &bytes(3, b"space"))].concat();
    let object = decode(&wrapped("v1", "ConfigMap", &raw)).expect("an object");
    assert_eq!(object["metadata"], json!({"name": "name", "namespace": "space"}));
}

#[test]
fn what_is_no_message_is_refused() {
    assert_eq!(decode(b"{}").expect_err("JSON").code.as_u16(), 400);
    assert_eq!(decode(&wrapped("v1", "Unknown", b"")).expect_err("a kind").code.as_u16(), 415);
    assert_eq!(decode(&wrapped("v1", "ConfigMap", &[0x0a, 0x7f])).expect_err("cut off").code.as_u16(), 400);
}
