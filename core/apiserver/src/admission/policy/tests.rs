//! Policies as tables: a write, and what the bound policies make of it.

use serde_json::{Value, json};

use crate::{
    admission::{
        Notes,
        tests::{Write, over},
    },
    authz::Refusal,
};

const V1: &str = "admissionregistration.k8s.io/v1";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "apiVersion": V1, "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// A policy about Pods, and its binding; each with more fields.
fn bound(kind: &str, policy: Value, binding: Value) -> Vec<Value> {
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": { "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{ "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }] },
    });
    spec.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
    let mut of = json!({ "policyName": "p", "validationActions": ["Deny"] });
    of.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
    vec![
        object(kind, "p", spec),
        object(&format!("{kind}Binding"), "b", of),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "ns", "labels": { "env": "prod" } } }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "default" } }),
    ]
}

fn validating(policy: Value, binding: Value) -> Vec<Value> {
    bound("ValidatingAdmissionPolicy", policy, binding)
}

fn pod() -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "ns", "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "c", "image": "i" }], "priority": 0 } })
}

async fn create(objects: Vec<Value>) -> (Result<Value, Refusal>, Notes) {
    Write::create("pods ns/web").on(&over(objects), Some(pod())).await
}

/// `code reason: message` of what is refused.
async fn refused(objects: Vec<Value>) -> Option<String> {
    let refusal = create(objects).await.0.err()?;
    Some(format!("{} {}: {}", refusal.code, refusal.reason, refusal.message))
}

fn validation(expression: &str) -> Value {
    json!({ "validations": [{ "expression": expression }] })
}

#[tokio::test]
async fn expressions_decide() {
    let denied = |why: &str| {
        Some(format!(
            "422 Invalid: pods \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {why}"
        ))
    };
    let table = [
        (validation("object.metadata.labels.app == 'web'"), None),
        (
            validation("object.metadata.labels.app == 'db'"),
            denied("failed expression: object.metadata.labels.app == 'db'"),
        ),
        (validation("namespaceObject.metadata.labels.env == 'prod'"), None),
        (validation("request.operation == 'CREATE' && request.userInfo.username == 'jane'"), None),
        (validation("oldObject == null"), None),
        (
            validation("object.spec.missing == 1"),
            denied("expression 'object.spec.missing == 1' resulted in error: no such key: missing"),
        ),
        (
            json!({ "validations": [{ "expression": "false", "message": "said", "messageExpression": "'made ' + object.metadata.name" }] }),
            denied("made web"),
        ),
        (
            json!({ "validations": [{ "expression": "false", "message": "said", "messageExpression": "'a\\nb'" }] }),
            denied("said"),
        ),
        (
            json!({ "validations": [{ "expression": "false", "message": "said", "messageExpression": "object.nothing" }] }),
            denied("said"),
        ),
        (
            json!({ "variables": [{ "name": "one", "expression": "object.metadata.name" },
                                  { "name": "two", "expression": "variables.one + '!'" }],
                    "validations": [{ "expression": "variables.two == 'web!'" }] }),
            None,
        ),
        (
            json!({ "matchConditions": [{ "name": "a", "expression": "false" }], "validations": [{ "expression": "false" }] }),
            None,
        ),
        (
            json!({ "failurePolicy": "Ignore", "validations": [{ "expression": "object.spec.missing == 1" }] }),
            None,
        ),
        (
            json!({ "failurePolicy": "Ignore", "validations": [{ "expression": "false" }] }),
            denied("failed expression: false"),
        ),
    ];
    for (policy, expected) in table {
        assert_eq!(refused(validating(policy.clone(), json!({}))).await, expected, "{policy}");
    }
    let reason = json!({ "validations": [{ "expression": "false", "reason": "Unauthorized" }] });
    assert!(refused(validating(reason, json!({}))).await.unwrap().starts_with("401 Unauthorized: "));
}

#[tokio::test]
async fn rules_and_selectors_say_what_is_concerned() {
    let deny = |more: Value| {
        let mut constraints = json!({ "resourceRules": [{ "operations": ["CREATE"], "apiGroups": [""],
            "apiVersions": ["v1"], "resources": ["pods"] }] });
        constraints.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "matchConstraints": constraints, "validations": [{ "expression": "false" }] })
    };
    let rule = |resource: &str| json!([{ "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": [resource] }]);
    let named = json!([{ "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"],
                         "resourceNames": ["other"] }]);
    let labels = |key: &str, value: &str| json!({ "matchLabels": { key: value } });
    let table = [
        (deny(json!({})), json!({}), true),
        (deny(json!({ "resourceRules": rule("services") })), json!({}), false),
        (deny(json!({ "resourceRules": named })), json!({}), false),
        (deny(json!({ "excludeResourceRules": rule("pods") })), json!({}), false),
        (deny(json!({ "namespaceSelector": labels("env", "prod") })), json!({}), true),
        (deny(json!({ "namespaceSelector": labels("env", "test") })), json!({}), false),
        (deny(json!({ "objectSelector": labels("app", "db") })), json!({}), false),
        (deny(json!({})), json!({ "matchResources": { "namespaceSelector": labels("env", "test") } }), false),
        (deny(json!({})), json!({ "matchResources": { "resourceRules": rule("pods") } }), true),
        (deny(json!({})), json!({ "policyName": "another" }), false),
    ];
    for (policy, binding, expected) in table {
        let is_refused = refused(validating(policy.clone(), binding.clone())).await.is_some();
        assert_eq!(is_refused, expected, "{policy} {binding}");
    }
}

#[tokio::test]
async fn bindings_bring_parameters() {
    let param = |name: &str, limit: &str| {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "app": limit },
                "metadata": { "name": name, "namespace": "ns", "labels": { "is": "param" } } })
    };
    let policy = json!({ "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "validations": [{ "expression": "object.metadata.labels.app == params.data.app",
                          "messageExpression": "'wanted ' + params.data.app" }] });
    let with = |reference: Value, params: Vec<Value>| {
        let mut objects = validating(policy.clone(), json!({ "paramRef": reference }));
        objects.extend(params);
        refused(objects)
    };
    let selected =
        json!({ "selector": { "matchLabels": { "is": "param" } }, "parameterNotFoundAction": "Deny" });
    let by_name = json!({ "name": "a", "parameterNotFoundAction": "Deny" });
    assert_eq!(with(by_name.clone(), vec![param("a", "web")]).await, None);
    assert!(with(by_name.clone(), vec![param("a", "db")]).await.unwrap().ends_with("wanted db"));
    assert!(
        with(by_name, vec![])
            .await
            .unwrap()
            .ends_with("no params found for policy binding with `Deny` parameterNotFoundAction")
    );
    assert_eq!(with(json!({ "name": "a", "parameterNotFoundAction": "Allow" }), vec![]).await, None);
    assert_eq!(with(selected.clone(), vec![param("a", "web"), param("b", "web")]).await, None);
    assert!(with(selected, vec![param("a", "web"), param("b", "db")]).await.unwrap().ends_with("wanted db"));
    let unknown = json!({ "paramKind": { "apiVersion": "a/v1", "kind": "Limit" }, "validations": [{ "expression": "true" }] });
    let why = refused(validating(unknown, json!({ "paramRef": { "name": "a" } }))).await.unwrap();
    assert!(
        why.ends_with("failed to configure binding: paramKind kind `a/v1, Kind=Limit` not known"),
        "{why}"
    );
}

#[tokio::test]
async fn what_is_denied_may_be_warned_of_or_noted() {
    let policy = json!({ "validations": [{ "expression": "true" }, { "expression": "false", "message": "no" }],
        "auditAnnotations": [{ "key": "name", "valueExpression": "object.metadata.name" },
                             { "key": "none", "valueExpression": "null" }] });
    let (made, notes) = create(validating(policy, json!({ "validationActions": ["Warn", "Audit"] }))).await;
    assert!(made.is_ok());
    assert_eq!(
        notes.warnings(),
        ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no"]
    );
    let annotations = notes.annotations();
    assert_eq!(annotations.get("p/name").map(String::as_str), Some("web"));
    assert!(!annotations.contains_key("p/none"));
    let failures: Value =
        serde_json::from_str(&annotations["validation.policy.admission.k8s.io/validation_failure"]).unwrap();
    assert_eq!(
        failures,
        json!([{ "message": "no", "policy": "p", "binding": "b", "expressionIndex": 1,
                 "validationActions": ["Warn", "Audit"] }])
    );
}

#[tokio::test]
async fn policies_change_objects_one_after_the_other() {
    let patch =
        |expression: &str| json!({ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } });
    let first = json!({ "reinvocationPolicy": "IfNeeded", "mutations": [
        patch("[JSONPatch{op: 'add', path: '/metadata/labels/first', value: 'a'}]"),
        patch("has(object.metadata.labels.first) ? [JSONPatch{op: 'add', path: '/metadata/labels/second', value: object.metadata.labels.first}] : []"),
    ] });
    let objects = bound("MutatingAdmissionPolicy", first, json!({}));
    let made = create(objects).await.0.unwrap();
    assert_eq!(made["metadata"]["labels"], json!({ "app": "web", "first": "a", "second": "a" }));

    let apply = json!({ "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression":
        "Object{metadata: Object.metadata{labels: {'team': namespaceObject.metadata.labels.env}}}" } }] });
    let made = create(bound("MutatingAdmissionPolicy", apply, json!({}))).await.0.unwrap();
    assert_eq!(made["metadata"]["labels"], json!({ "app": "web", "team": "prod" }));

    let broken = |failure: &str| {
        let spec = json!({ "failurePolicy": failure, "mutations": [patch("[JSONPatch{op: 'remove', path: '/no/where'}]")] });
        bound("MutatingAdmissionPolicy", spec, json!({}))
    };
    let why = refused(broken("Fail")).await.unwrap();
    assert!(
        why.starts_with("403 Invalid: policy 'p' with binding 'b' denied request: JSON Patch: "),
        "{why}"
    );
    assert_eq!(refused(broken("Ignore")).await, None);
}

#[tokio::test]
async fn policies_do_not_decide_about_policies() {
    let everything = json!({ "matchConstraints": { "resourceRules": [{ "operations": ["*"], "apiGroups": ["*"],
        "apiVersions": ["*"], "resources": ["*"] }] }, "validations": [{ "expression": "false" }] });
    let cluster = over(validating(everything, json!({})));
    for resource in ["validatingadmissionpolicies", "mutatingadmissionpolicybindings"] {
        let path = format!("admissionregistration.k8s.io:{resource} /x");
        let (made, _) = Write::create(&path).on(&cluster, Some(json!({ "metadata": { "name": "x" } }))).await;
        assert!(made.is_ok(), "{resource}");
    }
    let path = "admissionregistration.k8s.io:validatingwebhookconfigurations /x";
    let (made, _) = Write::create(path).on(&cluster, Some(json!({ "metadata": { "name": "x" } }))).await;
    assert!(made.is_err());
}
