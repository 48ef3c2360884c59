//! Through the entrance that authenticates: who is let in, as whom, and who is not.

use http::{Request, Response};
use serde_json::{Value, json};
use tiphys_api::serve::{Body, empty, full};

use super::harness::{Answer, Harness, MAPS, PODS, pod, read};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

async fn enter(api: &Harness, request: Request<Body>) -> Response<Body> {
    api.server.enter(None, request).await
}

async fn with(api: &Harness, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_null() { empty() } else { full(body.to_string()) };
    read(enter(api, request.body(body).expect("a request")).await).await
}

async fn who(api: &Harness, headers: &[(&str, &str)]) -> Answer {
    with(api, "POST", WHO, headers, &json!({})).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn token(api: &Harness, account: &str, spec: Value) -> String {
    let answer = api.post(&format!("{ACCOUNTS}/{account}/token"), &json!({"spec": spec})).await.expect(201);
    answer["status"]["token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn abuse_02_a_token_ends_with_what_it_is_bound_to() {
    let api = Harness::start().await;
    api.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    let mut mine = pod("p");
    mine["spec"]["serviceAccountName"] = "robot".into();
    let made = api.post(PODS, &mine).await.expect(201);
    let bound = |kind: &str, name: &str, uid: &Value| json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}});
    let of_pod = token(&api, "robot", bound("Pod", "p", &made["metadata"]["uid"])).await;
    let secret =
        api.post("/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).await.expect(201);
    let of_secret = token(&api, "robot", bound("Secret", "s", &secret["metadata"]["uid"])).await;
    let plain = token(&api, "robot", json!({})).await;
    let other = token(&api, "robot", json!({"audiences": ["vault"]})).await;
    let check = async |token: &str, code: u16| {
        let answer = who(&api, &[("authorization", &bearer(token))]).await;
        assert_eq!(answer.code, code, "{}", answer.text);
    };
    for good in [&of_pod, &of_secret, &plain] {
        check(good, 201).await;
    }
    check(&other, 401).await;
    check(&format!("{plain}x"), 401).await;

    api.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.expect(200);
    check(&of_pod, 401).await;
    api.delete("/api/v1/namespaces/default/secrets/s").await.expect(200);
    check(&of_secret, 401).await;
    // Another Secret of the name is not the one.
    api.post("/api/v1/namespaces/default/secrets", &json!({"metadata": {"name": "s"}})).await.expect(201);
    check(&of_secret, 401).await;
    check(&plain, 201).await;
    api.delete(&format!("{ACCOUNTS}/robot")).await.expect(200);
    check(&plain, 401).await;
    api.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    check(&plain, 401).await;
}

#[tokio::test]
async fn verifiers_of_tokens_find_the_keys() {
    let api = Harness::start().await;
    let token = bearer(&token(&api, "default", json!({})).await);
    let headers = [("authorization", token.as_str())];
    let config = with(&api, "GET", "/.well-known/openid-configuration", &headers, &Value::Null).await;
    assert_eq!(config.headers["content-type"], "application/json");
    assert_eq!(config.headers["cache-control"], "public, max-age=3600");
    assert_eq!(config.expect(200)["issuer"], "https://kubernetes.default.svc.cluster.local");
    let keys = with(&api, "GET", "/openid/v1/jwks", &headers, &Value::Null).await;
    assert_eq!(keys.headers["content-type"], "application/jwk-set+json");
    assert_eq!(keys.expect(200)["keys"][0]["alg"], "ES256");
    with(&api, "GET", "/openid/v1/jwks", &[], &Value::Null).await.refused(403, "Forbidden");
    let groups = who(&api, &headers).await.expect(201)["status"]["userInfo"]["groups"].clone();
    assert_eq!(
        groups,
        json!(["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"])
    );
}

#[tokio::test]
async fn a_bootstrap_token_joins_and_does_no_more() {
    let api = Harness::start().await;
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let secret = json!({
        "metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": "abcdef", "token-secret": "0123456789abcdef",
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:workers",
        },
    });
    api.post(secrets, &secret).await.expect(201);
    let headers = [("authorization", "Bearer abcdef.0123456789abcdef")];
    let user = who(&api, &headers).await.expect(201)["status"]["userInfo"].clone();
    assert_eq!(user["username"], "system:bootstrap:abcdef");
    assert_eq!(
        user["groups"],
        json!(["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"])
    );
    with(&api, "GET", MAPS, &headers, &Value::Null).await.refused(403, "Forbidden");
    api.delete(&format!("{secrets}/bootstrap-token-abcdef")).await.expect(200);
    who(&api, &headers).await.refused(401, "Unauthorized");
}

#[tokio::test]
async fn abuse_03_headers_of_a_front_proxy_count_for_nothing() {
    let api = Harness::start().await;
    let forged = [("x-remote-user", "admin"), ("x-remote-group", "system:masters"), ("x-remote-uid", "1")];
    with(&api, "GET", MAPS, &forged, &Value::Null).await.refused(403, "Forbidden");
    let token = bearer(&token(&api, "default", json!({})).await);
    let both = [("authorization", token.as_str()), ("x-remote-user", "admin")];
    let user = who(&api, &both).await.expect(201)["status"]["userInfo"]["username"].clone();
    assert_eq!(user, "system:serviceaccount:default:default");
}

#[tokio::test]
async fn abuse_05_nobody_acts_as_another_without_the_right_to() {
    let api = Harness::start().await;
    let role = json!({
        "metadata": {"name": "as-jane"},
        "rules": [
            {"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"]},
            {"apiGroups": ["authentication.k8s.io"], "resources": ["uids"], "resourceNames": ["7"], "verbs": ["impersonate"]},
            {"apiGroups": ["authentication.k8s.io"], "resources": ["userextras/acme.com/team"], "resourceNames": ["a"], "verbs": ["impersonate"]},
        ],
    });
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    api.post(roles, &role).await.expect(201);
    let binding = json!({
        "metadata": {"name": "as-jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "as-jane"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await.expect(201);
    let token = bearer(&token(&api, "default", json!({})).await);
    let asking = async |headers: &[(&str, &str)]| {
        let all: Vec<_> = [("authorization", token.as_str())].iter().chain(headers).copied().collect();
        who(&api, &all).await
    };
    let jane = ("impersonate-user", "jane");
    // The table of rights follows its watch.
    api.eventually(|| async { asking(&[jane]).await.code == 201 }).await;
    let user = asking(&[jane, ("impersonate-uid", "7"), ("impersonate-extra-acme.com%2fteam", "a")]).await;
    let user = user.expect(201)["status"]["userInfo"].clone();
    assert_eq!((&user["username"], &user["uid"]), (&json!("jane"), &json!("7")));
    assert_eq!(user["extra"]["acme.com/team"], json!(["a"]));
    for forbidden in [
        [("impersonate-user", "root"), ("accept", "*/*")],
        [jane, ("impersonate-group", "system:masters")],
        [jane, ("impersonate-uid", "8")],
        [jane, ("impersonate-extra-acme.com%2fteam", "b")],
        [jane, ("impersonate-extra-acme.com%2fother", "a")],
    ] {
        asking(&forbidden).await.refused(403, "Forbidden");
    }
    asking(&[("impersonate-uid", "7")]).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn reviews_say_what_the_subject_may() {
    let api = Harness::start().await;
    let account = api.post(ACCOUNTS, &json!({"metadata": {"name": "robot"}})).await.expect(201);
    let user = "system:serviceaccount:default:robot";
    let groups = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"];
    let uid = account["metadata"]["uid"].as_str().expect("a uid");
    let spec = json!({
        "user": user, "groups": groups, "uid": uid,
        "resourceAttributes": {"verb": "list", "resource": "configmaps", "namespace": "default", "version": "v1"},
    });
    let group = "/apis/authorization.k8s.io/v1";
    let everywhere = format!("{group}/subjectaccessreviews");
    let here = format!("{group}/namespaces/default/localsubjectaccessreviews");
    let may = async |path: &str| {
        let review =
            json!({"metadata": {"namespace": if path == here { "default" } else { "" }}, "spec": spec});
        let status = api.post(path, &review).await.expect(201)["status"].clone();
        status["allowed"].as_bool().expect("an answer")
    };
    // An administrator acts as the account.
    let binding = json!({
        "metadata": {"name": "admins"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    });
    api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await.expect(201);
    let admin = bearer(&token(&api, "default", json!({})).await);
    let mine = [("authorization", admin.as_str())];
    api.eventually(|| async { with(&api, "GET", MAPS, &mine, &Value::Null).await.code == 200 }).await;
    let list = async || {
        let as_account = [("impersonate-user", user), ("impersonate-uid", uid)];
        let as_groups = groups.map(|group| ("impersonate-group", group));
        let headers: Vec<_> = mine.into_iter().chain(as_account).chain(as_groups).collect();
        with(&api, "GET", MAPS, &headers, &Value::Null).await.code
    };
    assert_eq!((may(&everywhere).await, may(&here).await, list().await), (false, false, 403));

    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]);
    api.post(&format!("{rbac}/roles"), &json!({"metadata": {"name": "reader"}, "rules": rules}))
        .await
        .expect(201);
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    api.post(&format!("{rbac}/rolebindings"), &binding).await.expect(201);
    // The table of rights follows its watch.
    api.eventually(|| may(&everywhere)).await;
    assert_eq!((may(&here).await, list().await), (true, 200));
    let elsewhere = format!("{group}/namespaces/kube-system/localsubjectaccessreviews");
    api.post(&elsewhere, &json!({"metadata": {"namespace": "kube-system"}, "spec": spec}))
        .await
        .refused(422, "Invalid");
}
