//! Versions that are converted by a webhook.

use std::{convert::Infallible, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_lifecycle::OnError;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{CRONTABS, DEFINITIONS, crontab, define, versions::two_versions};
use crate::{
    pki::server_tls,
    tests::harness::{Harness, event},
};

const SECOND: &str = "/apis/stable.example.com/v2/namespaces/default/crontabs";

type Answer = Arc<dyn Fn(Value) -> Response<Full<Bytes>> + Send + Sync>;

/// A webhook on a port of its own, and what it was asked.
struct Hook {
    url: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    async fn start(api: &Harness, answer: Answer) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let identity = api.pki.server("hook", &names).expect("a certificate");
        let acceptor = TlsAcceptor::from(server_tls(&identity, None).expect("a configuration"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}/convert", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (tasks, heard) = (api.tasks.clone(), asked.clone());
        api.tasks.spawn("hook", OnError::Log, async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let (acceptor, answer, heard) = (acceptor.clone(), answer.clone(), heard.clone());
                tasks.spawn("hook connection", OnError::Log, async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return Ok::<(), hyper::Error>(()) };
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (answer, heard) = (answer.clone(), heard.clone());
                        async move {
                            let body = request.into_body().collect().await.expect("a body").to_bytes();
                            let review: Value = serde_json::from_slice(&body).expect("JSON");
                            heard.lock().push(review.clone());
                            Ok::<_, Infallible>(answer(review))
                        }
                    });
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
                });
            }
            #[allow(unreachable_code)]
            Ok::<(), std::io::Error>(())
        });
        Self { url, asked }
    }

    /// Two versions that this webhook converts.
    fn definition(&self, api: &Harness) -> Value {
        let mut definition = two_versions();
        definition["spec"]["versions"][0]["deprecated"] = json!(false);
        definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
            "conversionReviewVersions": ["v1"],
            "clientConfig": {"url": self.url, "caBundle": BASE64_STANDARD.encode(api.pki.ca_pem())}}});
        definition
    }
}

/// `spec.image` in v1 is `spec.free.picture` in v2.
fn rename(review: Value) -> Response<Full<Bytes>> {
    let request = &review["request"];
    let wanted = request["desiredAPIVersion"].clone();
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = wanted.clone();
        if wanted == "stable.example.com/v2" {
            let picture = object["spec"]["image"].take();
            object["spec"]["free"] = json!({ "picture": picture });
            object["spec"]["image"] = json!("moved");
        } else {
            object["spec"]["image"] = object["spec"]["free"]["picture"].clone();
            object["spec"].as_object_mut().expect("a spec").remove("free");
        }
        object
    };
    let objects: Vec<Value> = request["objects"].as_array().expect("objects").iter().map(convert).collect();
    let answer = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
        "response": {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}});
    Response::new(Full::new(answer.to_string().into()))
}

#[tokio::test]
async fn a_webhook_converts_on_every_way() {
    let api = Harness::start().await;
    let hook = Hook::start(&api, Arc::new(rename)).await;
    define(&api, &hook.definition(&api)).await;
    for name in ["a", "b"] {
        let made = api.post(CRONTABS, &crontab(name, json!({"cron": "1", "image": "x"}))).await.expect(201);
        assert_eq!(
            (&made["apiVersion"], &made["spec"]["image"]),
            (&json!("stable.example.com/v1"), &json!("x"))
        );
    }
    let second = api.get(&format!("{SECOND}/a")).await.expect(200);
    assert_eq!(second["spec"]["free"], json!({"picture": "x"}));
    let first = api.get(&format!("{CRONTABS}/a")).await.expect(200);
    assert_eq!(first["spec"]["image"], "x");
    hook.asked.lock().clear();
    let list = api.get(CRONTABS).await.expect(200);
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["spec"]["image"] == "x"));
    assert_eq!(hook.asked.lock().len(), 1, "a list is converted in one go");
    let mut events = api.watch(&format!("{CRONTABS}?watch=1&fieldSelector=metadata.name%3Da")).await;
    assert_eq!(events.next().await.expect("an event")["object"]["spec"]["image"], "x");
    let patched =
        api.patch(&format!("{CRONTABS}/a"), "merge", &json!({"spec": {"image": "y"}})).await.expect(200);
    assert_eq!(patched["spec"]["image"], "y");
    assert_eq!(events.next().await.expect("an event")["object"]["spec"]["image"], "y");
    assert_eq!(api.get(&format!("{SECOND}/a")).await.expect(200)["spec"]["free"]["picture"], "y");
    let table = api.get_as(CRONTABS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.expect(200);
    assert_eq!(table["rows"].as_array().unwrap().len(), 2);
    api.delete(&format!("{CRONTABS}/a")).await.expect(200);
    assert_eq!(events.event().await, event("DELETED", "a"));
}

#[tokio::test]
async fn a_webhook_that_fails_fails_the_request_and_no_other() {
    let api = Harness::start().await;
    let fail = |review: Value| {
        let answer = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": {
            "uid": review["request"]["uid"], "result": {"status": "Failure", "message": "not today"}}});
        Response::new(Full::new(answer.to_string().into()))
    };
    let hook = Hook::start(&api, Arc::new(fail)).await;
    define(&api, &hook.definition(&api)).await;
    api.post(SECOND, &json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}})).await.expect(201);
    let message = api.get(&format!("{CRONTABS}/a")).await.refused(500, "InternalError");
    assert!(
        message.contains("conversion webhook for stable.example.com/v2, Kind=CronTab failed: not today"),
        "{message}"
    );
    api.get(&format!("{SECOND}/a")).await.expect(200);
    api.delete(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await.expect(200);
    api.gone(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await;
}

#[tokio::test]
async fn abuse_11_a_redirect_is_not_followed_and_its_body_is_not_told() {
    let api = Harness::start().await;
    let redirect = |_| {
        let answer = Response::builder().status(302).header("location", "https://127.0.0.1:6443/secret");
        answer.body(Full::new(Bytes::from_static(b"the secret body"))).expect("a response")
    };
    let hook = Hook::start(&api, Arc::new(redirect)).await;
    define(&api, &hook.definition(&api)).await;
    api.post(SECOND, &json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}})).await.expect(201);
    let answer = api.get(&format!("{CRONTABS}/a")).await;
    assert!(answer.text.contains("the webhook answered with status 302"), "{}", answer.text);
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    assert_eq!(hook.asked.lock().len(), 1);
}

#[tokio::test]
async fn abuse_10_and_12_only_certified_webhooks_beyond_the_server_itself_are_called() {
    let api = Harness::start().await;
    let hook = Hook::start(&api, Arc::new(rename)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = crate::pki::ClusterPki::load_or_create(folder.path()).expect("another authority");
    let mut definition = hook.definition(&api);
    let client = "/spec/conversion/webhook/clientConfig";
    *definition.pointer_mut(&format!("{client}/caBundle")).unwrap() =
        json!(BASE64_STANDARD.encode(other.ca_pem()));
    define(&api, &definition).await;
    api.post(SECOND, &json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}})).await.expect(201);
    let message = api.get(&format!("{CRONTABS}/a")).await.refused(500, "InternalError");
    assert!(message.contains("certificate"), "{message}");

    let service = json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 443}]}});
    api.post("/api/v1/namespaces/default/services", &service).await.expect(201);
    let slice = json!({"metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 443}], "endpoints": [{"addresses": ["169.254.169.254"]}]});
    api.store_slice(slice).await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let patch = json!([{"op": "replace", "path": client, "value": {"service": {"namespace": "default", "name": "hook"}}}]);
    api.patch(&path, "json", &patch).await.expect(200);
    api.eventually(|| async { api.get(&format!("{CRONTABS}/a")).await.text.contains("not allowed") }).await;
    assert!(hook.asked.lock().is_empty());
}

#[tokio::test]
async fn a_list_of_objects_in_two_stored_versions_is_of_one() {
    let api = Harness::start().await;
    let hook = Hook::start(&api, Arc::new(rename)).await;
    let mut definition = hook.definition(&api);
    let versions = &mut definition["spec"]["versions"];
    (versions[0]["storage"], versions[1]["storage"]) = (json!(true), json!(false));
    versions[1]["served"] = json!(false);
    define(&api, &definition).await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1", "image": "x"}))).await.expect(201);
    let turn = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true},
        {"op": "replace", "path": "/spec/versions/1/served", "value": true},
    ]);
    let own = format!("{DEFINITIONS}/crontabs.stable.example.com");
    api.patch(&own, "json", &turn).await.expect(200);
    api.eventually(|| async { api.get(SECOND).await.code == 200 }).await;
    let free = json!({"cron": "1", "free": {"picture": "y"}});
    api.post(SECOND, &json!({"metadata": {"name": "b"}, "spec": free})).await.expect(201);
    let stored = async |name: &str| {
        let key = format!("/registry/stable.example.com/crontabs/default/{name}");
        let value = api.store.get(&key, None).await.expect("a store").expect("an object");
        serde_json::from_slice::<Value>(&value.value).expect("JSON")["apiVersion"].clone()
    };
    assert_eq!(
        (stored("a").await, stored("b").await),
        (json!("stable.example.com/v1"), json!("stable.example.com/v2"))
    );
    for (path, version) in [(SECOND, "stable.example.com/v2"), (CRONTABS, "stable.example.com/v1")] {
        let list = api.get(path).await.expect(200);
        let shown = |item: &Value| {
            let picture = item["spec"]["free"]["picture"].as_str().or(item["spec"]["image"].as_str());
            (item["apiVersion"].clone(), item["metadata"]["name"].clone(), json!(picture))
        };
        let items: Vec<_> = list["items"].as_array().expect("items").iter().map(shown).collect();
        assert_eq!(list["apiVersion"], version);
        assert_eq!(
            items,
            [(json!(version), json!("a"), json!("x")), (json!(version), json!("b"), json!("y")),]
        );
    }
}
