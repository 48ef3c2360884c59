//! Quotas and what is charged to them, as tables.

use serde_json::{Value, json};

use super::*;
use crate::admission::{Notes, tests::over};

fn quota(name: &str, hard: Value, used: Value, spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": { "namespace": "ns", "name": name, "resourceVersion": "7" },
            "spec": spec, "status": { "hard": hard, "used": used } })
}

fn pod(cpu: &str) -> Value {
    let resources = json!({ "requests": { "cpu": cpu } });
    json!({ "metadata": { "name": "web" }, "spec": { "containers": [{ "name": "c", "resources": resources }] } })
}

/// What the write charges, as `quota: used`; or why it is refused.
async fn charge(
    quotas: Vec<Value>,
    path: &str,
    new: Value,
    old: Option<Value>,
) -> Result<Vec<String>, String> {
    let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let (user, notes, mut new) = (tiphys_api::auth::UserInfo::master("x"), Notes::default(), new);
    let request = Request {
        operation: if old.is_some() { Operation::Update } else { Operation::Create },
        user: &user,
        group,
        version: "v1",
        resource,
        subresource,
        namespace: "ns",
        name: "web",
        object: Some(&mut new),
        old: old.as_ref(),
        dry_run: false,
        options: &Value::Null,
        notes: &notes,
        again: Default::default(),
    };
    let charges = over(quotas).charge(&request).await.map_err(|refusal| refusal.message)?;
    let shown = |charge: &Charge| {
        let used = amounts::shown(&amounts::read(&charge.object, "/status/used"));
        format!("{}: {used}", charge.object["metadata"]["name"].as_str().unwrap())
    };
    Ok(charges.list.iter().map(shown).collect())
}

#[tokio::test]
async fn what_is_made_is_added_to_every_quota_about_it() {
    let quotas = vec![
        quota(
            "b",
            json!({ "pods": "2", "requests.cpu": "1" }),
            json!({ "pods": "1", "requests.cpu": "500m" }),
            json!({}),
        ),
        quota("a", json!({ "count/pods": "5" }), json!({ "count/pods": "0" }), json!({})),
        quota("c", json!({ "services": "5" }), json!({ "services": "0" }), json!({})),
        quota("d", json!({ "pods": "0" }), json!({ "pods": "0" }), json!({ "scopes": ["BestEffort"] })),
    ];
    let charged = charge(quotas.clone(), "pods", pod("500m"), None).await;
    assert_eq!(charged.unwrap(), ["a: count/pods=1", "b: pods=2,requests.cpu=1"]);
    let refused = charge(quotas, "pods", pod("600m"), None).await;
    assert_eq!(
        refused.unwrap_err(),
        "pods \"web\" is forbidden: exceeded quota: b, requested: requests.cpu=600m, used: requests.cpu=500m, \
         limited: requests.cpu=1"
    );
}

#[tokio::test]
async fn any_resource_is_counted_by_its_name() {
    let quotas = |used: &str| {
        vec![quota(
            "q",
            json!({ "count/deployments.apps": "1" }),
            json!({ "count/deployments.apps": used }),
            json!({}),
        )]
    };
    let deployment = json!({ "metadata": { "name": "web" } });
    assert_eq!(
        charge(quotas("0"), "deployments.apps", deployment.clone(), None).await.unwrap(),
        ["q: count/deployments.apps=1"]
    );
    assert_eq!(
        charge(quotas("1"), "deployments.apps", deployment.clone(), None).await.unwrap_err(),
        "deployments.apps \"web\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, \
         used: count/deployments.apps=1, limited: count/deployments.apps=1"
    );
    let update = charge(quotas("1"), "deployments.apps", deployment.clone(), Some(deployment.clone())).await;
    assert_eq!(update.unwrap(), Vec::<String>::new());
    let status = charge(quotas("1"), "deployments.apps/status", deployment, None).await;
    assert_eq!(status.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn an_update_is_charged_by_its_difference() {
    let service = |kind: &str| {
        json!({ "metadata": { "name": "web", "resourceVersion": "3" },
                "spec": { "type": kind, "ports": [{ "port": 80 }] } })
    };
    let quotas = |used: &str| {
        let (hard, used) = (
            json!({ "services": "1", "services.nodeports": "1" }),
            json!({ "services": "1", "services.nodeports": used }),
        );
        vec![quota("q", hard, used, json!({}))]
    };
    let change = |used: &'static str, new: &'static str, old: &'static str| {
        charge(quotas(used), "services", service(new), Some(service(old)))
    };
    assert_eq!(change("0", "NodePort", "ClusterIP").await.unwrap(), ["q: services=1,services.nodeports=1"]);
    assert!(change("1", "NodePort", "ClusterIP").await.unwrap_err().contains("exceeded quota: q"));
    assert_eq!(change("1", "ClusterIP", "NodePort").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn quotas_without_figures_and_pods_without_requests_are_refused() {
    let unknown = vec![quota("q", json!({ "pods": "1" }), json!({}), json!({}))];
    assert_eq!(
        charge(unknown, "pods", pod("1"), None).await.unwrap_err(),
        "pods \"web\" is forbidden: status unknown for quota: q, resources: pods"
    );
    let cpu = vec![quota("q", json!({ "limits.cpu": "1" }), json!({ "limits.cpu": "0" }), json!({}))];
    assert_eq!(
        charge(cpu, "pods", pod("1"), None).await.unwrap_err(),
        "pods \"web\" is forbidden: failed quota: q: must specify limits.cpu for: c"
    );
    let negative =
        vec![quota("q", json!({ "requests.cpu": "1" }), json!({ "requests.cpu": "0" }), json!({}))];
    assert_eq!(
        charge(negative, "pods", pod("-1"), None).await.unwrap_err(),
        "pods \"web\" is forbidden: quota usage is negative for resource(s): cpu,requests.cpu"
    );
}
