//! Admission through the whole server.

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::future::join_all;
use serde_json::{Value, json};

use super::harness::{DEPLOYMENTS, Harness, PODS, deployment, pod};

const QUOTAS: &str = "/api/v1/namespaces/bounded/resourcequotas";
const BOUNDED: &str = "/api/v1/namespaces/bounded/configmaps";

/// A namespace whose quota of ConfigMaps is `hard`, as the quota controller would have summed it up.
async fn bounded(hard: u32) -> Harness {
    let api = Harness::start().await;
    api.post("/api/v1/namespaces", &json!({"metadata": {"name": "bounded"}})).await.expect(201);
    let hard = json!({"count/configmaps": hard.to_string()});
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}});
    api.post(QUOTAS, &quota).await.expect(201);
    let status = json!({"status": {"hard": hard, "used": {"count/configmaps": "0"}}});
    api.patch(&format!("{QUOTAS}/q/status"), "merge", &status).await.expect(200);
    api
}

async fn used(api: &Harness) -> Value {
    let quota = api.get(&format!("{QUOTAS}/q")).await.expect(200);
    quota["status"]["used"]["count/configmaps"].clone()
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_parallel_creates_do_not_exceed_a_quota() {
    let api = bounded(10).await;
    let creates = (0..64).map(|n| {
        let api = &api;
        async move { api.post(BOUNDED, &named(&format!("m{n}"))).await }
    });
    // Others write the quota meanwhile.
    let labels = (0..20).map(|n| {
        let api = &api;
        async move {
            let label = json!({"metadata": {"labels": {"n": n.to_string()}}});
            api.patch(&format!("{QUOTAS}/q"), "merge", &label).await.expect(200);
        }
    });
    let (answers, _) = tokio::join!(join_all(creates), join_all(labels));
    let mut made = 0;
    for answer in answers {
        if answer.code == 201 {
            made += 1;
        } else {
            let why = answer.refused(403, "Forbidden");
            assert!(
                why.contains("exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=10"),
                "{why}"
            );
        }
    }
    assert_eq!(made, 10);
    assert_eq!(api.get(BOUNDED).await.expect(200)["items"].as_array().unwrap().len(), 10);
    assert_eq!(used(&api).await, "10");
}

#[tokio::test]
async fn what_is_not_stored_is_not_charged() {
    let api = bounded(2).await;
    api.post(BOUNDED, &named("a")).await.expect(201);
    api.post(BOUNDED, &named("a")).await.refused(409, "AlreadyExists");
    api.post(&format!("{BOUNDED}?dryRun=All"), &named("b")).await.expect(201);
    api.post(BOUNDED, &json!({"metadata": {"name": "B?"}})).await.refused(422, "Invalid");
    assert_eq!(used(&api).await, "1");
    api.post(BOUNDED, &named("b")).await.expect(201);
    api.post(&format!("{BOUNDED}?dryRun=All"), &named("c")).await.refused(403, "Forbidden");
    assert_eq!(used(&api).await, "2");
}

#[tokio::test]
async fn a_limit_range_decides_a_pods_class() {
    let api = Harness::start().await;
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [
        {"type": "Container", "max": {"cpu": "1", "memory": "1Gi"}}]}});
    let made = api.post("/api/v1/namespaces/default/limitranges", &range).await.expect(201);
    assert_eq!(made["spec"]["limits"][0]["default"], json!({"cpu": "1", "memory": "1Gi"}));
    let web = api.post(PODS, &pod("web")).await.expect(201);
    assert_eq!(web["status"]["qosClass"], "Guaranteed");
    assert_eq!(web["spec"]["containers"][0]["resources"]["requests"], json!({"cpu": "1", "memory": "1Gi"}));
    let mut large = pod("large");
    large["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
    let why = api.post(PODS, &large).await.refused(403, "Forbidden");
    assert_eq!(why, "pods \"large\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}

#[tokio::test]
async fn warnings_travel_with_answers_and_errors() {
    let api = Harness::start().await;
    let label = |level: &str| json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    api.patch("/api/v1/namespaces/default", "merge", &label("baseline")).await.expect(200);
    let mut web = deployment("web", 1);
    web["spec"]["template"]["spec"]["hostNetwork"] = true.into();
    let answer = api.post(DEPLOYMENTS, &web).await;
    assert_eq!(
        answer.headers["warning"],
        "299 - \"would violate PodSecurity \\\"baseline:latest\\\": host namespaces (hostNetwork=true)\""
    );
    answer.expect(201);
    let mut bad = pod("bad");
    bad["spec"]["hostPID"] = true.into();
    bad["spec"]["unknown"] = true.into();
    let refused = api.post(PODS, &bad).await;
    assert_eq!(refused.headers["warning"], "299 - \"unknown field \\\"spec.unknown\\\"\"");
    let why = refused.refused(403, "Forbidden");
    assert_eq!(
        why,
        "pods \"bad\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"
    );
    let nonsense = api.patch("/api/v1/namespaces/default", "merge", &label("none")).await;
    nonsense.refused(422, "Invalid");
}

#[tokio::test]
async fn a_claim_that_is_deleted_waits_for_its_finalizer() {
    let api = Harness::start().await;
    let claims = "/api/v1/namespaces/default/persistentvolumeclaims";
    let claim = json!({"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    api.post(claims, &claim).await.expect(201);
    api.delete(&format!("{claims}/c")).await.expect(200);
    let held = api.get(&format!("{claims}/c")).await.expect(200);
    assert_eq!(held["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let free = json!({"metadata": {"finalizers": null}});
    api.patch(&format!("{claims}/c"), "merge", &free).await.expect(200);
    api.get(&format!("{claims}/c")).await.refused(404, "NotFound");
}

#[tokio::test]
async fn who_wants_a_certificate_is_written_by_the_server() {
    let api = Harness::start().await;
    let csrs = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let key = rcgen::KeyPair::generate().expect("a key");
    let request = rcgen::CertificateParams::default().serialize_request(&key).expect("a request");
    let request = BASE64_STANDARD.encode(request.pem().expect("its text"));
    let wanted = json!({"metadata": {"name": "c"}, "spec": {"signerName": "example.com/x", "request": request,
        "usages": ["client auth"], "username": "root", "groups": ["system:masters"], "uid": "0"}});
    let mut broken = wanted.clone();
    broken["spec"]["request"] = "eA==".into();
    api.post(csrs, &broken).await.refused(422, "Invalid");
    let made = api.post(csrs, &wanted).await.expect(201);
    assert_eq!(made["spec"]["username"], "tester");
    assert_eq!(made["spec"]["uid"], Value::Null);
}

#[tokio::test]
async fn the_systems_priority_classes_are_there_and_stay() {
    let api = Harness::start().await;
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    for (name, value) in [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)]
    {
        let class = api.get(&format!("{classes}/{name}")).await.expect(200);
        assert_eq!(
            (&class["value"], &class["preemptionPolicy"]),
            (&json!(value), &json!("PreemptLowerPriority"))
        );
        let why = api.delete(&format!("{classes}/{name}")).await.refused(403, "Forbidden");
        assert!(why.ends_with("this is a system priority class and cannot be deleted"), "{why}");
    }
}
