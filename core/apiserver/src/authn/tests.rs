//! Tokens and certificates that must and must not pass.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use super::{
    jwt::{Bound, Claims, Reference},
    *,
};
use crate::{
    authz::{Refusal, fixture::Fixture},
    pki::ClusterPki,
};

fn pki() -> ClusterPki {
    ClusterPki::load_or_create(tempfile::tempdir().unwrap().path()).unwrap()
}

fn cluster() -> Fixture {
    let pod = |name: &str, metadata: Value| {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "namespace": "ns", "name": name, "uid": "p1" },
            "spec": { "serviceAccountName": "robot", "nodeName": "n1" },
        });
        pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        pod
    };
    Fixture::new([
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "robot", "uid": "s1" } }),
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "namespace": "ns", "name": "other", "uid": "s2" } }),
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1", "uid": "u1" } }),
        pod("web", json!({})),
        pod("leaving", json!({ "deletionTimestamp": "2020-01-01T00:00:00Z" })),
    ])
}

fn authenticator(pki: &ClusterPki) -> Authenticator {
    let config = Config {
        keys: TokenKeys::from_pem(pki.service_account_key()).unwrap(),
        static_tokens: vec![("let-me-in".into(), UserInfo::named("boot", &["dev"]))],
        anonymous: Anonymous::Always,
        oidc: oidc::Issuers::default(),
    };
    Authenticator::new(config, Arc::new(cluster()))
}

async fn with_token(authenticator: &Authenticator, token: &str) -> Result<UserInfo, u16> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let found = authenticator.authenticate(None, "/api", &mut headers).await;
    assert!(headers.is_empty());
    found.map(|found| found.user).map_err(|refusal| refusal.code)
}

async fn request(authenticator: &Authenticator, spec: Value) -> Result<Value, Refusal> {
    authenticator.token_request("ns", "robot", json!({ "spec": spec })).await
}

fn claims() -> Claims {
    let now = jiff::Timestamp::now().as_second();
    let reference = |name: &str, uid: &str| Reference { name: name.into(), uid: uid.into() };
    Claims {
        aud: vec![ISSUER.into()],
        exp: now + 600,
        iat: now,
        nbf: now,
        iss: ISSUER.into(),
        jti: "1".into(),
        sub: "system:serviceaccount:ns:robot".into(),
        kubernetes: Bound {
            namespace: "ns".into(),
            serviceaccount: reference("robot", "s1"),
            pod: Some(reference("web", "p1")),
            ..Bound::default()
        },
    }
}

#[tokio::test]
async fn a_requested_token_authenticates_as_its_service_account() {
    let pki = pki();
    let authenticator = authenticator(&pki);
    let bound = json!({ "kind": "Pod", "apiVersion": "v1", "name": "web", "uid": "p1" });
    let spec = json!({ "expirationSeconds": 3607, "boundObjectRef": bound });
    let answer = request(&authenticator, spec).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let user = with_token(&authenticator, token).await.unwrap();
    assert_eq!(user.name, "system:serviceaccount:ns:robot");
    assert_eq!(user.uid, "s1");
    let groups = ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"];
    assert_eq!(user.groups, groups);
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["web"]);
    assert_eq!(user.extra["authentication.kubernetes.io/node-uid"], ["u1"]);

    let review = authenticator.token_review(json!({ "spec": { "token": token } })).await;
    assert_eq!(review["status"]["authenticated"], true);
    assert_eq!(review["status"]["user"]["uid"], "s1");
    let review =
        authenticator.token_review(json!({ "spec": { "token": token, "audiences": ["vault"] } })).await;
    assert_eq!(review["status"]["authenticated"], Value::Null);
    assert!(review["status"]["error"].as_str().unwrap().contains("vault"));
}

#[tokio::test]
async fn a_token_request_that_cannot_be_met_says_why() {
    let authenticator = authenticator(&pki());
    let code =
        async |spec: Value| request(&authenticator, spec).await.map(|_| ()).map_err(|refusal| refusal.code);
    let pod = |name: &str, uid: &str| json!({ "boundObjectRef": { "kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid } });
    assert_eq!(code(json!({ "expirationSeconds": 599 })).await, Err(422));
    assert_eq!(code(pod("gone", "")).await, Err(404));
    assert_eq!(code(pod("web", "other")).await, Err(409));
    assert_eq!(
        code(json!({ "boundObjectRef": { "kind": "Job", "apiVersion": "batch/v1", "name": "x" } })).await,
        Err(400)
    );
    let refused =
        authenticator.token_request("ns", "other", json!({ "spec": pod("web", "p1") })).await.unwrap_err();
    assert_eq!(refused.code, 400, "{refused}");
    let refused = authenticator.token_request("ns", "nobody", json!({ "spec": {} })).await.unwrap_err();
    assert_eq!(refused.code, 404);
}

#[tokio::test]
async fn abuse_02_a_wrong_token_is_401() {
    let pki = pki();
    let authenticator = authenticator(&pki);
    let keys = TokenKeys::from_pem(pki.service_account_key()).unwrap();
    let check = async |change: &dyn Fn(&mut Claims), expected: Option<u16>| {
        let mut claims = claims();
        change(&mut claims);
        let result = with_token(&authenticator, &keys.sign(&claims).unwrap()).await;
        assert_eq!(result.err(), expected, "{claims:?}");
    };
    let pod = |claims: &mut Claims, name: &str, uid: &str| {
        claims.kubernetes.pod = Some(Reference { name: name.into(), uid: uid.into() });
    };
    check(&|_| {}, None).await;
    check(&|claims| claims.exp = claims.iat - 1, Some(401)).await;
    check(&|claims| claims.nbf = claims.iat + 300, Some(401)).await;
    check(&|claims| claims.aud = vec!["vault".into()], Some(401)).await;
    check(&|claims| claims.aud = vec![], Some(401)).await;
    check(&|claims| claims.iss = "https://elsewhere".into(), Some(401)).await;
    check(&|claims| claims.sub = "system:serviceaccount:kube-system:robot".into(), Some(401)).await;
    check(&|claims| claims.kubernetes.serviceaccount.uid = "s0".into(), Some(401)).await;
    check(&|claims| claims.kubernetes.namespace = "gone".into(), Some(401)).await;
    check(&|claims| pod(claims, "gone", "p1"), Some(401)).await;
    check(&|claims| pod(claims, "web", "p0"), Some(401)).await;
    check(&|claims| pod(claims, "leaving", "p1"), Some(401)).await;
}

#[tokio::test]
async fn abuse_02_a_tampered_token_is_401() {
    let pki = pki();
    let authenticator = authenticator(&pki);
    let keys = TokenKeys::from_pem(pki.service_account_key()).unwrap();
    let good = keys.sign(&claims()).unwrap();
    assert!(with_token(&authenticator, &good).await.is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let other = TokenKeys::from_pem(self::pki().service_account_key()).unwrap();
    let unsigned = "eyJhbGciOiJub25lIn0";
    let symmetric = "eyJhbGciOiJIUzI1NiJ9";
    let mut claims = claims();
    claims.sub = "system:serviceaccount:ns:other".into();
    let foreign = keys.sign(&claims).unwrap();
    let foreign_payload = foreign.split('.').nth(1).unwrap();
    for bad in [
        other.sign(&self::claims()).unwrap(),
        format!("{}.{foreign_payload}.{}", parts[0], parts[2]),
        format!("{unsigned}.{}.", parts[1]),
        format!("{symmetric}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        "nonsense".into(),
        "let-me-in2".into(),
    ] {
        assert_eq!(with_token(&authenticator, &bad).await, Err(401), "{bad}");
    }
}

#[tokio::test]
async fn abuse_03_headers_of_a_front_proxy_are_ignored() {
    let authenticator = authenticator(&pki());
    let mut headers = HeaderMap::new();
    headers.insert("x-remote-user", "admin".parse().unwrap());
    headers.insert("x-remote-group", "system:masters".parse().unwrap());
    headers.insert("x-remote-extra-scopes", "all".parse().unwrap());
    let user = authenticator.authenticate(None, "/api", &mut headers).await.unwrap().user;
    assert_eq!((user.name.as_str(), user.groups), (ANONYMOUS, vec![UNAUTHENTICATED.to_owned()]));
}

#[tokio::test]
async fn certificates_and_static_tokens_name_their_user() {
    let pki = pki();
    let authenticator = authenticator(&pki);
    let pem = pki.client("jane", Some("dev")).unwrap().certificate_pem;
    let der = rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
    let der: rustls_pki_types::CertificateDer<'_> = der.unwrap();
    let jane = authenticator
        .authenticate(Some(&PeerCertificate::read(&der)), "/api", &mut HeaderMap::new())
        .await
        .unwrap()
        .user;
    assert_eq!((jane.name.as_str(), jane.groups), ("jane", vec!["dev".into(), AUTHENTICATED.to_owned()]));
    let broken = PeerCertificate::read(&[1, 2, 3]);
    assert!(authenticator.authenticate(Some(&broken), "/api", &mut HeaderMap::new()).await.is_err());

    let boot = with_token(&authenticator, "let-me-in").await.unwrap();
    assert_eq!(boot.name, "boot");
    assert_eq!(self_subject_review(&boot)["status"]["userInfo"]["username"], "boot");
}

#[test]
fn the_published_keys_verify_tokens() {
    let keys = TokenKeys::from_pem(pki().service_account_key()).unwrap();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys.jwks()).unwrap();
    let token = keys.sign(&claims()).unwrap();
    let id = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&id).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&[ISSUER]);
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_ok());
}
