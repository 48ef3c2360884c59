//! Plug-ins as tables: a write, and what becomes of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tiphys_api::{
    auth::{Attributes, Authorizer, UserInfo},
    schema::Schema,
};

use super::*;
use crate::{
    authz::{Objects, fixture::Fixture},
    webhook::Client,
};

/// Allows what a test's user is named after: `may:approve:example.com/*`.
struct ByName;

impl Authorizer for ByName {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { verb, name, .. } = attributes else { return Err(String::new()) };
        if user.name == format!("may:{verb}:{name}") { Ok(()) } else { Err("no".into()) }
    }
}

/// Every resource in one version.
struct OneVersion;

#[async_trait]
impl Versions for OneVersion {
    fn of(&self, _: &str, _: &str) -> Vec<Version> {
        Vec::new()
    }

    fn of_kind(&self, _: &str, kind: &str) -> Option<(Version, bool)> {
        let text = String::from;
        (kind == "ConfigMap").then(|| {
            let (group, version) = (String::new(), text("v1"));
            (Version { group, version, resource: text("configmaps"), kind: text(kind) }, true)
        })
    }

    fn schema(&self, _: &Version) -> Option<Arc<Schema>> {
        None
    }

    async fn show(&self, object: &Value, _: &Version) -> Result<Value, String> {
        Ok(object.clone())
    }

    async fn accept(&self, object: Value, _: &Version, _: &str) -> Result<Value, String> {
        Ok(object)
    }
}

fn cluster_of(objects: impl IntoIterator<Item = Value>) -> Cluster {
    let objects: Arc<dyn Objects> = Arc::new(Fixture::new(objects));
    let client = Arc::new(Client::new(objects.clone(), tiphys_lifecycle::Tasks::new()));
    Cluster::new(objects, Arc::new(ByName), Arc::new(OneVersion), client)
}

/// A cluster of these objects.
pub fn over(objects: impl IntoIterator<Item = Value>) -> Admission {
    let cluster = cluster_of(objects);
    Admission::new(cluster, &["DenyServiceExternalIPs".to_owned()]).unwrap()
}

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
        let token = json!([{ "name": "t", "projected": { "sources": [{ "serviceAccountToken": {} }] } }]);
        named(
            "v1",
            "Pod",
            name,
            json!({ "metadata": metadata, "spec": { "nodeName": node, "volumes": token } }),
        )
    };
    over([
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
    ])
}

/// `(group:)resource[/subresource] namespace/name`
pub struct Write<'a> {
    pub operation: Operation,
    pub path: &'a str,
    pub user: UserInfo,
    pub old: Option<Value>,
}

impl<'a> Write<'a> {
    pub fn create(path: &'a str) -> Self {
        Self { operation: Operation::Create, path, user: UserInfo::named("jane", &[]), old: None }
    }

    pub fn update(path: &'a str, old: Value) -> Self {
        Self { operation: Operation::Update, old: Some(old), ..Self::create(path) }
    }
}

impl Write<'_> {
    async fn run(&self, object: Option<Value>) -> Result<Value, Refusal> {
        self.on(&cluster(), object).await.0
    }

    /// What became of it, and what was said.
    pub async fn on(&self, cluster: &Admission, object: Option<Value>) -> (Result<Value, Refusal>, Notes) {
        let notes = Notes::default();
        (self.noted(cluster, object, &notes).await, notes)
    }

    async fn noted(
        &self,
        cluster: &Admission,
        object: Option<Value>,
        notes: &Notes,
    ) -> Result<Value, Refusal> {
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
            version: "v1",
            object: object.as_mut(),
            old: self.old.as_ref(),
            dry_run: false,
            options: &Value::Null,
            notes,
            again: Again::default(),
        };
        cluster.mutate(&mut request).await?;
        cluster.validate(&request).await?;
        cluster.charge(&request).await?;
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

/// A cluster with classes of every sort.
fn with_classes() -> Admission {
    let class = |api: &str, kind: &str, name: &str, more: Value| {
        let mut class = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name } });
        for (key, value) in more.as_object().unwrap() {
            match key.as_str() {
                "created" => class["metadata"]["creationTimestamp"] = value.clone(),
                "mark" => class["metadata"]["annotations"][value.as_str().unwrap()] = "true".into(),
                _ => class[key] = value.clone(),
            }
        }
        class
    };
    let storage = "storageclass.kubernetes.io/is-default-class";
    let ingress = "ingressclass.kubernetes.io/is-default-class";
    over([
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "ns" } }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "default" } }),
        class(
            "storage.k8s.io/v1",
            "StorageClass",
            "old",
            json!({ "created": "2026-01-01T00:00:00Z", "mark": storage }),
        ),
        class(
            "storage.k8s.io/v1",
            "StorageClass",
            "new",
            json!({ "created": "2026-01-02T00:00:00Z", "mark": storage, "allowVolumeExpansion": true }),
        ),
        class("storage.k8s.io/v1", "StorageClass", "other", json!({ "created": "2026-01-03T00:00:00Z" })),
        class("networking.k8s.io/v1", "IngressClass", "b", json!({ "mark": ingress })),
        class("networking.k8s.io/v1", "IngressClass", "a", json!({ "mark": ingress })),
        class(
            "node.k8s.io/v1",
            "RuntimeClass",
            "vm",
            json!({
                "overhead": { "podFixed": { "memory": "64Mi" } },
                "scheduling": { "nodeSelector": { "vm": "yes" }, "tolerations": [{ "key": "vm", "operator": "Exists" }] },
            }),
        ),
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1",
            "labels": { "topology.kubernetes.io/zone": "z", "kubernetes.io/os": "linux" } } }),
    ])
}

async fn made(path: &str, object: Value) -> Result<Value, String> {
    let (done, _) = Write::create(path).on(&with_classes(), Some(object)).await;
    done.map_err(|refusal| refusal.message)
}

#[tokio::test]
async fn the_newest_default_class_is_taken() {
    let claims = "persistentvolumeclaims ns/c";
    let class = |claim: Value| claim["spec"]["storageClassName"].clone();
    assert_eq!(class(made(claims, json!({ "spec": {} })).await.unwrap()), "new");
    assert_eq!(class(made(claims, json!({ "spec": { "storageClassName": "" } })).await.unwrap()), "");
    let old = json!({ "metadata": { "annotations": { "volume.beta.kubernetes.io/storage-class": "x" } }, "spec": {} });
    assert_eq!(class(made(claims, old).await.unwrap()), Value::Null);
    let ingress = made("networking.k8s.io:ingresses ns/i", json!({ "spec": {} })).await.unwrap();
    assert_eq!(ingress["spec"]["ingressClassName"], "a");
    let old = json!({ "metadata": { "annotations": { "kubernetes.io/ingress.class": "x" } }, "spec": {} });
    let ingress = made("networking.k8s.io:ingresses ns/i", old).await.unwrap();
    assert_eq!(ingress["spec"]["ingressClassName"], Value::Null);
}

#[tokio::test]
async fn storage_in_use_is_held() {
    let claim =
        made("persistentvolumeclaims ns/c", json!({ "metadata": { "finalizers": ["a/b"] } })).await.unwrap();
    assert_eq!(claim["metadata"]["finalizers"], json!(["a/b", "kubernetes.io/pvc-protection"]));
    let volume = made("persistentvolumes /v", json!({})).await.unwrap();
    assert_eq!(volume["metadata"]["finalizers"], json!(["kubernetes.io/pv-protection"]));
    assert_eq!(made("persistentvolumes /v", volume.clone()).await.unwrap(), volume);
}

#[tokio::test]
async fn a_claim_grows_where_its_class_allows() {
    let claim = |class: &str, size: &str| {
        json!({ "metadata": { "name": "c" }, "status": { "phase": "Bound" },
                "spec": { "storageClassName": class, "resources": { "requests": { "storage": size } } } })
    };
    let grow = async |old: Value, new: Value| {
        let (done, _) =
            Write::update("persistentvolumeclaims ns/c", old).on(&with_classes(), Some(new)).await;
        done.map(drop).map_err(|refusal| refusal.message)
    };
    assert_eq!(grow(claim("new", "1Gi"), claim("new", "2Gi")).await, Ok(()));
    assert_eq!(grow(claim("old", "2Gi"), claim("old", "2Gi")).await, Ok(()));
    let refused = "persistentvolumeclaims \"c\" is forbidden: only dynamically provisioned pvc can be resized and \
                   the storageclass that provisions the pvc must support resize";
    assert_eq!(grow(claim("old", "1Gi"), claim("old", "2Gi")).await, Err(refused.into()));
    let mut pending = claim("new", "1Gi");
    pending["status"]["phase"] = "Pending".into();
    let refused =
        "persistentvolumeclaims \"c\" is forbidden: Only bound persistent volume claims can be expanded";
    assert_eq!(grow(pending, claim("new", "2Gi")).await, Err(refused.into()));
}

#[tokio::test]
async fn a_runtime_brings_its_overhead_and_its_place() {
    let pod = |more: Value| pod(more);
    let made_pod =
        made("pods ns/web", pod(json!({ "runtimeClassName": "vm", "nodeSelector": { "a": "b" } })))
            .await
            .unwrap();
    assert_eq!(made_pod["spec"]["overhead"], json!({ "memory": "64Mi" }));
    assert_eq!(made_pod["spec"]["nodeSelector"], json!({ "a": "b", "vm": "yes" }));
    assert!(items(&made_pod["spec"]["tolerations"]).any(|toleration| toleration["key"] == "vm"));
    let table = [
        (json!({ "runtimeClassName": "gone" }), "pod rejected: RuntimeClass \"gone\" not found"),
        (
            json!({ "runtimeClassName": "vm", "overhead": { "memory": "1Mi" } }),
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            json!({ "overhead": { "memory": "1Mi" } }),
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            json!({ "runtimeClassName": "vm", "nodeSelector": { "vm": "no" } }),
            "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no",
        ),
    ];
    for (spec, why) in table {
        assert_eq!(
            made("pods ns/web", pod(spec)).await.unwrap_err(),
            format!("pods \"web\" is forbidden: {why}")
        );
    }
}

#[tokio::test]
async fn a_bound_pod_is_told_where_it_is() {
    let binding = json!({ "metadata": { "name": "web" }, "target": { "kind": "Node", "name": "n1" } });
    let made_binding = made("pods/binding ns/web", binding).await.unwrap();
    assert_eq!(made_binding["metadata"]["labels"], json!({ "topology.kubernetes.io/zone": "z" }));
    let unknown = json!({ "metadata": { "name": "web" }, "target": { "name": "n9" } });
    assert_eq!(made("pods/binding ns/web", unknown.clone()).await.unwrap(), unknown);
}

#[tokio::test]
async fn external_addresses_are_denied_where_that_is_on() {
    let service =
        |addresses: Value| json!({ "metadata": { "name": "s" }, "spec": { "externalIPs": addresses } });
    let refused = made("services ns/s", service(json!(["1.2.3.4"]))).await.unwrap_err();
    assert_eq!(refused, "services \"s\" is forbidden: Use of external IPs is denied by admission control");
    let update = Write::update("services ns/s", service(json!(["1.2.3.4", "1.2.3.5"])));
    assert!(update.on(&with_classes(), Some(service(json!(["1.2.3.5"])))).await.0.is_ok());
    let cluster = cluster_of([]);
    let unknown = Admission::new(cluster, &["AlwaysMaybe".to_owned()]).err().unwrap();
    assert_eq!(
        unknown.to_string(),
        "unknown admission plug-in \"AlwaysMaybe\"; those that can be enabled are: DenyServiceExternalIPs"
    );
}

#[tokio::test]
async fn certificates_are_approved_and_signed_by_those_who_may() {
    let csr = json!({ "metadata": { "name": "c" }, "spec": { "signerName": "example.com/tls" } });
    let mut signed = csr.clone();
    signed["status"] = json!({ "certificate": "x" });
    let act = async |user: &str, subresource: &str, new: &Value| {
        let path = format!("certificates.k8s.io:certificatesigningrequests/{subresource} /c");
        let user = UserInfo::named(user, &[]);
        let write = Write { user, ..Write::update(&path, csr.clone()) };
        write.on(&with_classes(), Some(new.clone())).await.0.map(drop).map_err(|refusal| refusal.message)
    };
    assert_eq!(act("may:approve:example.com/tls", "approval", &csr).await, Ok(()));
    assert_eq!(act("may:approve:example.com/*", "approval", &csr).await, Ok(()));
    let refused = "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: user not permitted to approve \
                   requests with signerName \"example.com/tls\"";
    assert_eq!(act("may:sign:example.com/tls", "approval", &csr).await, Err(refused.into()));
    assert_eq!(act("may:sign:example.com/tls", "status", &signed).await, Ok(()));
    assert_eq!(act("nobody", "status", &csr).await, Ok(()), "nothing is signed");
    assert!(act("nobody", "status", &signed).await.unwrap_err().contains("not permitted to sign"));
}

fn certificate_request(common_name: &str, organization: &str, signer: &str) -> Value {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
    let key = rcgen::KeyPair::generate().unwrap();
    let pem = parameters.serialize_request(&key).unwrap().pem().unwrap();
    json!({ "metadata": { "name": "c" }, "spec": { "signerName": signer, "request": BASE64_STANDARD.encode(pem) } })
}

#[tokio::test]
async fn nobody_gets_a_certificate_of_masters_or_of_another_node() {
    let path = "certificates.k8s.io:certificatesigningrequests /c";
    let client = "kubernetes.io/kube-apiserver-client";
    assert!(made(path, certificate_request("jane", "dev", client)).await.is_ok());
    assert!(made(path, certificate_request("jane", "system:masters", "example.com/x")).await.is_ok());
    assert_eq!(
        made(path, certificate_request("jane", "system:masters", client)).await.unwrap_err(),
        "certificatesigningrequests.certificates.k8s.io \"c\" is forbidden: use of \
         kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    );
    let garbled = json!({ "spec": { "signerName": client, "request": "eA==" } });
    assert!(made(path, garbled).await.unwrap_err().contains("failed to parse CSR"));
    let kubelet = "kubernetes.io/kubelet-serving";
    let ask = |name: &str| certificate_request(name, "system:nodes", kubelet);
    assert!(by_node(Operation::Create, path, ask("system:node:n1"), Value::Null).await.is_ok());
    assert_eq!(by_node(Operation::Create, path, ask("system:node:n2"), Value::Null).await, Err(403));
}

#[tokio::test]
async fn abuse_06_a_kubelet_touches_of_claims_and_pods_what_is_its_own() {
    use Operation::{Create, Update};
    let claim = |status: Value| json!({ "metadata": { "name": "c" }, "spec": {}, "status": status });
    let path = "persistentvolumeclaims/status ns/c";
    let (old, grown) = (claim(json!({})), claim(json!({ "capacity": { "storage": "2Gi" } })));
    assert!(by_node(Update, path, grown, old.clone()).await.is_ok());
    assert_eq!(by_node(Update, path, claim(json!({ "phase": "Lost" })), old.clone()).await, Err(403));
    assert_eq!(by_node(Update, "persistentvolumeclaims ns/c", old.clone(), old).await, Err(403));
    assert_eq!(by_node(Create, "pods/binding ns/here", json!({}), Value::Null).await, Err(403));
    let token = json!({ "spec": { "audiences": ["vault"], "boundObjectRef": {
        "apiVersion": "v1", "kind": "Pod", "name": "here", "uid": "p1" } } });
    assert_eq!(by_node(Create, "serviceaccounts/token ns/default", token, Value::Null).await, Err(403));
}
