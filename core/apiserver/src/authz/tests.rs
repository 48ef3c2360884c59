//! The authorizer over whole sets of roles and bindings.

use std::sync::Arc;

use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::{fixture::Fixture, *};

fn role(kind: &str, namespace: &str, name: &str, rules: Value) -> Value {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": { "namespace": namespace, "name": name }, "rules": rules })
}

fn bind(kind: &str, namespace: &str, name: &str, role: &str, subject: Value) -> Value {
    let (role_kind, role_name) = role.split_once(' ').unwrap();
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": { "namespace": namespace, "name": name },
            "roleRef": { "kind": role_kind, "name": role_name }, "subjects": [subject] })
}

fn user(name: &str) -> Value {
    json!({ "kind": "User", "name": name })
}

fn cluster() -> Arc<Rbac> {
    let pods = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] }]);
    let mut objects = bootstrap::objects();
    objects.extend([
        role("Role", "ns", "pods", pods.clone()),
        bind("RoleBinding", "ns", "jane-pods", "Role pods", user("jane")),
        bind("RoleBinding", "ns", "sue-edit", "ClusterRole edit", user("sue")),
        bind("RoleBinding", "ns", "sam-admin", "ClusterRole admin", user("sam")),
        bind("RoleBinding", "ns", "lost", "Role gone", user("lost")),
        bind("RoleBinding", "ns", "robot", "Role pods", json!({ "kind": "ServiceAccount", "name": "robot", "namespace": "ci" })),
        bind("ClusterRoleBinding", "", "ops-view", "ClusterRole view", json!({ "kind": "Group", "name": "ops" })),
        role("ClusterRole", "", "binder", json!([
            { "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings", "clusterroles"], "verbs": ["create", "bind"], "resourceNames": ["view"] },
        ])),
        bind("ClusterRoleBinding", "", "bob-binds", "ClusterRole binder", user("bob")),
    ]);
    let mut extension = role(
        "ClusterRole",
        "",
        "widgets-view",
        json!([{ "apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"] }]),
    );
    extension["metadata"]["labels"] = json!({ "rbac.authorization.k8s.io/aggregate-to-view": "true" });
    objects.push(extension);
    Rbac::new(Arc::new(Fixture::new(objects)))
}

/// `verb [group:]resource[/subresource] NAMESPACE/[name]`, or `verb /path`.
fn question(text: &str) -> Attributes {
    let words: Vec<&str> = text.split(' ').collect();
    if let [verb, path] = words[..] {
        return Attributes::NonResource { verb: verb.into(), path: path.into() };
    }
    let (group, resource) = words[1].split_once(':').unwrap_or(("", words[1]));
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let (namespace, name) = words[2].split_once('/').unwrap();
    Attributes::Resource {
        verb: words[0].into(),
        group: group.into(),
        version: "v1".into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn check(user: &UserInfo, text: &str, expected: bool) {
    let answer = cluster().authorize(user, &question(text));
    assert_eq!(answer.is_ok(), expected, "{} {text}: {answer:?}", user.name);
}

#[test]
fn roles_reach_as_far_as_their_bindings() {
    let jane = UserInfo::named("jane", &[]);
    check(&jane, "list pods ns/", true);
    check(&jane, "get pods ns/web", true);
    check(&jane, "get pods/log ns/web", false);
    check(&jane, "list pods other/", false);
    check(&jane, "list pods /", false);
    check(&UserInfo::named("system:serviceaccount:ci:robot", &[]), "list pods ns/", true);
    check(&UserInfo::named("system:serviceaccount:ns:robot", &[]), "list pods ns/", false);
    let ops = UserInfo::named("olga", &["ops"]);
    check(&ops, "list apps:deployments /", true);
    check(&ops, "get pods/log kube-system/x", true);
    check(&ops, "get secrets ns/x", false);
    check(&ops, "get example.com:widgets ns/x", true);
    check(&ops, "list metrics.k8s.io:pods ns/", true);
    let sue = UserInfo::named("sue", &[]);
    check(&sue, "create pods/exec ns/web", true);
    check(&sue, "patch apps:deployments/scale ns/web", true);
    check(&sue, "get example.com:widgets ns/x", true);
    check(&sue, "create rbac.authorization.k8s.io:roles ns/", false);
    check(&UserInfo::master("root"), "delete nodes /n1", true);
    check(&UserInfo::master("root"), "post /anything", true);
}

#[test]
fn abuse_01_anonymous_reaches_health_and_version_only() {
    let nobody = UserInfo {
        name: "system:anonymous".into(),
        groups: vec!["system:unauthenticated".into()],
        ..UserInfo::default()
    };
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        check(&nobody, &format!("get {path}"), true);
    }
    for refused in [
        "get /",
        "get /api",
        "get /apis",
        "get /openapi/v2",
        "get /metrics",
        "get /healthz/etcd",
        "post /version",
        "list pods /",
        "get namespaces /default",
        "create authorization.k8s.io:selfsubjectaccessreviews /",
        "get /tiphys/v1/sql",
        "get /.well-known/openid-configuration",
    ] {
        check(&nobody, refused, false);
    }
    check(&UserInfo::named("jane", &[]), "get /openapi/v2", true);
    check(&UserInfo::named("jane", &[]), "create authorization.k8s.io:selfsubjectaccessreviews /", true);
}

#[test]
fn a_refusal_is_worded_as_clients_expect() {
    let said = |name: &str, text: &str| {
        let (user, attributes) = (UserInfo::named(name, &[]), question(text));
        let why = cluster().authorize(&user, &attributes).unwrap_err();
        forbidden(&user, &attributes, &why).message
    };
    assert_eq!(
        said("x", "list pods default/"),
        r#"pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "default""#
    );
    assert_eq!(
        said("x", "patch apps:deployments/scale /web"),
        r#"deployments.apps "web" is forbidden: User "x" cannot patch resource "deployments/scale" in API group "apps" at the cluster scope"#
    );
    assert_eq!(said("x", "get /metrics"), r#"forbidden: User "x" cannot get path "/metrics""#);
    assert_eq!(
        said("lost", "list pods ns/"),
        r#"pods is forbidden: User "lost" cannot list resource "pods" in API group "" in the namespace "ns": RBAC: role.rbac.authorization.k8s.io "gone" not found"#
    );
}

#[test]
fn abuse_04_nobody_grants_more_than_they_have() {
    let rbac = cluster();
    let sam = UserInfo::named("sam", &[]);
    let write = |user: &UserInfo, resource: &str, new: &Value, old: Option<&Value>| {
        let namespace = if resource.starts_with("cluster") { "" } else { "ns" };
        check_escalation(&rbac, user, resource, namespace, new, old).map_err(|refusal| refusal.code)
    };
    let small = json!([{ "apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get"], "resourceNames": ["a"] }]);
    let nodes = json!([{ "apiGroups": [""], "resources": ["nodes"], "verbs": ["get"] }]);
    let stars = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let named = |rules: &Value| role("Role", "ns", "new", rules.clone());
    assert_eq!(write(&sam, "roles", &named(&small), None), Ok(()));
    assert_eq!(write(&sam, "roles", &named(&nodes), None), Err(403));
    assert_eq!(write(&sam, "roles", &named(&stars), None), Err(403));
    assert_eq!(write(&sam, "roles", &named(&stars), Some(&named(&small))), Err(403));
    assert_eq!(write(&sam, "roles", &named(&stars), Some(&named(&stars))), Ok(()));
    assert_eq!(write(&UserInfo::master("root"), "roles", &named(&stars), None), Ok(()));

    let mut aggregated = role("ClusterRole", "", "new", json!([]));
    aggregated["aggregationRule"] = json!({ "clusterRoleSelectors": [{}] });
    assert_eq!(write(&sam, "clusterroles", &aggregated, None), Err(403));

    let binding = |role: &str| bind("RoleBinding", "ns", "new", role, user("sam"));
    assert_eq!(write(&sam, "rolebindings", &binding("ClusterRole view"), None), Ok(()));
    assert_eq!(write(&sam, "rolebindings", &binding("ClusterRole cluster-admin"), None), Err(403));
    assert_eq!(write(&sam, "rolebindings", &binding("Role gone"), None), Err(404));
    let bob = UserInfo::named("bob", &[]);
    assert_eq!(write(&bob, "rolebindings", &binding("ClusterRole view"), None), Ok(()));
    assert_eq!(write(&bob, "rolebindings", &binding("ClusterRole edit"), None), Err(403));

    let refused = check_escalation(&rbac, &sam, "roles", "ns", &named(&nodes), None).unwrap_err();
    assert!(
        refused.message.ends_with(r#"{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}"#),
        "{refused}"
    );
}

#[test]
fn reviews_answer_for_the_asker_and_for_others() {
    let rbac = cluster();
    let sue = UserInfo::named("sue", &[]);
    let ask = |kind: &str, spec: Value| review(&rbac, kind, "ns", &sue, json!({ "spec": spec }));
    let exec = json!({ "verb": "create", "resource": "pods", "subresource": "exec", "namespace": "ns" });
    let own = ask("SelfSubjectAccessReview", json!({ "resourceAttributes": exec })).unwrap();
    assert_eq!(own["status"]["allowed"], true);
    assert_eq!(
        own["status"]["reason"],
        r#"RBAC: allowed by RoleBinding "sue-edit/ns" of ClusterRole "edit" to User "sue""#
    );
    let other = json!({ "user": "jane", "resourceAttributes": exec });
    assert_eq!(ask("SubjectAccessReview", other.clone()).unwrap()["status"], json!({ "allowed": false }));
    assert_eq!(ask("LocalSubjectAccessReview", other.clone()).unwrap()["status"]["allowed"], false);
    let path = json!({ "user": "jane", "groups": ["system:monitoring"], "nonResourceAttributes": { "verb": "get", "path": "/metrics" } });
    assert_eq!(ask("SubjectAccessReview", path).unwrap()["status"]["allowed"], true);
    assert_eq!(ask("SubjectAccessReview", json!({ "resourceAttributes": exec })).unwrap_err().code, 422);
    assert_eq!(ask("SubjectAccessReview", json!({ "user": "jane" })).unwrap_err().code, 422);

    let rules = ask("SelfSubjectRulesReview", json!({ "namespace": "ns" })).unwrap();
    let listed = rules["status"]["resourceRules"].as_array().unwrap();
    assert!(listed.iter().any(|rule| rule["resources"][0] == "pods/eviction"));
    assert!(!rules["status"]["nonResourceRules"].as_array().unwrap().is_empty());
}
