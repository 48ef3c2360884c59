//! Tables over claims, slices and what they are given: a line a case.

use serde_json::{Value, json};

use super::{DEVICE_CLASS, claim, slice, taint};
use crate::{
    kind::Kind,
    test_rows::{json_of, rows},
    validate::Errors,
};

fn told(errors: &Errors) -> String {
    if errors.is_empty() {
        return "none".into();
    }
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn check(kind: &Kind, table: &'static str, place: fn(Value) -> Value) {
    for (given, expected) in rows(table) {
        let mut object = place(json_of(given));
        (kind.default)(&mut object);
        let told = told(&(kind.validate)(&object));
        assert!(told.starts_with(expected) && (expected != "none" || told == "none"), "{given}: {told}");
    }
}

const CLAIMS: &str = r#"
{"requests":[{"name":"a","exactly":{"deviceClassName":"gpu"}}]} => none
{"requests":[{"name":"a","exactly":{"deviceClassName":"gpu","allocationMode":"All"}}]} => none
{"requests":[{"name":"a","firstAvailable":[{"name":"x","deviceClassName":"gpu"}]}],"constraints":[{"requests":["a/x"],"matchAttribute":"d.io/numa"}]} => none
{"requests":[{"name":"a"}]} => spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required
{"requests":[{"name":"A","exactly":{"deviceClassName":"gpu"}}]} => spec.devices.requests[0].name: Invalid value: "A": a lowercase RFC 1123 label
{"requests":[{"name":"a","exactly":{}}]} => spec.devices.requests[0].exactly.deviceClassName: Required value
{"requests":[{"name":"a","exactly":{"deviceClassName":"g","count":-1}}]} => spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero
{"requests":[{"name":"a","exactly":{"deviceClassName":"g","allocationMode":"All","count":2}}]} => spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'
{"requests":[{"name":"a","exactly":{"deviceClassName":"g","allocationMode":"Some"}}]} => spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"
{"requests":[{"name":"a","exactly":{"deviceClassName":"g","selectors":[{"cel":{"expression":"device.driver =="}}]}}]} => spec.devices.requests[0].exactly.selectors[0].cel.expression: Invalid value: "device.driver ==": compilation failed
{"requests":[{"name":"a","exactly":{"deviceClassName":"g"}},{"name":"a","exactly":{"deviceClassName":"g"}}]} => spec.devices.requests[1]: Duplicate value: "a"
{"requests":[{"name":"a","exactly":{"deviceClassName":"g","tolerations":[{"operator":"Exists","value":"x"}]}}]} => spec.devices.requests[0].exactly.tolerations[0].value: Invalid value: "x": must be empty for operator `Exists`
{"constraints":[{"requests":["b"],"matchAttribute":"d.io/numa"}]} => spec.devices.constraints[0].requests[0]: Invalid value: "b": must be the name of a request in the claim
{"constraints":[{"matchAttribute":"numa"}]} => spec.devices.constraints[0].matchAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash
{"config":[{}]} => spec.devices.config[0].opaque: Required value
{"config":[{"opaque":{"driver":"d.io","parameters":[]}}]} => spec.devices.config[0].opaque.parameters: Invalid value: []: must be a valid JSON object"#;

#[test]
fn claims_are_checked_and_counted() {
    check(&claim::CLAIM, CLAIMS, |devices| json!({"spec": {"devices": devices}}));
    let mut object =
        json!({"spec": {"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "g"}}]}}});
    (claim::CLAIM.default)(&mut object);
    let exactly = &object["spec"]["devices"]["requests"][0]["exactly"];
    assert_eq!((&exactly["allocationMode"], &exactly["count"]), (&json!("ExactCount"), &json!(1)));
    let template =
        json!({"spec": {"metadata": {"labels": {"a": "-"}}, "spec": {"devices": {"config": [{}]}}}});
    let fields: Vec<String> = (claim::TEMPLATE.validate)(&template).into_iter().map(|e| e.field).collect();
    assert_eq!(fields, ["spec.metadata.labels", "spec.spec.devices.config[0].opaque"]);
}

const SLICES: &str = r#"
{"nodeName":"n","devices":[{"name":"a","attributes":{"model":{"string":"x"},"d.io/v":{"version":"1.2.3-rc.1+5"}},"capacity":{"mem":{"value":"1Gi"}}}]} => none
{"allNodes":true,"sharedCounters":[{"name":"s","counters":{"c":{"value":"1"}}}]} => none
{"perDeviceNodeSelection":true,"devices":[{"name":"a","nodeName":"n"}]} => none
{} => spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required
{"nodeName":"n","allNodes":true} => spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of
{"allNodes":false} => spec.allNodes: Invalid value: false: must be either unset or set to true
{"allNodes":true,"devices":[{"name":"a","nodeName":"n"}]} => spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set
{"allNodes":true,"devices":[{"name":"a"},{"name":"a"}]} => spec.devices[1]: Duplicate value: "a"
{"allNodes":true,"devices":[{"name":"a","attributes":{"x":{}}}]} => spec.devices[0].attributes[x]: Invalid value: "": exactly one value must be specified
{"allNodes":true,"devices":[{"name":"a","attributes":{"x":{"int":1,"bool":true}}}]} => spec.devices[0].attributes[x]: Invalid value: {"bool":true,"int":1}: exactly one value must be specified
{"allNodes":true,"devices":[{"name":"a","attributes":{"x":{"version":"1.2"}}}]} => spec.devices[0].attributes[x].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0
{"allNodes":true,"devices":[{"name":"a","attributes":{"x-y":{"int":1}}}]} => spec.devices[0].attributes: Invalid value: "x-y": a valid C identifier
{"allNodes":true,"devices":[{"name":"a","taints":[{"key":"k"}]}]} => spec.devices[0].taints[0].effect: Required value
{"allNodes":true,"devices":[{"name":"a","capacity":{"m":{"value":"4","requestPolicy":{"default":"1","validValues":["1","2"]}}}}]} => spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true
{"allNodes":true,"devices":[{"name":"a","allowMultipleAllocations":true,"capacity":{"m":{"value":"4","requestPolicy":{"default":"3","validValues":["1","8"]}}}}]} => spec.devices[0].capacity[m].requestPolicy.validValues[1]: Invalid value: "8": option is larger than capacity value: 4; spec.devices[0].capacity[m].requestPolicy.validValues: Invalid value: "3": default value is not valid
{"allNodes":true,"devices":[{"name":"a","allowMultipleAllocations":true,"capacity":{"m":{"value":"4","requestPolicy":{"default":"1","validRange":{"min":"2"}}}}}]} => spec.devices[0].capacity[m].requestPolicy.validRange.default: Invalid value: "1": default is less than min: 2
{"allNodes":true,"devices":[{"name":"a","bindingConditions":["a"]}]} => spec.devices[0].bindingFailureConditions: Invalid value: []: bindingFailureConditions are required to use bindingConditions
{"allNodes":true,"sharedCounters":[{"name":"s"}]} => spec.sharedCounters[0].counters: Required value"#;

#[test]
fn slices_are_checked() {
    check(&slice::KIND, SLICES, |mut spec| {
        spec["driver"] = json!("d.io");
        spec["pool"] = json!({"name": "p", "resourceSliceCount": 1});
        json!({ "spec": spec })
    });
    let old = json!({"spec": {"driver": "a", "pool": {"name": "p"}, "nodeName": "n"}});
    let new = json!({"spec": {"driver": "b", "pool": {"name": "p"}, "nodeName": "n"}});
    assert_eq!(
        told(&(slice::KIND.validate_update)(&new, &old)),
        "spec.driver: Invalid value: \"b\": field is immutable"
    );
}

const CLASSES: &str = r#"
{"extendedResourceName":"example.com/gpu"} => none
{"extendedResourceName":"cpu"} => spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name
{"extendedResourceName":"kubernetes.io/gpu"} => spec.extendedResourceName: Invalid value
{"selectors":[{}]} => spec.selectors[0].cel: Required value"#;

const RULES: &str = r#"
{"taint":{"key":"k","effect":"NoExecute"}} => none
{"deviceSelector":{"driver":"d.io","pool":"a/b","device":"x"},"taint":{"key":"k","effect":"None"}} => none
{"taint":{"key":"k","effect":"Never"}} => spec.taint.effect: Unsupported value: "Never": supported values: "NoExecute", "NoSchedule", "None"
{"deviceSelector":{"pool":"/b"},"taint":{"key":"k","effect":"None"}} => spec.deviceSelector.pool: Invalid value: "": a lowercase RFC 1123 subdomain"#;

#[test]
fn classes_and_rules_are_checked() {
    check(&DEVICE_CLASS, CLASSES, |spec| json!({ "spec": spec }));
    check(&taint::RULE, RULES, |spec| json!({ "spec": spec }));
}

const STATUS: &str = r#"
{} => none
{"allocation":{"devices":{"results":[{"request":"a","driver":"d.io","pool":"p","device":"x"}]}},"reservedFor":[{"resource":"pods","name":"p","uid":"u"}],"devices":[{"driver":"d.io","pool":"p","device":"x"}]} => none
{"reservedFor":[{"resource":"pods","name":"p","uid":"u"}]} => status.reservedFor: Forbidden: may not be specified when `allocated` is not set
{"allocation":{"devices":{"results":[{"request":"b","driver":"d.io","pool":"p","device":"x"}]}}} => status.allocation.devices.results[0].request: Invalid value: "b": must be the name of a request
{"allocation":{"devices":{"results":[{"request":"a","driver":"d.io","pool":"p","device":"x","shareID":"A"}]}}} => status.allocation.devices.results[0].shareID: Invalid value: "A": uid must be in RFC 4122 normalized form
{"devices":[{"driver":"d.io","pool":"p","device":"x"}]} => status.devices[0]: Invalid value: "d.io/p/x": must be an allocated device in the claim"#;

#[test]
fn what_a_claim_was_given_is_checked_and_stays() {
    let claim = |status: Value| json!({"spec": {"devices": {"requests": [{"name": "a"}]}}, "status": status});
    for (given, expected) in rows(STATUS) {
        let told = told(&(claim::CLAIM.validate_status)(&claim(json_of(given)), &claim(json!({}))));
        assert!(told.starts_with(expected), "{given}: {told}");
    }
    let other = claim(json!({"allocation": {"nodeSelector": {}}}));
    let errors = (claim::CLAIM.validate_status)(&claim(json!({"allocation": {}})), &other);
    assert_eq!(told(&errors), "status.allocation: Invalid value: {}: field is immutable");
}
