//! Schemas over real requests, and a flood at a whole server.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use http::{Method, Request};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use tiphys_api::{
    auth::UserInfo,
    serve::{BoxError, boxed, empty, full},
};

use super::{bootstrap, table::Table};
use crate::{
    request::info,
    tests::harness::{Harness, MAPS, read},
};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";
const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";

#[test]
fn the_suggested_schemas_sort_requests_as_kubernetes_does() {
    let all: Vec<Arc<Value>> =
        bootstrap::mandatory().into_iter().chain(bootstrap::suggested()).map(Arc::new).collect();
    let of = |kind: &str| all.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
    let table = Table::build(&of("FlowSchema"), &of("PriorityLevelConfiguration"), 600, &Table::default());
    let check = |user: UserInfo, method: Method, path: &str, expected: &str| {
        let target = info::parse(&method, path, false).unwrap();
        assert_eq!(table.name_of(&user, Some(&target), path), expected, "{} {method} {path}", user.name);
    };
    let node = || UserInfo::named("system:node:n1", &["system:nodes"]);
    let account = |name: &str| UserInfo::named(name, &["system:serviceaccounts"]);
    check(UserInfo::master("root"), Method::GET, MAPS, "exempt");
    check(node(), Method::PUT, &format!("{LEASES}/n1"), "system-node-high");
    check(node(), Method::PATCH, "/api/v1/nodes/n1/status", "system-node-high");
    check(node(), Method::GET, "/api/v1/pods", "system-nodes");
    let lock = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler";
    check(UserInfo::named("system:kube-scheduler", &[]), Method::PUT, lock, "system-leader-election");
    check(UserInfo::named("system:kube-scheduler", &[]), Method::GET, "/api/v1/pods", "kube-scheduler");
    check(
        account("system:serviceaccount:kube-system:dns"),
        Method::GET,
        MAPS,
        "kube-system-service-accounts",
    );
    check(account("system:serviceaccount:default:app"), Method::GET, MAPS, "service-accounts");
    check(UserInfo::named("jane", &[]), Method::GET, MAPS, "global-default");
    check(UserInfo::named("jane", &[]), Method::GET, "/healthz", "probes");
    check(UserInfo { name: "x".into(), ..UserInfo::default() }, Method::GET, MAPS, "");
}

/// A request that holds its seat until it is dropped: its body never comes.
fn endless(user: &UserInfo) -> Request<tiphys_api::serve::Body> {
    let never = futures::stream::pending::<Result<Frame<bytes::Bytes>, BoxError>>();
    let mut request = Request::post(MAPS).body(boxed(StreamBody::new(never))).unwrap();
    request.extensions_mut().insert(user.clone());
    request
}

#[tokio::test]
async fn a_flood_of_one_user_leaves_the_kubelets_their_leases() {
    let api = Harness::start_with(|config, _| config.seats = 24).await;
    let flood = UserInfo::named("flood", &[]);
    let binding = json!({
        "metadata": {"name": "writers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "flood"},
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "quiet"},
        ],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await.expect(201);
    // The table of rights follows its watch: the flood begins when it has.
    while api.send_as(flood.clone(), Request::get(MAPS).body(empty()).unwrap()).await.status() != 200 {
        tokio::task::yield_now().await;
    }

    let mut held = Vec::new();
    let mut refused = None;
    for _ in 0..1000 {
        let mut answer = Box::pin(api.send_as(flood.clone(), endless(&flood)));
        match answer.as_mut().now_or_never() {
            None => held.push(answer),
            Some(response) => {
                refused = Some(response);
                break;
            }
        }
    }
    let refused = refused.expect("the flood is turned away in the end");
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let uid = |object: Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let schema = uid(api.get(&format!("{SCHEMAS}/global-default")).await.expect(200));
    let level = uid(api.get(&format!("{LEVELS}/global-default")).await.expect(200));
    assert_eq!(refused.headers()["x-kubernetes-pf-flowschema-uid"], schema);
    assert_eq!(refused.headers()["x-kubernetes-pf-prioritylevel-uid"], level);

    // Kubelets and the masters go on as if nothing was.
    for number in 0..20 {
        let name = format!("n{number}");
        let node = UserInfo::named(format!("system:node:{name}"), &["system:nodes"]);
        let lease =
            json!({"metadata": {"name": name}, "spec": {"holderIdentity": name, "leaseDurationSeconds": 40}});
        let request = Request::post(LEASES).header("content-type", "application/json");
        let answer = read(api.send_as(node, request.body(full(lease.to_string())).unwrap()).await).await;
        answer.expect(201);
    }
    api.config_map("a", json!({}), json!({})).await;

    // Another user of the same level waits for its turn, and has it when seats are free.
    let quiet = UserInfo::named("quiet", &[]);
    let mut waiting = Box::pin(api.send_as(quiet, Request::get(MAPS).body(empty()).unwrap()));
    assert!(waiting.as_mut().now_or_never().is_none());
    let before = held.len();
    let mut ended = 0;
    loop {
        // Those at the front hold the seats.
        drop(held.remove(0));
        ended += 1;
        // Who has a seat is answered when what it asks for has been read.
        if tokio::time::timeout(Duration::from_secs(1), waiting.as_mut()).await.is_ok() {
            break;
        }
        assert!(ended < 20, "the quiet user is starved");
    }
    assert!(before > 100, "{before}");
}

#[tokio::test]
async fn schemas_say_whether_their_level_is_there_and_mandatory_ones_come_back() {
    let api = Harness::start().await;
    let condition = async |name: &str, status: &str| {
        let mut watch = api.watch(&format!("{SCHEMAS}?watch=1&fieldSelector=metadata.name%3D{name}")).await;
        loop {
            let event = watch.next().await.expect("an event");
            if event["object"]["status"]["conditions"][0]["status"] == status {
                return;
            }
        }
    };
    condition("global-default", "False").await;
    let spec = json!({
        "priorityLevelConfiguration": {"name": "none"},
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "*"}}], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}],
    });
    let created =
        api.post(SCHEMAS, &json!({"metadata": {"name": "dangling"}, "spec": spec})).await.expect(201);
    assert_eq!(created["spec"]["matchingPrecedence"], 1000);
    condition("dangling", "True").await;
    let mut watch = api.watch(&format!("{LEVELS}?watch=1&fieldSelector=metadata.name%3Dexempt")).await;
    assert_eq!(watch.event().await.0, "ADDED");
    api.delete(&format!("{LEVELS}/exempt")).await;
    assert_eq!(watch.event().await.0, "DELETED");
    assert_eq!(watch.event().await.0, "ADDED");
}
