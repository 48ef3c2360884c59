//! CertificateSigningRequests as objects: discovery, every verb, and the two subresources.

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::harness::Harness;

const GROUP: &str = "/apis/certificates.k8s.io";
const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SIGNER: &str = "example.com/harbour";
const OF_SIGNER: &str = "fieldSelector=spec.signerName%3Dexample.com%2Fharbour";

/// A request, and a certificate of the same key.
fn made() -> (Value, String) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(vec!["gull.example.com".to_owned()]).expect("a name");
    let pem = parameters.serialize_request(&key).and_then(|request| request.pem()).expect("a request");
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    let request = json!({
        "metadata": {"generateName": "gull-"},
        "spec": {
            "request": BASE64_STANDARD.encode(pem), "signerName": SIGNER, "expirationSeconds": 3600,
            "usages": ["digital signature", "key encipherment", "server auth"],
        },
    });
    (request, BASE64_STANDARD.encode(certificate))
}

fn names(list: &Value, pointer: &str) -> Vec<String> {
    let all = list.pointer(pointer).and_then(Value::as_array).expect("a list");
    all.iter().filter_map(|one| one["name"].as_str().or(one["version"].as_str()).map(String::from)).collect()
}

async fn count(api: &Harness) -> usize {
    let list = api.get(&format!("{REQUESTS}?{OF_SIGNER}")).await.expect(200);
    list["items"].as_array().expect("items").len()
}

#[tokio::test]
async fn the_group_of_certificates_is_discovered() {
    let api = Harness::start().await;
    let groups = api.get("/apis").await.expect(200);
    assert!(names(&groups, "/groups").contains(&"certificates.k8s.io".to_owned()));
    assert!(names(&api.get(GROUP).await.expect(200), "/versions").contains(&"v1".to_owned()));
    let resources = api.get(&format!("{GROUP}/v1")).await.expect(200);
    let resources = names(&resources, "/resources");
    for part in ["", "/approval", "/status"] {
        assert!(resources.contains(&format!("certificatesigningrequests{part}")), "{resources:?}");
    }
}

#[tokio::test]
async fn a_certificate_request_has_every_verb() {
    let api = Harness::start().await;
    let (request, _) = made();
    let made = api.post(REQUESTS, &request).await.expect(201);
    for _ in 0..2 {
        api.post(REQUESTS, &request).await.expect(201);
    }
    let path = format!("{REQUESTS}/{}", made["metadata"]["name"].as_str().expect("a name"));
    let found = api.get(&path).await.expect(200);
    assert_eq!(found["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(found["spec"]["expirationSeconds"], 3600);
    assert_eq!(count(&api).await, 3);

    let version = made["metadata"]["resourceVersion"].as_str().expect("a version");
    let mut watch = api.watch(&format!("{REQUESTS}?watch=1&resourceVersion={version}&{OF_SIGNER}")).await;
    let annotated = |key: &str| json!({"metadata": {"annotations": {key: "true"}}});
    let mut patched = api.patch(&path, "merge", &annotated("patched")).await.expect(200);
    assert_eq!(patched["metadata"]["annotations"]["patched"], "true");
    patched["metadata"]["annotations"]["updated"] = "true".into();
    let updated = api.put(&path, &patched).await.expect(200);
    assert_eq!(updated["metadata"]["annotations"], json!({"patched": "true", "updated": "true"}));
    loop {
        let event = watch.next().await.expect("an event");
        if event["type"] == "MODIFIED" && event["object"]["metadata"]["annotations"]["updated"] == "true" {
            break;
        }
    }

    api.delete(&path).await.expect(200);
    api.get(&path).await.refused(404, "NotFound");
    assert_eq!(count(&api).await, 2);
    api.delete(&format!("{REQUESTS}?{OF_SIGNER}")).await.expect(200);
    assert_eq!(count(&api).await, 0);
}

#[tokio::test]
async fn a_certificate_request_is_approved_and_issued_by_its_subresources() {
    let api = Harness::start().await;
    let (request, certificate) = made();
    let made = api.post(REQUESTS, &request).await.expect(201);
    let path = format!("{REQUESTS}/{}", made["metadata"]["name"].as_str().expect("a name"));
    let condition = |kind: &str| json!({"type": kind, "status": "True", "reason": "Test"});
    let kinds = |object: &Value| {
        let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["type"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };

    let approval = format!("{path}/approval");
    assert_eq!(api.get(&approval).await.expect(200)["metadata"]["uid"], made["metadata"]["uid"]);
    let patch = json!({
        "metadata": {"annotations": {"patchedapproval": "true"}}, "spec": {"signerName": "example.com/other"},
        "status": {"conditions": [condition("Seen")]},
    });
    let mut patched = api.patch(&approval, "merge", &patch).await.expect(200);
    assert_eq!(kinds(&patched), ["Seen"]);
    assert_eq!(patched["metadata"]["annotations"]["patchedapproval"], "true");
    assert_eq!(patched["spec"]["signerName"], SIGNER, "an approval changes no spec");
    patched["status"]["conditions"].as_array_mut().expect("a list").push(condition("Approved"));
    patched["status"]["certificate"] = certificate.clone().into();
    let approved = api.put(&approval, &patched).await.expect(200);
    assert_eq!(kinds(&approved), ["Seen", "Approved"]);
    assert!(approved["status"]["certificate"].is_null(), "an approval issues nothing");

    let status = format!("{path}/status");
    assert_eq!(api.get(&status).await.expect(200)["metadata"]["uid"], made["metadata"]["uid"]);
    let patch = json!({
        "metadata": {"annotations": {"patchedstatus": "true"}}, "status": {"certificate": certificate},
    });
    let mut issued = api.patch(&status, "merge", &patch).await.expect(200);
    assert_eq!(issued["status"]["certificate"], certificate);
    assert_eq!(
        issued["metadata"]["annotations"],
        json!({"patchedapproval": "true", "patchedstatus": "true"})
    );
    issued["status"]["conditions"].as_array_mut().expect("a list").push(condition("Delivered"));
    let updated = api.put(&status, &issued).await.expect(200);
    assert_eq!(kinds(&updated), ["Seen", "Approved", "Delivered"]);
}
