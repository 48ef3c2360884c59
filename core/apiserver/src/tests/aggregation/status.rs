//! Whether an extension server is available, what the condition says of it, and what clients get
//! while it isn't.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use super::{
    aggregated,
    extension::{Extension, GROUP_VERSION, NAME, SERVICES, WARES, becomes, endpoint, endpoint_that, service},
    reaching,
};
use crate::tests::harness::Harness;

const SLICE: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/wares-1";

#[tokio::test]
async fn the_condition_says_what_is_missing() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.announce(&api).await;
    let message = becomes(&api, "False", "ServiceNotFound").await;
    assert_eq!(message, "service/wares in \"default\" is not present");
    // Requests follow the condition a moment later.
    api.eventually(|| async { api.get(WARES).await.text.contains("ServiceNotFound") }).await;
    let message = api.get(WARES).await.refused(503, "ServiceUnavailable");
    assert_eq!(message, "the APIService v1.wares.example is not available (ServiceNotFound)");
    api.get(GROUP_VERSION).await.refused(503, "ServiceUnavailable");
    service(&api).await;
    becomes(&api, "False", "EndpointsNotFound").await;
    endpoint(&api, "127.0.0.1", server.port).await;
    assert_eq!(becomes(&api, "True", "Passed").await, "all checks passed");
    api.eventually(|| async { api.get(WARES).await.code == 200 }).await;
    let wares = || api.server.elsewhere().into_iter().find(|one| one.plural == "wares");
    let told = wares().expect("told to whoever lists all there is");
    assert_eq!((&*told.group, &*told.version, told.is_namespaced), ("wares.example", "v1", true));
    assert!(told.verbs.iter().any(|verb| verb == "list"));

    endpoint_that(&api, "127.0.0.1", server.port, false).await;
    becomes(&api, "False", "MissingEndpoints").await;
    let version = aggregated(&api, "wares.example").await.expect("a version");
    assert_eq!(
        (&version["freshness"], &version["resources"][0]["resource"]),
        (&json!("Stale"), &json!("wares"))
    );
    assert_eq!(wares(), Some(told), "what doesn't answer keeps what it said");
    let path = format!("{SERVICES}/{NAME}");
    api.patch(&path, "merge", &json!({ "spec": { "service": { "port": 99 } } })).await.expect(200);
    becomes(&api, "False", "ServicePortError").await;
    // Of one that leads elsewhere nothing is known: what the former one said is forgotten.
    let version = aggregated(&api, "wares.example").await.expect("a version");
    assert_eq!((&version["freshness"], &version["resources"]), (&json!("Stale"), &json!([])));
    api.patch(&path, "merge", &json!({ "spec": { "service": null, "caBundle": null } })).await.expect(200);
    becomes(&api, "True", "Local").await;
    api.gone(WARES).await;
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.set_broken(true);
    service(&api).await;
    endpoint(&api, "127.0.0.1", server.port).await;
    server.announce(&api).await;
    let message = becomes(&api, "False", "FailedDiscoveryCheck").await;
    let url = "https://wares.default.svc:443/apis/wares.example/v1";
    assert_eq!(message, format!("failing or missing response from {url}: bad status from {url}: 500"));
    server.set_broken(false);
    becomes(&api, "True", "Passed").await;
}

#[tokio::test]
async fn abuse_12_only_a_certified_server_is_spoken_to() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    service(&api).await;
    endpoint(&api, "127.0.0.1", server.port).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = crate::pki::ClusterPki::load_or_create(folder.path()).expect("another authority");
    let mut object = json!({ "metadata": { "name": NAME }, "spec": server.spec() });
    object["spec"]["caBundle"] = BASE64_STANDARD.encode(other.ca_pem()).into();
    api.post(SERVICES, &object).await.expect(201);
    let message = becomes(&api, "False", "FailedDiscoveryCheck").await;
    assert!(message.contains("certificate"), "{message}");
    api.get(WARES).await.refused(503, "ServiceUnavailable");
    // Without a bundle the machine's authorities count, and a bundle that is none trusts nobody.
    let path = format!("{SERVICES}/{NAME}");
    for bundle in [json!(null), json!(BASE64_STANDARD.encode("no certificate"))] {
        api.patch(&path, "merge", &json!({ "spec": { "caBundle": bundle } })).await.expect(200);
        becomes(&api, "False", "FailedDiscoveryCheck").await;
    }
    assert!(server.asked().is_empty() && server.looked_at().is_empty());
    let insecure = json!({ "spec": { "caBundle": null, "insecureSkipTLSVerify": true } });
    api.patch(&path, "merge", &insecure).await.expect(200);
    becomes(&api, "True", "Passed").await;
}

#[tokio::test]
async fn abuse_10_no_service_leads_into_the_servers_own_surroundings() {
    let api = Harness::start().await;
    let server = Extension::start(&api).await;
    service(&api).await;
    endpoint(&api, "169.254.169.254", server.port).await;
    server.announce(&api).await;
    let message = becomes(&api, "False", "FailedDiscoveryCheck").await;
    assert!(message.contains("address 169.254.169.254 not allowed"), "{message}");
    api.delete(SLICE).await.expect(200);
    becomes(&api, "False", "EndpointsNotFound").await;
    let external = json!({ "spec": { "type": "ExternalName", "externalName": "localhost", "clusterIP": null, "clusterIPs": null } });
    api.patch("/api/v1/namespaces/default/services/wares", "merge", &external).await.expect(200);
    let message = becomes(&api, "False", "FailedDiscoveryCheck").await;
    assert!(message.contains("not allowed"), "{message}");
    // Even one that is said to be available is not dialled.
    let path = format!("{SERVICES}/{NAME}/status");
    let said = json!({ "status": { "conditions": [{ "type": "Available", "status": "True", "reason": "Passed" }] } });
    api.patch(&path, "merge", &said).await.expect(200);
    let refused = async || {
        let answer = api.get(WARES).await;
        answer.code == 503 && answer.text.contains("not allowed")
    };
    api.eventually(refused).await;
    assert!(server.asked().is_empty() && server.looked_at().is_empty());
}

#[tokio::test]
async fn the_servers_own_groups_can_not_be_taken_away() {
    let api = reaching().await;
    let server = Extension::start(&api).await;
    server.register(&api).await;
    for (name, group) in [("v1.", ""), ("v1.apiregistration.k8s.io", "apiregistration.k8s.io")] {
        let mut spec = server.spec();
        spec["group"] = group.into();
        let object = json!({ "metadata": { "name": name }, "spec": spec });
        api.delete(&format!("{SERVICES}/{name}")).await;
        api.post(SERVICES, &object).await.expect(201);
    }
    // What follows them has seen them when it has seen a later one.
    let mut later = server.spec();
    later["version"] = "v2".into();
    api.post(SERVICES, &json!({ "metadata": { "name": "v2.wares.example" }, "spec": later }))
        .await
        .expect(201);
    api.eventually(|| async { api.get("/apis/wares.example/v2/wares").await.code == 503 }).await;
    api.get("/api/v1/namespaces/default/configmaps").await.expect(200);
    api.get(SERVICES).await.expect(200);
    assert!(server.asked().is_empty());
}
