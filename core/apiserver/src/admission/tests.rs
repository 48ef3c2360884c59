//! Plug-ins as tables: a write, and what becomes of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use super::*;
use crate::authz::fixture::Fixture;

fn cluster() -> Admission {
    let named = |api: &str, kind: &str, name: &str, more: Value| {
        let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name } });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let account = |name: &str, more: Value| {
        let mut account = named("v1", "ServiceAccount", name, more);
        account["metadata"]["namespace"] = "ns".into();
        account
    };
    let pod = |name: &str, node: &str| {
        let metadata = json!({ "namespace": "ns", "name": name, "uid": "p1" });
        named("v1", "Pod", name, json!({ "metadata": metadata, "spec": { "nodeName": node } }))
    };
    Admission::new(Arc::new(Fixture::new([
        named("v1", "Namespace", "ns", json!({ "status": { "phase": "Active" } })),
        named("v1", "Namespace", "kube-node-lease", json!({})),
        named("v1", "Namespace", "ending", json!({ "status": { "phase": "Terminating" } })),
        account("default", json!({})),
        account(
            "plain",
            json!({ "automountServiceAccountToken": false, "imagePullSecrets": [{ "name": "pull" }] }),
        ),
        named(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            "high",
            json!({ "value": 1000, "preemptionPolicy": "Never" }),
        ),
        named(
            "scheduling.k8s.io/v1",
            "PriorityClass",
            "normal",
            json!({ "value": 10, "globalDefault": true }),
        ),
        named("v1", "Node", "n1", json!({ "metadata": { "name": "n1", "uid": "u1" } })),
        pod("here", "n1"),
        pod("there", "n2"),
    ])))
}

/// `(group) resource[/subresource] namespace/name`
struct Write<'a> {
    operation: Operation,
    path: &'a str,
    user: UserInfo,
    old: Option<Value>,
}

impl Write<'_> {
    async fn run(&self, object: Option<Value>) -> Result<Value, Refusal> {
        let (resource, place) = self.path.split_once(' ').unwrap();
        let (group, resource) = resource.split_once(':').unwrap_or(("", resource));
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let (namespace, name) = place.split_once('/').unwrap();
        let mut object = object;
        let mut request = Request {
            operation: self.operation,
            user: &self.user,
            group,
            resource,
            subresource,
            namespace,
            name,
            object: object.as_mut(),
            old: self.old.as_ref(),
        };
        let cluster = cluster();
        cluster.mutate(&mut request).await?;
        cluster.validate(&request).await?;
        Ok(object.unwrap_or_default())
    }
}

async fn create(path: &str, object: Value) -> Result<Value, Refusal> {
    Write { operation: Operation::Create, path, user: UserInfo::named("jane", &[]), old: None }
        .run(Some(object))
        .await
}

async fn by_node(operation: Operation, path: &str, object: Value, old: Value) -> Result<Value, u16> {
    let user = UserInfo::named("system:node:n1", &["system:nodes"]);
    let object = (operation != Operation::Delete).then_some(object);
    Write { operation, path, user, old: Some(old) }.run(object).await.map_err(|refusal| refusal.code)
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c" }] } });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

#[tokio::test]
async fn namespaces_must_be_there_and_alive() {
    assert!(create("configmaps ns/a", json!({})).await.is_ok());
    let missing = create("configmaps gone/a", json!({})).await.unwrap_err();
    assert_eq!((missing.code, missing.message.as_str()), (404, "namespaces \"gone\" not found"));
    let ending = create("configmaps ending/a", json!({})).await.unwrap_err();
    assert_eq!(
        ending.message,
        "configmaps \"a\" is forbidden: unable to create new content in namespace ending because it is being terminated"
    );
    assert_eq!(ending.details.unwrap()["causes"][0]["reason"], "NamespaceTerminating");
    let user = UserInfo::master("root");
    let delete = |path| Write { operation: Operation::Delete, path, user: user.clone(), old: None };
    assert_eq!(delete("namespaces /default").run(None).await.unwrap_err().code, 403);
    assert!(delete("namespaces /ns").run(None).await.is_ok());
    assert!(delete("configmaps ending/a").run(None).await.is_ok());
    let update =
        Write { operation: Operation::Update, path: "configmaps ending/a", user: user.clone(), old: None };
    assert!(update.run(Some(json!({}))).await.is_ok());
}

#[tokio::test]
async fn a_pod_finds_its_token_in_every_container() {
    let spec = json!({ "initContainers": [{ "name": "i" }], "containers": [
        { "name": "c" },
        { "name": "own", "volumeMounts": [{ "name": "x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }] },
    ]});
    let made = create("pods ns/web", pod(spec)).await.unwrap();
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    let volume = &made["spec"]["volumes"][0];
    let name = volume["name"].as_str().unwrap();
    assert_eq!(name.len(), "kube-api-access-".len() + 5);
    let sources = &volume["projected"]["sources"];
    assert_eq!(sources[0]["serviceAccountToken"], json!({ "path": "token", "expirationSeconds": 3607 }));
    assert_eq!(sources[1]["configMap"]["name"], "kube-root-ca.crt");
    let mount = json!([{ "name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" }]);
    assert_eq!(made["spec"]["initContainers"][0]["volumeMounts"], mount);
    assert_eq!(made["spec"]["containers"][0]["volumeMounts"], mount);
    assert_eq!(made["spec"]["containers"][1]["volumeMounts"][0]["name"], "x");

    let again = create("pods ns/web", made.clone()).await.unwrap();
    assert_eq!(again, made);

    let plain = create("pods ns/web", pod(json!({ "serviceAccountName": "plain" }))).await.unwrap();
    assert_eq!(plain["spec"]["volumes"], Value::Null);
    assert_eq!(plain["spec"]["imagePullSecrets"][0]["name"], "pull");
    let wanted = pod(json!({ "serviceAccountName": "plain", "automountServiceAccountToken": true }));
    assert!(create("pods ns/web", wanted).await.unwrap()["spec"]["volumes"].is_array());

    let lost = create("pods ns/web", pod(json!({ "serviceAccountName": "lost" }))).await.unwrap_err();
    assert_eq!(
        lost.message,
        "pods \"web\" is forbidden: error looking up service account ns/lost: serviceaccount \"lost\" not found"
    );
}

#[tokio::test]
async fn tolerations_are_added_unless_the_pod_has_its_own() {
    let keys = |pod: Value| -> Vec<(String, Value)> {
        items(&pod["spec"]["tolerations"])
            .map(|it| (it["key"].as_str().unwrap_or_default().to_owned(), it["tolerationSeconds"].clone()))
            .collect()
    };
    let made = create("pods ns/web", pod(json!({}))).await.unwrap();
    let (not_ready, unreachable) =
        ("node.kubernetes.io/not-ready".to_owned(), "node.kubernetes.io/unreachable".to_owned());
    assert_eq!(keys(made), [(not_ready.clone(), json!(300)), (unreachable.clone(), json!(300))]);
    let own =
        json!([{ "key": not_ready, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5 }]);
    let made = create("pods ns/web", pod(json!({ "tolerations": own }))).await.unwrap();
    assert_eq!(keys(made), [(not_ready, json!(5)), (unreachable, json!(300))]);
    let all = create("pods ns/web", pod(json!({ "tolerations": [{ "operator": "Exists" }] }))).await.unwrap();
    assert_eq!(all["spec"]["tolerations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn priorities_come_from_their_class() {
    let made = async |spec: Value| create("pods ns/web", pod(spec)).await.map(|pod| pod["spec"].clone());
    let high = made(json!({ "priorityClassName": "high" })).await.unwrap();
    assert_eq!((&high["priority"], &high["preemptionPolicy"]), (&json!(1000), &json!("Never")));
    let default = made(json!({})).await.unwrap();
    assert_eq!((&default["priority"], &default["priorityClassName"]), (&json!(10), &json!("normal")));
    let system = made(json!({ "priorityClassName": "system-node-critical" })).await.unwrap();
    assert_eq!(system["priority"], 2_000_001_000);
    let gone = made(json!({ "priorityClassName": "gone" })).await.unwrap_err();
    assert_eq!(gone.message, "pods \"web\" is forbidden: no PriorityClass with name gone was found");
    assert_eq!(made(json!({ "priorityClassName": "high", "priority": 5 })).await.unwrap_err().code, 403);

    let class = |name: &str| json!({ "metadata": { "name": name }, "value": 1, "globalDefault": true });
    assert_eq!(create("scheduling.k8s.io:priorityclasses /x", class("x")).await.unwrap_err().code, 403);
    assert!(create("scheduling.k8s.io:priorityclasses /normal", class("normal")).await.is_ok());
}

#[tokio::test]
async fn a_new_node_is_tainted() {
    let node = create("nodes /n2", json!({ "metadata": { "name": "n2" } })).await.unwrap();
    assert_eq!(
        node["spec"]["taints"],
        json!([{ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" }])
    );
    assert_eq!(create("nodes /n2", node.clone()).await.unwrap(), node);
}

#[tokio::test]
async fn abuse_06_a_kubelet_writes_its_own_node_only() {
    use Operation::{Create, Delete, Update};
    let node = |name: &str, more: Value| {
        let mut node = json!({ "metadata": { "name": name }, "spec": {} });
        node["metadata"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        node
    };
    let own = node("n1", json!({}));
    assert!(by_node(Create, "nodes /", own.clone(), Value::Null).await.is_ok());
    assert!(by_node(Update, "nodes/status /n1", own.clone(), own.clone()).await.is_ok());
    assert_eq!(by_node(Create, "nodes /", node("n2", json!({})), Value::Null).await, Err(403));
    assert_eq!(by_node(Update, "nodes /n1", node("n2", json!({})), own.clone()).await, Err(403));
    assert_eq!(by_node(Delete, "nodes /n2", Value::Null, node("n2", json!({}))).await, Err(403));
    let owned = node(
        "n1",
        json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1" }] }),
    );
    assert_eq!(by_node(Update, "nodes /n1", owned.clone(), own.clone()).await, Err(403));
    assert_eq!(by_node(Update, "nodes/status /n1", owned.clone(), own.clone()).await, Err(403));
    assert_eq!(by_node(Update, "nodes /n1", own.clone(), owned.clone()).await, Err(403));
    assert_eq!(by_node(Create, "nodes /", owned, Value::Null).await, Err(403));
    let labelled = node("n1", json!({ "labels": { "node-restriction.kubernetes.io/secure": "yes" } }));
    assert_eq!(by_node(Update, "nodes /n1", labelled, own.clone()).await, Err(403));
    let mut tainted = own.clone();
    tainted["spec"]["taints"] = json!([{ "key": "a", "effect": "NoSchedule" }]);
    assert_eq!(by_node(Update, "nodes /n1", own, tainted).await, Err(403));
}

#[tokio::test]
async fn abuse_06_a_kubelet_writes_its_own_pods_only() {
    use Operation::{Create, Delete, Update};
    let bound = |node: &str| json!({ "metadata": { "name": "web" }, "spec": { "nodeName": node } });
    assert!(by_node(Update, "pods/status ns/web", bound("n1"), bound("n1")).await.is_ok());
    assert_eq!(by_node(Update, "pods/status ns/web", bound("n1"), bound("n2")).await, Err(403));
    let mut labelled = bound("n1");
    labelled["metadata"]["labels"] = json!({ "app": "other" });
    assert_eq!(by_node(Update, "pods/status ns/web", labelled, bound("n1")).await, Err(403));
    assert!(by_node(Delete, "pods ns/web", Value::Null, bound("n1")).await.is_ok());
    assert_eq!(by_node(Delete, "pods ns/web", Value::Null, bound("n2")).await, Err(403));
    assert_eq!(by_node(Create, "pods ns/", bound("n1"), Value::Null).await, Err(403));
    let mut mirror = bound("n1");
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.mirror": "1" });
    mirror["metadata"]["ownerReferences"] =
        json!([{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u1", "controller": true }]);
    assert!(by_node(Create, "pods ns/", mirror.clone(), Value::Null).await.is_ok());
    let mut secret = mirror.clone();
    secret["spec"]["volumes"] = json!([{ "name": "s", "secret": { "secretName": "x" } }]);
    assert_eq!(by_node(Create, "pods ns/", secret, Value::Null).await, Err(403));
    mirror["metadata"]["ownerReferences"][0]["uid"] = "u2".into();
    assert_eq!(by_node(Create, "pods ns/", mirror, Value::Null).await, Err(403));
    assert!(by_node(Create, "pods/eviction ns/here", json!({}), Value::Null).await.is_ok());
    assert_eq!(by_node(Create, "pods/eviction ns/there", json!({}), Value::Null).await, Err(403));
}

#[tokio::test]
async fn abuse_06_a_kubelet_gets_tokens_and_leases_of_its_own_only() {
    use Operation::{Create, Update};
    let token = |name: &str, uid: &str| json!({ "spec": { "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid } } });
    let path = "serviceaccounts/token ns/default";
    assert!(by_node(Create, path, token("here", "p1"), Value::Null).await.is_ok());
    for bad in [
        token("there", "p1"),
        token("here", "p2"),
        token("here", ""),
        token("gone", "p1"),
        json!({ "spec": {} }),
    ] {
        assert_eq!(by_node(Create, path, bad, Value::Null).await, Err(403));
    }
    let lease = |name: &str| json!({ "metadata": { "name": name } });
    let leases = |place: &str| format!("coordination.k8s.io:leases {place}");
    assert!(by_node(Update, &leases("kube-node-lease/n1"), lease("n1"), Value::Null).await.is_ok());
    assert_eq!(by_node(Create, &leases("kube-node-lease/"), lease("n2"), Value::Null).await, Err(403));
    assert_eq!(by_node(Create, &leases("ns/"), lease("n1"), Value::Null).await, Err(403));
}
