//! Admission policies, through the whole server.

use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use super::harness::{DEPLOYMENTS, Harness, MAPS, deployment};

const V1: &str = "/apis/admissionregistration.k8s.io/v1";

/// A policy about Deployments, bound as it is.
async fn bound(api: &Harness, kind: &str, name: &str, spec: Value) -> Value {
    let rule = json!({ "operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
                       "resources": ["deployments"] });
    let mut policy = json!({ "metadata": { "name": name },
                             "spec": { "matchConstraints": { "resourceRules": [rule] } } });
    policy["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let made = api.post(&format!("{V1}/{kind}policies"), &policy).await.expect(201);
    let mut binding = json!({ "metadata": { "name": name }, "spec": { "policyName": name } });
    if kind.starts_with("validating") {
        binding["spec"]["validationActions"] = json!(["Deny"]);
    }
    api.post(&format!("{V1}/{kind}policybindings"), &binding).await.expect(201);
    for list in ["policies", "policybindings"] {
        api.get(&format!("{V1}/{kind}{list}")).await.expect(200);
    }
    made
}

#[tokio::test]
async fn a_policy_decides_about_deployments() {
    let api = Harness::start().await;
    let spec = json!({ "validations": [{ "expression": "object.spec.replicas > 1",
        "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas" }] });
    bound(&api, "validatingadmission", "replicas.example.com", spec).await;
    let few = api.post(DEPLOYMENTS, &deployment("few", 1)).await.refused(422, "Invalid");
    assert_eq!(
        few,
        "deployments.apps \"few\" is forbidden: ValidatingAdmissionPolicy 'replicas.example.com' with binding \
         'replicas.example.com' denied request: failed expression: object.spec.replicas > 1"
    );
    api.post(DEPLOYMENTS, &deployment("more", 2)).await.expect(201);
    api.patch(&format!("{DEPLOYMENTS}/more"), "merge", &json!({ "spec": { "replicas": 1 } }))
        .await
        .refused(422, "Invalid");
    // Scale is another resource.
    let scale = json!({ "spec": { "replicas": 1 } });
    api.patch(&format!("{DEPLOYMENTS}/more/scale"), "merge", &scale).await.expect(200);
}

#[tokio::test]
async fn types_are_checked_when_a_policy_is_written() {
    let api = Harness::start().await;
    let confused = json!({ "validations": [{ "expression": "object.spec.replicas > '1'",
        "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas" }] });
    let made = bound(&api, "validatingadmission", "confused", confused).await;
    assert_eq!(made["status"]["observedGeneration"], 1);
    let warnings = made["status"]["typeChecking"]["expressionWarnings"].as_array().unwrap();
    let told: Vec<_> = warnings.iter().map(|warning| warning["fieldRef"].as_str().unwrap()).collect();
    assert_eq!(told, ["spec.validations[0].expression", "spec.validations[0].messageExpression"]);
    assert_eq!(
        warnings[0]["warning"],
        "apps/v1, Kind=Deployment: ERROR: found no matching overload for '_>_' applied to '(int, string)'\n | \
         object.spec.replicas > '1'"
    );
    let right = json!({ "spec": { "validations": [{ "expression": "object.spec.replicas > 1" }] } });
    let path = format!("{V1}/validatingadmissionpolicies/confused");
    let changed = api.patch(&path, "merge", &right).await.expect(200);
    assert_eq!(changed["status"], json!({ "observedGeneration": 2, "typeChecking": {} }));
}

#[tokio::test]
async fn expressions_that_are_none_are_refused() {
    let api = Harness::start().await;
    let path = format!("{V1}/validatingadmissionpolicies");
    let policy = |expression: &str| {
        json!({ "metadata": { "name": "p" }, "spec": {
            "matchConstraints": { "resourceRules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                                                      "resources": ["pods"] }] },
            "validations": [{ "expression": expression }] } })
    };
    for (expression, why) in [
        ("objekt.a == 1", "compilation failed: undeclared reference to 'objekt' (in container '')"),
        ("object.a == ", "compilation failed: "),
        ("'text'", "must evaluate to bool"),
    ] {
        let told = api.post(&path, &policy(expression)).await.refused(422, "Invalid");
        assert!(
            told.contains("spec.validations[0].expression: Invalid value: ") && told.contains(why),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_policy_changes_what_is_created() {
    let api = Harness::start().await;
    let expression = "Object{metadata: Object.metadata{labels: {'team': 'a'}}, \
                      spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{\
                      containers: object.spec.template.spec.containers.map(c, \
                      Object.spec.template.spec.containers{name: c.name, imagePullPolicy: 'Always'})}}}}";
    let spec = json!({ "reinvocationPolicy": "Never", "failurePolicy": "Fail",
        "mutations": [{ "patchType": "ApplyConfiguration", "applyConfiguration": { "expression": expression } }] });
    bound(&api, "mutatingadmission", "team", spec).await;
    let made = api.post(DEPLOYMENTS, &deployment("d", 1)).await.expect(201);
    assert_eq!(made["metadata"]["labels"]["team"], "a");
    let container = &made["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["imagePullPolicy"], "Always");
    assert!(container["image"].is_string());
    let beta = api.get("/apis/admissionregistration.k8s.io/v1beta1/mutatingadmissionpolicies/team").await;
    assert_eq!(beta.expect(200)["apiVersion"], "admissionregistration.k8s.io/v1beta1");
}

#[tokio::test]
async fn a_policy_reads_a_parameter_that_was_made_a_moment_ago() {
    let api = Harness::start().await;
    let spec = json!({ "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "validations": [{ "expression": "object.spec.replicas <= int(params.data.max)" }] });
    bound(&api, "validatingadmission", "limit", spec).await;
    let path = format!("{V1}/validatingadmissionpolicybindings/limit");
    let reference = json!({ "spec": { "paramRef": { "name": "limit", "parameterNotFoundAction": "Deny" } } });
    api.patch(&path, "merge", &reference).await.expect(200);
    api.get(&format!("{V1}/validatingadmissionpolicybindings")).await.expect(200);
    let missing = api.post(DEPLOYMENTS, &deployment("d", 1)).await.refused(422, "Invalid");
    assert!(missing.contains("no params found"), "{missing}");
    api.post(MAPS, &json!({ "metadata": { "name": "limit" }, "data": { "max": "2" } })).await.expect(201);
    api.post(DEPLOYMENTS, &deployment("d", 3)).await.refused(422, "Invalid");
    api.post(DEPLOYMENTS, &deployment("d", 2)).await.expect(201);
}

#[tokio::test]
async fn who_binds_a_parameter_must_be_able_to_read_it() {
    let api = Harness::start().await;
    let role = json!({ "metadata": { "name": "author" }, "rules": [
        { "apiGroups": ["admissionregistration.k8s.io"], "resources": ["*"], "verbs": ["*"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"] } ] });
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    api.post(&format!("{roles}/clusterroles"), &role).await.expect(201);
    let binding = json!({ "metadata": { "name": "author" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "author" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane" }] });
    api.post(&format!("{roles}/clusterrolebindings"), &binding).await.expect(201);
    let policy = |kind: &str| {
        let rule = json!({ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] });
        json!({ "metadata": { "name": format!("by-{}", kind.to_lowercase()) }, "spec": {
            "paramKind": { "apiVersion": "v1", "kind": kind }, "matchConstraints": { "resourceRules": [rule] },
            "validations": [{ "expression": "params != null" }] } })
    };
    let jane = |object: Value, path: &'static str| {
        let api = &api;
        async move { api.post_as(UserInfo::named("jane", &["system:authenticated"]), path, &object).await }
    };
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    // The table of rights follows its watch.
    api.eventually(|| async { jane(policy("ConfigMap"), policies).await.code != 403 }).await;
    api.get(&format!("{policies}/by-configmap")).await.expect(200);
    let why = jane(policy("Secret"), policies).await.refused(422, "Invalid");
    assert_eq!(
        why,
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io \"by-secret\" is invalid: spec.paramKind: Forbidden: \
         user jane must have \"get\" permission on all objects of the referenced paramKind (kind=Secret, apiVersion=v1)"
    );
    api.post(policies, &policy("Secret")).await.expect(201);
    let bound = |policy: &str| {
        json!({ "metadata": { "name": policy }, "spec": { "policyName": policy, "validationActions": ["Deny"],
            "paramRef": { "name": "x", "namespace": "kube-system", "parameterNotFoundAction": "Deny" } } })
    };
    let bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    jane(bound("by-configmap"), bindings).await.expect(201);
    let why = jane(bound("by-secret"), bindings).await.refused(422, "Invalid");
    assert!(why.contains("spec.paramRef: Forbidden: user jane does not have \"get\" permission"), "{why}");
}
