//! Secrets that are tokens, and roles that are sums.

use k8s_openapi::api::{
    authentication::v1::TokenReview,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::ClusterRole,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::harness::{Plane, cache, named, until};

async fn review(plane: &Plane, token: &str) -> Option<String> {
    let api: Api<TokenReview> = Api::all(plane.client.clone());
    let asked = serde_json::from_value(json!({"spec": {"token": token}})).unwrap();
    let status = api.create(&PostParams::default(), &asked).await.unwrap().status.unwrap();
    status.user.filter(|_| status.authenticated == Some(true)).and_then(|user| user.username)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_holds_a_token_as_long_as_its_account_is_there() {
    let plane = Plane::without_kubelets().await;
    let secrets = cache::<Secret>(&plane.client, &plane.tasks);
    plane.create::<ServiceAccount>(json!({"metadata": {"name": "robot"}})).await;
    let annotations = json!({"kubernetes.io/service-account.name": "robot"});
    let secret = |name: &str| {
        json!({
            "metadata": {"name": name, "annotations": annotations},
            "type": "kubernetes.io/service-account-token",
        })
    };
    plane.create::<Secret>(secret("t")).await;
    let filled = |all: &[std::sync::Arc<Secret>]| {
        all.iter()
            .any(|one| named(one, "t") && one.data.as_ref().is_some_and(|data| data.contains_key("token")))
    };
    until("a token", &secrets, filled).await;
    let found = plane.api::<Secret>().get("t").await.unwrap();
    let data = found.data.unwrap();
    assert_eq!(data["namespace"].0, b"default");
    assert_eq!(data["ca.crt"].0, b"the cluster's CA");
    assert!(found.metadata.annotations.unwrap().contains_key("kubernetes.io/service-account.uid"));
    let token = String::from_utf8(data["token"].0.clone()).unwrap();
    assert_eq!(review(&plane, &token).await.as_deref(), Some("system:serviceaccount:default:robot"));

    plane.api::<ServiceAccount>().delete("robot", &DeleteParams::default()).await.unwrap();
    until("no token", &secrets, |all| !all.iter().any(|one| named(one, "t"))).await;
    assert_eq!(review(&plane, &token).await, None);
    // A Secret that asks for a token of nobody goes, too.
    plane.create::<Secret>(secret("nobody")).await;
    until("no token of nobody", &secrets, |all| !all.iter().any(|one| named(one, "nobody"))).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_bootstrap_token_is_removed() {
    let plane = Plane::without_kubelets().await;
    let secrets = cache::<Secret>(&plane.client, &plane.tasks);
    let token = |id: &str, expiration: &str| {
        json!({
            "metadata": {"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"},
            "type": "bootstrap.kubernetes.io/token",
            "stringData": {
                "token-id": id, "token-secret": "0123456789abcdef", "expiration": expiration,
                "usage-bootstrap-authentication": "true",
            },
        })
    };
    plane.create::<Secret>(token("aaaaaa", "2099-01-01T00:00:00Z")).await;
    plane.create::<Secret>(token("bbbbbb", "2020-01-01T00:00:00Z")).await;
    until("the expired one has gone", &secrets, |all| {
        all.iter().any(|one| named(one, "bootstrap-token-aaaaaa"))
            && !all.iter().any(|one| named(one, "bootstrap-token-bbbbbb"))
    })
    .await;
    let user = review(&plane, "aaaaaa.0123456789abcdef").await;
    assert_eq!(user.as_deref(), Some("system:bootstrap:aaaaaa"));
    assert_eq!(review(&plane, "aaaaaa.0123456789abcdee").await, None);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_a_sum_follows_its_parts() {
    let plane = Plane::without_kubelets().await;
    let roles = cache::<ClusterRole>(&plane.client, &plane.tasks);
    let api: Api<ClusterRole> = Api::all(plane.client.clone());
    let part = json!({
        "metadata": {"name": "widgets", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}],
    });
    let has_widgets = |role: &ClusterRole| {
        role.rules.iter().flatten().any(|rule| rule.resources.iter().flatten().any(|name| name == "widgets"))
    };
    let sums = |all: &[std::sync::Arc<ClusterRole>], wanted: bool| {
        ["view", "edit", "admin"]
            .iter()
            .all(|name| all.iter().any(|role| named(role, name) && has_widgets(role) == wanted))
    };
    api.create(&PostParams::default(), &serde_json::from_value(part).unwrap()).await.unwrap();
    until("sums with the part", &roles, |all| sums(all, true)).await;
    api.delete("widgets", &DeleteParams::default()).await.unwrap();
    until("sums without the part", &roles, |all| sums(all, false)).await;
    plane.stop().await;
}
