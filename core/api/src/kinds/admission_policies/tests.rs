//! Policies and bindings: what they default to and what is wrong with them.

use serde_json::json;

use super::*;

fn rules() -> Value {
    json!({ "resourceRules": [
        { "operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"] }] })
}

fn shown(kind: &Kind, spec: Value, change: impl Fn(&mut Value)) -> Vec<String> {
    let mut object = json!({ "metadata": { "name": "p.example.com" }, "spec": spec });
    change(&mut object["spec"]);
    (kind.default)(&mut object);
    kind.check_create(&object).iter().map(ToString::to_string).collect()
}

fn validating(change: impl Fn(&mut Value)) -> Vec<String> {
    let spec = json!({ "matchConstraints": rules(), "validations": [{ "expression": "true" }] });
    shown(&VALIDATING, spec, change)
}

fn mutating(change: impl Fn(&mut Value)) -> Vec<String> {
    let mutation = json!({ "patchType": "JSONPatch", "jsonPatch": { "expression": "[]" } });
    shown(&MUTATING, json!({ "matchConstraints": rules(), "mutations": [mutation] }), change)
}

fn binding(change: impl Fn(&mut Value)) -> Vec<String> {
    shown(&VALIDATING_BINDING, json!({ "policyName": "p", "validationActions": ["Deny"] }), change)
}

#[test]
fn policies_are_completed() {
    let mut policy = json!({ "spec": { "matchConstraints": rules() } });
    (MUTATING.default)(&mut policy);
    let spec = &policy["spec"];
    assert_eq!((&spec["failurePolicy"], &spec["reinvocationPolicy"]), (&json!("Fail"), &json!("Never")));
    let constraints = &spec["matchConstraints"];
    assert_eq!(constraints["matchPolicy"], "Equivalent");
    assert_eq!((&constraints["namespaceSelector"], &constraints["objectSelector"]), (&json!({}), &json!({})));
    assert_eq!(constraints["resourceRules"][0]["scope"], "*");
}

#[test]
fn what_is_wrong_with_a_validating_policy() {
    assert_eq!(validating(|_| ()), Vec::<String>::new());
    type Change = fn(&mut Value);
    let table: [(Change, &str); 10] = [
        (|s| s["matchConstraints"] = Value::Null, "spec.matchConstraints: Required value"),
        (|s| s["matchConstraints"] = json!({}), "spec.matchConstraints.resourceRules: Required value"),
        (
            |s| s["failurePolicy"] = "Maybe".into(),
            "spec.failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\"",
        ),
        (
            |s| s["validations"][0]["expression"] = "".into(),
            "spec.validations[0].expression: Required value: expression is not specified",
        ),
        (
            |s| s["validations"][0]["message"] = "a\nb".into(),
            "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
        ),
        (
            |s| s["validations"][0]["reason"] = "Teapot".into(),
            "spec.validations[0].reason: Unsupported value: \"Teapot\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\", \"Unauthorized\"",
        ),
        (
            |s| s["variables"] = json!([{ "name": "in", "expression": "1" }]),
            "spec.variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
        ),
        (|s| s["paramKind"] = json!({ "apiVersion": "v1" }), "spec.paramKind.kind: Required value"),
        (
            |s| s["auditAnnotations"] = json!([{ "key": "k", "valueExpression": "" }]),
            "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
        ),
        (
            |s| s["matchConstraints"]["resourceRules"][0]["resourceNames"] = json!(["a", "a"]),
            "spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: \"a\"",
        ),
    ];
    for (change, expected) in table {
        assert_eq!(validating(change), [expected]);
    }
    assert_eq!(validating(|s| s["validations"] = json!([])).len(), 2);
}

#[test]
fn what_is_wrong_with_a_mutating_policy() {
    assert_eq!(mutating(|_| ()), Vec::<String>::new());
    assert_eq!(
        mutating(|s| s["mutations"] = json!([])),
        ["spec.mutations: Required value: mutations must contain at least one item"]
    );
    assert_eq!(
        mutating(|s| s["mutations"][0]["patchType"] = "ApplyConfiguration".into()),
        [
            "spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
            "spec.mutations[0].jsonPatch: Invalid value: \"\": must not be specified when patchType is not JSONPatch",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_binding() {
    assert_eq!(binding(|_| ()), Vec::<String>::new());
    assert_eq!(binding(|s| s["policyName"] = "".into()), ["spec.policyName: Required value"]);
    assert_eq!(
        binding(|s| s["paramRef"] = json!({ "parameterNotFoundAction": "Deny" })),
        ["spec.paramRef: Required value: one of name or selector must be specified"]
    );
    assert_eq!(
        binding(|s| s["paramRef"] = json!({ "name": "a" })),
        ["spec.paramRef.parameterNotFoundAction: Required value"]
    );
    assert_eq!(
        binding(|s| s["validationActions"] = json!([])),
        ["spec.validationActions: Required value: at least one validation action is required"]
    );
    assert!(binding(|s| s["validationActions"] = json!(["Deny", "Warn"]))[0].contains("both Deny and Warn"));
}

#[test]
fn the_beta_version_is_the_same_object() {
    let old = json!({ "apiVersion": "admissionregistration.k8s.io/v1beta1", "spec": { "a": 1 } });
    let stored = (BETA.to_stored)(old.clone());
    assert_eq!(stored["apiVersion"], "admissionregistration.k8s.io/v1");
    assert_eq!((BETA.from_stored)(stored), old);
}
