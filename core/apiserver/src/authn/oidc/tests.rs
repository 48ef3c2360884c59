//! ID tokens of an issuer that the test runs: HTTPS, discovery, keys that change.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    authn::TokenKeys,
    pki::{ClusterPki, server_tls},
};

/// An issuer at `https://127.0.0.1:PORT`.
struct TestIssuer {
    url: String,
    pki: ClusterPki,
    state: Arc<Mutex<State>>,
    _folder: TempDir,
    _tasks: Tasks,
}

#[derive(Default)]
struct State {
    keys: Vec<Value>,
    asked: Vec<String>,
    redirects: bool,
}

struct Key {
    pair: KeyPair,
    id: String,
}

impl Key {
    fn new(id: &str) -> Self {
        Self { pair: KeyPair::generate().unwrap(), id: id.into() }
    }

    fn published(&self) -> Value {
        let mut set = TokenKeys::from_pem(&self.pair.serialize_pem()).unwrap().jwks();
        let mut key = set["keys"][0].take();
        key["kid"] = self.id.clone().into();
        key
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_pem(self.pair.serialize_pem().as_bytes()).unwrap();
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }
}

impl TestIssuer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::load_or_create(folder.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = pki.server("issuer", &["127.0.0.1".into()]).unwrap();
        let mut tls = (*server_tls(&identity, None).unwrap()).clone();
        tls.alpn_protocols.clear();
        let state = Arc::<Mutex<State>>::default();
        let tasks = Tasks::new();
        let work = serve(listener, TlsAcceptor::from(Arc::new(tls)), address, state.clone(), tasks.clone());
        tasks.spawn("issuer", OnError::Log, work);
        Self { url: format!("https://{address}"), pki, state, _folder: folder, _tasks: tasks }
    }

    fn publish(&self, keys: &[&Key]) {
        self.state.lock().keys = keys.iter().map(|key| key.published()).collect();
    }

    fn fetches(&self) -> usize {
        self.state.lock().asked.iter().filter(|path| *path == "/keys").count()
    }

    fn trusted(&self, mappings: &str) -> Issuers {
        let authority = self.pki.ca_pem().replace('\n', "\n      ");
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: {}\n    \
             audiences: [cluster]\n    certificateAuthority: |\n      {authority}\n  claimMappings:\n{mappings}",
            self.url
        );
        Issuers::new(&AuthenticationConfiguration::parse(&text).unwrap()).unwrap()
    }

    fn claims(&self) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({"iss": self.url, "aud": "cluster", "exp": now + 600, "sub": "jane", "groups": ["dev", "ops"], "team": "a"})
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    tasks: Tasks,
) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, state) = (tls.clone(), state.clone());
        tasks.spawn("connection", OnError::Log, async move {
            // A client that does not trust us ends it here.
            let Ok(stream) = tls.accept(stream).await else { return Ok(()) };
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer(request.uri().path(), address, &mut state.lock());
                async move { Ok::<_, Infallible>(answer) }
            });
            let server = hyper::server::conn::http1::Builder::new();
            server.serve_connection(TokioIo::new(stream), service).await
        });
    }
}

fn answer(path: &str, address: SocketAddr, state: &mut State) -> Response<Full<bytes::Bytes>> {
    state.asked.push(path.into());
    if state.redirects {
        let moved =
            Response::builder().status(302).header("location", format!("https://{address}/elsewhere"));
        return moved.body(Full::default()).unwrap();
    }
    let document = match path {
        "/keys" => json!({"keys": state.keys}),
        _ => json!({"issuer": format!("https://{address}"), "jwks_uri": format!("https://{address}/keys")}),
    };
    Response::new(Full::from(document.to_string()))
}

const MAPPINGS: &str = "    username: {claim: sub, prefix: 'corp:'}\n    groups: {claim: groups, prefix: 'corp:'}\n  claimValidationRules:\n  - {claim: team, requiredValue: a}\n";

#[tokio::test]
async fn claims_become_a_user_and_broken_rules_do_not() {
    let issuer = TestIssuer::start().await;
    let key = Key::new("one");
    issuer.publish(&[&key]);
    let trusted = issuer.trusted(MAPPINGS);
    let user = trusted.user(&issuer.url, &key.sign(&issuer.claims())).await.unwrap();
    assert_eq!(user.name, "corp:jane");
    assert_eq!(user.groups, ["corp:dev", "corp:ops", "system:authenticated"]);
    let refused = async |change: Value, why: &str| {
        let mut claims = issuer.claims();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = trusted.user(&issuer.url, &key.sign(&claims)).await.unwrap_err();
        assert!(error.contains(why), "{change}: {error}");
    };
    refused(json!({"aud": "other"}), "InvalidAudience").await;
    refused(json!({"exp": 1}), "ExpiredSignature").await;
    refused(json!({"nbf": jiff::Timestamp::now().as_second() + 3600}), "not valid yet").await;
    refused(json!({"iss": "https://127.0.0.1:1"}), "InvalidIssuer").await;
    refused(json!({"team": "b"}), "value does not match").await;
    refused(json!({"team": null}), "value does not match").await;
    refused(json!({"sub": 7}), "is no text").await;
    refused(json!({"groups": [1]}), "neither text nor a list").await;
    // All of it with one fetch of the keys.
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn abuse_02_a_token_signed_by_another_key_is_refused() {
    let issuer = TestIssuer::start().await;
    let (key, other) = (Key::new("one"), Key::new("one"));
    issuer.publish(&[&key]);
    let mut trusted = issuer.trusted(MAPPINGS);
    trusted.0[0].keys.pause = std::time::Duration::from_secs(3600);
    let error = trusted.user(&issuer.url, &other.sign(&issuer.claims())).await.unwrap_err();
    assert!(error.contains("InvalidSignature"), "{error}");
    // The public key as the secret of a symmetric signature.
    let secret = EncodingKey::from_secret(key.pair.public_key_pem().as_bytes());
    let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &issuer.claims(), &secret).unwrap();
    let error = trusted.user(&issuer.url, &forged).await.unwrap_err();
    assert!(error.contains("not allowed"), "{error}");
    // Made-up keys don't make us ask the issuer each time.
    for number in 0..5 {
        let made_up = Key::new(&number.to_string());
        assert!(trusted.user(&issuer.url, &made_up.sign(&issuer.claims())).await.is_err());
    }
    assert!(issuer.fetches() <= 2, "{}", issuer.fetches());
}

#[tokio::test]
async fn a_new_key_is_found_and_a_foreign_certificate_is_not_trusted() {
    let issuer = TestIssuer::start().await;
    let (old, new) = (Key::new("old"), Key::new("new"));
    issuer.publish(&[&old]);
    let mut trusted = issuer.trusted(MAPPINGS);
    trusted.user(&issuer.url, &old.sign(&issuer.claims())).await.unwrap();
    issuer.publish(&[&new]);
    // So soon after the last fetch there is no other.
    trusted.0[0].keys.pause = std::time::Duration::from_secs(3600);
    assert!(trusted.user(&issuer.url, &new.sign(&issuer.claims())).await.is_err());
    trusted.0[0].keys.pause = std::time::Duration::ZERO;
    trusted.user(&issuer.url, &new.sign(&issuer.claims())).await.unwrap();
    assert!(trusted.user(&issuer.url, &old.sign(&issuer.claims())).await.is_err());

    let stranger = TestIssuer::start().await;
    stranger.publish(&[&new]);
    let mut mixed = stranger.trusted(MAPPINGS);
    mixed.0[0].keys = Keys::new(
        format!("{}/.well-known/openid-configuration", stranger.url),
        stranger.url.clone(),
        fetch::tls(Some(issuer.pki.ca_pem())).unwrap(),
    );
    let error = mixed.user(&stranger.url, &new.sign(&stranger.claims())).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(stranger.fetches(), 0);
}

#[tokio::test]
async fn abuse_11_an_issuer_that_redirects_is_not_followed() {
    let issuer = TestIssuer::start().await;
    let key = Key::new("one");
    issuer.publish(&[&key]);
    issuer.state.lock().redirects = true;
    let mut trusted = issuer.trusted(MAPPINGS);
    let error = trusted.user(&issuer.url, &key.sign(&issuer.claims())).await.unwrap_err();
    assert!(error.contains("302"), "{error}");
    assert_eq!(issuer.state.lock().asked, ["/.well-known/openid-configuration"]);
    // It is asked again after a pause: once it answers, the token is good.
    trusted.0[0].keys.pause = std::time::Duration::ZERO;
    issuer.state.lock().redirects = false;
    trusted.user(&issuer.url, &key.sign(&issuer.claims())).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_fails_is_not_asked_for_every_token() {
    let issuer = TestIssuer::start().await;
    let key = Key::new("one");
    issuer.state.lock().redirects = true;
    let mut trusted = issuer.trusted(MAPPINGS);
    let token = key.sign(&issuer.claims());
    // Who waits for a fetch takes what comes of it, however short the pause.
    trusted.0[0].keys.pause = std::time::Duration::ZERO;
    let all = futures::future::join_all((0..5).map(|_| trusted.user(&issuer.url, &token))).await;
    for refused in all {
        let error = refused.unwrap_err();
        assert!(error.contains("302"), "{error}");
    }
    assert_eq!(issuer.state.lock().asked.len(), 1);
    // Without a key as with one, the next is not asked for within the pause.
    trusted.0[0].keys.pause = std::time::Duration::from_secs(3600);
    let error = trusted.user(&issuer.url, &token).await.unwrap_err();
    assert!(error.contains("302"), "{error}");
    assert_eq!(issuer.state.lock().asked.len(), 1);
}

#[test]
fn flags_name_users_by_their_issuer() {
    let flags = |claim: &str, prefix: &str| Flags {
        issuer_url: "https://id.example.com".into(),
        client_id: "cluster".into(),
        username_claim: claim.into(),
        username_prefix: prefix.into(),
        ..Flags::default()
    };
    let prefix =
        |flags: Flags| flags.config().unwrap().jwt[0].claim_mappings.username.prefix.clone().unwrap();
    assert_eq!(prefix(flags("", "")), "https://id.example.com#");
    assert_eq!(prefix(flags("email", "")), "");
    assert_eq!(prefix(flags("sub", "-")), "");
    assert_eq!(prefix(flags("sub", "x:")), "x:");
    for bad in [
        Flags { issuer_url: "http://id.example.com".into(), ..flags("", "") },
        Flags { issuer_url: crate::authn::ISSUER.into(), ..flags("", "") },
        Flags { client_id: String::new(), ..flags("", "") },
        Flags { signing_algorithms: vec!["HS256".into()], ..flags("", "") },
        Flags { required_claims: vec!["x".into()], ..flags("", "") },
    ] {
        assert!(bad.config().is_err(), "{bad:?}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let refused = |jwt: &str, why: &str| {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- {jwt}\n"
        );
        let error = AuthenticationConfiguration::parse(&text).expect_err(jwt).to_string();
        assert!(error.contains(why), "{jwt}: {error}");
    };
    let issuer = "issuer: {url: 'https://a.b', audiences: [c]}";
    refused(&format!("{{{issuer}, claimMappings: {{username: {{claim: sub}}}}}}"), "prefix: is required");
    refused(&format!("{{{issuer}, claimMappings: {{}}}}"), "username.claim: is required");
    refused(&format!("{{{issuer}, claimMappings: {{username: {{expression: claims.sub}}}}}}"), "CEL");
    refused(
        "{issuer: {url: 'https://a.b', audiences: [c, d]}, claimMappings: {username: {claim: sub, prefix: ''}}}",
        "MatchAny",
    );
    refused("{issuer: {url: 'https://a.b/?x', audiences: [c]}, claimMappings: {}}", "without user, query");
    refused("{colour: red}", "not valid");
}
