//! ComponentStatus: found out when it is asked for, in every form, and read only.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Request};
use k8s_pb::{api::core::v1 as core, apimachinery::pkg::runtime::Unknown};
use prost::Message;
use serde_json::{Value, json};
use tiphys_api::{auth::UserInfo, serve::empty};
use tokio::sync::watch;

use super::harness::{Answer, Harness, read};
use crate::HealthCheck;

const PATH: &str = "/api/v1/componentstatuses";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A component that is as somebody else says.
struct Told(watch::Receiver<Result<String, String>>);

#[async_trait]
impl HealthCheck for Told {
    async fn check(&self) -> Result<String, String> {
        self.0.borrow().clone()
    }
}

/// A server that watches over two; what the first one says can be changed.
async fn watching() -> (Harness, watch::Sender<Result<String, String>>) {
    let api = Harness::start().await;
    let (say, told) = watch::channel(Ok("ok".to_owned()));
    api.server.watch_over("scheduler", Arc::new(Told(told)));
    let (_, fixed) = watch::channel(Ok("ok".to_owned()));
    api.server.watch_over("controller-manager", Arc::new(Told(fixed)));
    (api, say)
}

#[track_caller]
fn warned(answer: Answer) -> Value {
    assert_eq!(answer.headers["warning"], r#"299 - "v1 ComponentStatus is deprecated in v1.19+""#);
    answer.expect(200)
}

#[tokio::test]
async fn components_are_as_they_are_when_they_are_asked() {
    let (api, say) = watching().await;
    let scheduler = json!({
        "kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": "scheduler"},
        "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
    });
    assert_eq!(warned(api.get(&format!("{PATH}/scheduler")).await), scheduler);
    let list = warned(api.get(PATH).await);
    assert_eq!((&list["kind"], &list["metadata"]), (&json!("ComponentStatusList"), &json!({})));
    assert_eq!(list["items"][0]["metadata"]["name"], "controller-manager");
    assert_eq!(list["items"][1], scheduler);

    let _ = say.send_replace(Err("its task panicked".to_owned()));
    let table = warned(api.get_as(PATH, TABLE).await);
    let names = table["columnDefinitions"].as_array().expect("columns").iter().map(|column| &column["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["Name", "Status", "Message", "Error"]);
    assert_eq!(table["rows"][0]["cells"], json!(["controller-manager", "Healthy", "ok", ""]));
    assert_eq!(table["rows"][1]["cells"], json!(["scheduler", "Unhealthy", "", "its task panicked"]));

    let told = api.get(&format!("{PATH}/etcd-0")).await.refused(404, "NotFound");
    assert_eq!(told, "componentstatuses \"etcd-0\" not found");
}

#[tokio::test]
async fn components_are_selected_by_name_and_have_no_labels() {
    let (api, _say) = watching().await;
    for (query, names) in [
        ("fieldSelector=metadata.name%3Dscheduler", vec!["scheduler"]),
        ("fieldSelector=metadata.name%21%3Dscheduler", vec!["controller-manager"]),
        ("fieldSelector=metadata.namespace%3Ddefault", vec![]),
        ("labelSelector=a%3Db", vec![]),
        ("labelSelector=%21a", vec!["controller-manager", "scheduler"]),
        ("limit=1", vec!["controller-manager", "scheduler"]),
    ] {
        let list = warned(api.get(&format!("{PATH}?{query}")).await);
        let found = list["items"].as_array().expect("items").iter();
        let found: Vec<&str> = found.filter_map(|item| item["metadata"]["name"].as_str()).collect();
        assert_eq!(found, names, "{query}");
    }
    let refused = api.get(&format!("{PATH}?fieldSelector=conditions%3Da")).await;
    refused.refused(400, "BadRequest");
}

#[tokio::test]
async fn components_are_read_only_and_by_those_who_may() {
    let (api, _say) = watching().await;
    let scheduler = format!("{PATH}/scheduler");
    let body = json!({"metadata": {"name": "mine"}});
    api.post(PATH, &body).await.refused(405, "MethodNotAllowed");
    api.put(&scheduler, &body).await.refused(405, "MethodNotAllowed");
    api.patch(&scheduler, "merge", &body).await.refused(405, "MethodNotAllowed");
    api.delete(&scheduler).await.refused(405, "MethodNotAllowed");
    api.delete(PATH).await.refused(405, "MethodNotAllowed");
    api.get(&format!("{PATH}?watch=true")).await.refused(405, "MethodNotAllowed");
    api.get("/api/v1/namespaces/default/componentstatuses").await.refused(404, "NotFound");

    let user = UserInfo { name: "jane".into(), ..UserInfo::default() };
    let ask = || async {
        let request = Request::get(&scheduler).body(empty()).expect("a request");
        read(api.send_as(user.clone(), request).await).await
    };
    ask().await.refused(403, "Forbidden");
    let role = json!({
        "metadata": {"name": "components"},
        "rules": [{"apiGroups": [""], "resources": ["componentstatuses"], "verbs": ["get"]}],
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    api.post(&format!("{roles}/clusterroles"), &role).await.expect(201);
    let binding = json!({
        "metadata": {"name": "components"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "components"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    });
    api.post(&format!("{roles}/clusterrolebindings"), &binding).await.expect(201);
    api.eventually(|| async { ask().await.code == 200 }).await;
}

#[tokio::test]
async fn clients_find_components_as_any_other_resource() {
    let (api, _say) = watching().await;
    let plain = api.get("/api/v1").await.expect(200);
    let resources = plain["resources"].as_array().expect("resources");
    let found = resources.iter().find(|resource| resource["name"] == "componentstatuses");
    let wanted = json!({
        "name": "componentstatuses", "singularName": "componentstatus", "namespaced": false,
        "kind": "ComponentStatus", "verbs": ["get", "list"], "shortNames": ["cs"],
    });
    assert_eq!(found, Some(&wanted));
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let aggregated = api.get_as("/api", accept).await.expect(200);
    let resources = aggregated["items"][0]["versions"][0]["resources"].as_array().expect("resources").iter();
    let found = resources.clone().find(|resource| resource["resource"] == "componentstatuses");
    assert_eq!(found.expect("it is there")["shortNames"], json!(["cs"]));

    let definition = "io.k8s.api.core.v1.ComponentStatus";
    let v2 = api.get("/openapi/v2").await.expect(200);
    assert!(v2["definitions"][definition]["properties"]["conditions"].is_object());
    assert_eq!(v2["paths"][PATH]["get"]["x-kubernetes-action"], "list");
    let v3 = api.get("/openapi/v3/api/v1").await.expect(200);
    assert!(v3["components"]["schemas"][format!("{definition}List")].is_object());
    assert_eq!(v3["paths"][format!("{PATH}/{{name}}")]["get"]["x-kubernetes-action"], "get");
    assert!(v3["paths"][PATH]["post"].is_null());
}

#[tokio::test]
async fn components_have_messages_as_upstreams_types_read_them() {
    let (api, say) = watching().await;
    let _ = say.send_replace(Err("stuck".to_owned()));
    let answer = api.call(Method::GET, &format!("{PATH}/scheduler"), "", PROTOBUF, "").await;
    let one = core::ComponentStatus::decode(&*raw(&answer)).expect("a message");
    let condition = &one.conditions[0];
    assert_eq!(one.metadata.and_then(|metadata| metadata.name).as_deref(), Some("scheduler"));
    assert_eq!((condition.r#type.as_deref(), condition.status.as_deref()), (Some("Healthy"), Some("False")));
    assert_eq!((condition.message.as_deref(), condition.error.as_deref()), (None, Some("stuck")));
    let answer = api.call(Method::GET, PATH, "", PROTOBUF, "").await;
    let list = core::ComponentStatusList::decode(&*raw(&answer)).expect("a message");
    assert_eq!(list.items.len(), 2);
}

/// The message in an answer's envelope.
fn raw(answer: &Answer) -> Vec<u8> {
    assert_eq!((answer.code, answer.headers["content-type"].as_bytes()), (200, PROTOBUF.as_bytes()));
    let unknown = Unknown::decode(&answer.bytes[4..]).expect("an envelope");
    unknown.raw.expect("a message")
}
