//! Clients that send and want protobuf: negotiation, every kind of answer, the
//! framing of a watch.

use futures::FutureExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use k8s_pb::{
    api::core::v1 as core,
    apimachinery::pkg::{apis::meta::v1 as meta, runtime::Unknown},
};
use prost::Message;
use serde_json::{Value, json};

use super::{
    custom::{DEFINITIONS, condition, crontabs, until},
    harness::{Answer, Harness, MAPS, PODS, deployment, pod},
};
use crate::protobuf::{decode, encode, wire};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// As client-go sends it.
const BOTH: &str = "application/vnd.kubernetes.protobuf,application/json";
const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";

impl Answer {
    /// The object of an answer in protobuf.
    #[track_caller]
    fn message(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        assert_eq!(self.headers["content-type"], PROTOBUF);
        decode(&self.bytes).expect("a message")
    }
}

/// A list's items don't say what they are, in protobuf.
fn bare(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.remove("apiVersion");
        object.remove("kind");
    }
    object
}

#[tokio::test]
async fn what_kubectl_creates_keeps_its_zeros() {
    let api = Harness::start().await;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"},
        "spec": {"minAvailable": 0, "selector": {"matchLabels": {"a": "b"}}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    });
    let body = encode(&budget).expect("a message");
    let made = api.call(Method::POST, BUDGETS, PROTOBUF, BOTH, body).await.message(201);
    let stored = api.get(&format!("{BUDGETS}/b")).await.expect(200);
    assert_eq!(stored["spec"]["minAvailable"], 0);
    assert_eq!(made, stored);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": false, "serving": true}}],
        "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let made =
        api.call(Method::POST, slices, PROTOBUF, "", encode(&slice).expect("a message")).await.expect(201);
    assert_eq!(made["endpoints"], slice["endpoints"]);
    assert_eq!(made["ports"], slice["ports"]);
}

#[tokio::test]
async fn every_verb_answers_as_it_does_in_json() {
    let api = Harness::start().await;
    let path = format!("{PODS}/p");
    let made =
        api.call(Method::POST, PODS, PROTOBUF, BOTH, encode(&pod("p")).expect("a Pod")).await.message(201);
    assert_eq!(made, api.get(&path).await.expect(200));
    assert_eq!(api.get_as(&path, BOTH).await.message(200), made);

    let patch = json!({"metadata": {"labels": {"x": "1"}}}).to_string();
    let patched =
        api.call(Method::PATCH, &path, "application/merge-patch+json", BOTH, patch).await.message(200);
    assert_eq!(patched, api.get(&path).await.expect(200));
    let mut changed = patched;
    changed["metadata"]["labels"]["x"] = "2".into();
    let body = encode(&changed).expect("a Pod");
    let updated = api.call(Method::PUT, &path, PROTOBUF, BOTH, body).await.message(200);
    assert_eq!(updated["metadata"]["labels"]["x"], "2");

    let json_list = api.get(PODS).await.expect(200);
    let list = api.get_as(PODS, BOTH).await.message(200);
    // The server writes objects of its own meanwhile, so the second may be newer.
    let version =
        |list: &Value| list["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok());
    assert_eq!(list["kind"], "PodList");
    assert!(version(&json_list).is_some() && version(&list) >= version(&json_list), "{}", list["metadata"]);
    assert_eq!(list["items"], json!([bare(json_list["items"][0].clone())]));

    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0});
    let body = encode(&options).expect("options");
    let gone = api.call(Method::DELETE, &path, PROTOBUF, BOTH, body).await.message(200);
    assert_eq!(gone["metadata"]["name"], "p");
    api.get(&path).await.refused(404, "NotFound");
    api.config_map("m", json!({}), json!({})).await;
    let status = api.call(Method::DELETE, &format!("{MAPS}/m"), "", BOTH, "").await.message(200);
    assert_eq!((&status["kind"], &status["status"]), (&json!("Status"), &json!("Success")));
}

#[tokio::test]
async fn pages_of_a_list_say_what_is_left() {
    let api = Harness::start().await;
    for name in ["a", "b", "c"] {
        api.config_map(name, json!({}), json!({"k": name})).await;
    }
    let first = api.get_as(&format!("{MAPS}?limit=2"), BOTH).await.message(200);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let next = first["metadata"]["continue"].as_str().expect("a token");
    let second = api.get_as(&format!("{MAPS}?limit=2&continue={next}"), BOTH).await.message(200);
    assert_eq!(second["items"][0]["metadata"]["name"], "c");
    assert_eq!(second["metadata"].get("continue"), None);
}

#[tokio::test]
async fn a_large_list_is_compressed_in_protobuf_too() {
    let api = Harness::start().await;
    for n in 0..4 {
        api.config_map(&format!("m{n}"), json!({}), json!({"k": "x".repeat(60_000)})).await;
    }
    let request = Request::get(MAPS).header("accept-encoding", "gzip").header("accept", BOTH);
    let response = api.send(request.body(tiphys_api::serve::empty()).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert_eq!(response.headers()["content-type"], PROTOBUF);
    let packed = response.into_body().collect().await.unwrap().to_bytes();
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut body).unwrap();
    assert_eq!(decode(&body).expect("a list")["items"].as_array().map(Vec::len), Some(4));
}

/// The one thread where blocking is allowed is taken: what is answered is made on the thread of requests.
#[test]
fn a_long_list_is_made_beside_the_thread_of_requests() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().expect("a runtime");
    runtime.block_on(async {
        let api = Harness::start().await;
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        for (length, long) in [(60, false), (60_000, true)] {
            for n in 0..5 {
                let name = format!("{}-{n}", if long { "long" } else { "short" });
                api.config_map(&name, json!({}), json!({"k": "x".repeat(length)})).await;
            }
            api.get(MAPS).await.expect(200);
            let (free, taken) = std::sync::mpsc::channel::<()>();
            let waiting = tokio::task::spawn_blocking(move || taken.recv());
            for (accept, transcoded) in
                [("application/json", false), (BOTH, true), (table, true), ("application/yaml", true)]
            {
                let request = Request::get(format!("{MAPS}?resourceVersion=0")).header("accept", accept);
                let request = request.body(tiphys_api::serve::empty()).expect("a request");
                let answer = api.send(request).now_or_never();
                assert_eq!(answer.is_none(), long && transcoded, "{accept}");
                assert!(answer.is_none_or(|answer| answer.status() == 200), "{accept}");
            }
            drop(free);
            waiting.await.expect("a thread").expect_err("nothing was sent");
        }
        let list = api.get_as(MAPS, BOTH).await.message(200);
        assert_eq!(list["items"].as_array().map(Vec::len), Some(10));
    });
}

#[tokio::test]
async fn a_second_version_and_what_is_below_an_object() {
    let api = Harness::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    api.post(deployments, &deployment("d", 2)).await.expect(201);
    let scale = api.get_as(&format!("{deployments}/d/scale"), BOTH).await.message(200);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(2)));
    let mut wanted = scale;
    wanted["spec"]["replicas"] = 3.into();
    let body = encode(&wanted).expect("a Scale");
    let path = format!("{deployments}/d/scale");
    let scaled = api.call(Method::PUT, &path, PROTOBUF, BOTH, body).await.message(200);
    assert_eq!(scaled["spec"]["replicas"], 3);
    let mut wanted = scaled;
    wanted["spec"]["replicas"] = 0.into();
    let body = encode(&wanted).expect("a Scale");
    api.call(Method::PUT, &path, PROTOBUF, BOTH, body).await.message(200);
    assert_eq!(api.get(&format!("{deployments}/d")).await.expect(200)["spec"]["replicas"], 0);

    let autoscaler = json!({
        "apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "minReplicas": 1, "maxReplicas": 4, "targetCPUUtilizationPercentage": 70},
    });
    let old = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    let body = encode(&autoscaler).expect("an autoscaler");
    let made = api.call(Method::POST, old, PROTOBUF, BOTH, body).await.message(201);
    assert_eq!(made["spec"], autoscaler["spec"]);
    let listed = api.get_as(old, BOTH).await.message(200);
    assert_eq!(listed["items"][0]["spec"], autoscaler["spec"]);
    let new = api.get_as(&format!("{}/h", old.replace("v1/", "v2/")), BOTH).await.message(200);
    assert_eq!(new["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 70);

    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 600},
    });
    let path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let body = encode(&request).expect("a request");
    let token = api.call(Method::POST, path, PROTOBUF, BOTH, body).await.message(201);
    assert_eq!(token["status"]["token"].as_str().map(|token| token.split('.').count()), Some(3));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}},
    });
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let body = encode(&review).expect("a review");
    assert_eq!(
        api.call(Method::POST, path, PROTOBUF, BOTH, body).await.message(201)["status"]["allowed"],
        true
    );
}

#[tokio::test]
async fn a_failure_is_a_status_in_what_is_accepted() {
    let api = Harness::start().await;
    let missing = api.get_as(&format!("{MAPS}/none"), BOTH).await.message(404);
    assert_eq!((&missing["reason"], &missing["code"]), (&json!("NotFound"), &json!(404)));
    assert_eq!(missing["details"], json!({"name": "none", "kind": "configmaps"}));
    let body = b"k8s\0nonsense".to_vec();
    let bad = api.call(Method::POST, MAPS, PROTOBUF, PROTOBUF, body).await.message(400);
    assert_eq!(bad["reason"], "BadRequest");
    let yaml = api.get_as(&format!("{MAPS}/none"), "application/yaml").await;
    assert!(yaml.text.contains("reason: NotFound"), "{}", yaml.text);
    api.get_as(&format!("{MAPS}/none"), "application/cbor").await.refused(406, "NotAcceptable");
}

#[tokio::test]
async fn tables_are_json_and_metadata_is_either() {
    let api = Harness::start().await;
    api.config_map("a", json!({"x": "1"}), json!({"k": "1"})).await;
    let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io";
    api.get_as(MAPS, table).await.refused(406, "NotAcceptable");
    let mixed = format!("{table},application/json;as=Table;v=v1;g=meta.k8s.io");
    assert_eq!(api.get_as(MAPS, &mixed).await.expect(200)["kind"], "Table");
    let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = api.get_as(MAPS, partial).await.message(200);
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["labels"], json!({"x": "1"}));
    let partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
    let one = api.get_as(&format!("{MAPS}/a"), partial).await.message(200);
    assert_eq!((&one["apiVersion"], one.get("data")), (&json!("meta.k8s.io/v1"), None));
    let low = "application/vnd.kubernetes.protobuf;q=0.5,application/json";
    assert_eq!(api.get_as(MAPS, low).await.headers["content-type"], "application/json");
}

#[tokio::test]
async fn cbor_is_neither_taken_nor_given() {
    let api = Harness::start().await;
    api.call(Method::POST, MAPS, "application/cbor", "", "x").await.refused(415, "UnsupportedMediaType");
    let list = api.get_as(MAPS, "application/cbor,application/vnd.kubernetes.protobuf").await.message(200);
    assert_eq!(list["kind"], "ConfigMapList");
}

/// What a frame holds: the event's type and its object.
fn event(frame: &[u8]) -> (String, Value) {
    let event = meta::WatchEvent::decode(frame).expect("an event");
    let object = event.object.and_then(|object| object.raw).expect("an object");
    (event.r#type.unwrap_or_default(), decode(&object).expect("an object in its envelope"))
}

#[tokio::test]
async fn a_watch_sends_frames() {
    let api = Harness::start().await;
    api.config_map("a", json!({"x": "1"}), json!({"k": "1"})).await;
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let request = Request::get(&path).header("accept", BOTH).body(tiphys_api::serve::empty()).unwrap();
    let response = api.send(request).await;
    assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    drop(response);

    let mut watch = api.watch_as(&path, BOTH).await;
    let added = event(&watch.frame().await.expect("a frame"));
    assert_eq!(added, ("ADDED".into(), api.get(&format!("{MAPS}/a")).await.expect(200)));
    let (kind, bookmark) = event(&watch.frame().await.expect("a frame"));
    assert_eq!((kind.as_str(), &bookmark["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let merge = json!({"data": {"k": "2"}});
    let changed = api.patch(&format!("{MAPS}/a"), "merge", &merge).await.expect(200);
    assert_eq!(event(&watch.frame().await.expect("a frame")), ("MODIFIED".into(), changed));
    api.delete(&format!("{MAPS}/a")).await.expect(200);
    let (kind, gone) = event(&watch.frame().await.expect("a frame"));
    assert_eq!((kind.as_str(), &gone["data"]["k"]), ("DELETED", &json!("2")));
}

#[tokio::test]
async fn a_watch_sends_metadata_and_errors_in_frames() {
    let api = Harness::start().await;
    for n in 0..3 {
        api.config_map(&format!("m{n}"), json!({}), json!({"k": "1"})).await;
    }
    let partial =
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
    let mut watch = api.watch_as(&format!("{MAPS}?watch=1"), partial).await;
    let (kind, object) = event(&watch.frame().await.expect("a frame"));
    assert_eq!((kind.as_str(), &object["kind"]), ("ADDED", &json!("PartialObjectMetadata")));
    assert_eq!((&object["metadata"]["name"], object.get("data")), (&json!("m0"), None));
    drop(watch);
    let newest = api.store.revision().await.expect("a revision");
    api.store.compact(newest).await.expect("compacted");
    let api = api.restart().await;
    let mut watch = api.watch_as(&format!("{MAPS}?watch=1&resourceVersion=2"), BOTH).await;
    let (kind, gone) = event(&watch.frame().await.expect("a frame"));
    assert_eq!((kind.as_str(), &gone["kind"], &gone["code"]), ("ERROR", &json!("Status"), &json!(410)));
    assert_eq!(watch.frame().await, None);
    let yaml = api.get_as(&format!("{MAPS}?watch=1"), "application/yaml").await;
    assert_eq!(yaml.code, 406);
}

#[tokio::test]
async fn a_definition_is_made_and_read_in_messages() {
    let api = Harness::start().await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let body = encode(&crontabs()).expect("a definition");
    let made = api.call(Method::POST, DEFINITIONS, PROTOBUF, BOTH, body).await.message(201);
    assert_eq!(made["spec"]["versions"], crontabs()["spec"]["versions"]);
    let established =
        until(&api, "crontabs.stable.example.com", |one| condition(one, "Established") == "True").await;
    let read = api.get_as(&path, BOTH).await.message(200);
    assert_eq!((&read["spec"], &read["status"]), (&established["spec"], &established["status"]));
    let list = api.get_as(DEFINITIONS, BOTH).await.message(200);
    assert_eq!(list["kind"], "CustomResourceDefinitionList");
    assert_eq!(list["items"], json!([bare(read.clone())]));
    let mut watch = api.watch_as(&format!("{DEFINITIONS}?watch=1"), BOTH).await;
    assert_eq!(event(&watch.frame().await.expect("a frame")), ("ADDED".into(), read.clone()));

    let mut wanted = read;
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    wanted.pointer_mut(schema).expect("properties")["more"] =
        json!({"type": "object", "default": {}, "additionalProperties": {"type": "number", "minimum": 0.5}});
    let body = encode(&wanted).expect("a definition");
    let changed = api.call(Method::PUT, &path, PROTOBUF, BOTH, body).await.message(200);
    assert_eq!(changed["spec"], wanted["spec"]);
    assert_eq!(api.get(&path).await.expect(200)["spec"], wanted["spec"]);
    assert_eq!(event(&watch.frame().await.expect("a frame")), ("MODIFIED".into(), changed));
}

#[tokio::test]
async fn prost_reads_a_list_of_the_server() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let answer = api.get_as(PODS, PROTOBUF).await;
    let envelope =
        Unknown::decode(answer.bytes.strip_prefix(b"k8s\0").expect("the prefix")).expect("an envelope");
    let list = core::PodList::decode(envelope.raw.expect("a list").as_slice()).expect("a list");
    let spec = list.items[0].spec.as_ref().expect("a spec");
    assert_eq!(spec.containers[0].image.as_deref(), Some("web:1"));
    assert_eq!(spec.termination_grace_period_seconds, Some(30));
}

#[tokio::test]
async fn discovery_in_protobuf() {
    let api = Harness::start().await;
    let groups = api.get_as("/apis", BOTH).await.message(200);
    assert_eq!(groups, api.get("/apis").await.expect(200));
    for path in ["/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/metrics.k8s.io"] {
        let plain = api.get(path).await;
        let answer = api.get_as(path, BOTH).await;
        match plain.code {
            200 => assert_eq!(without_empty(plain.json()), without_empty(answer.message(200)), "{path}"),
            code => assert_eq!(answer.code, code),
        }
    }
    let aggregated = "application/vnd.kubernetes.protobuf;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                      application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    assert_eq!(api.get_as("/apis", aggregated).await.expect(200)["kind"], "APIGroupDiscoveryList");
}

/// Protobuf has no empty lists.
fn without_empty(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => {
            map.retain(|_, value| !matches!(value, Value::Array(items) if items.is_empty()));
            map.values_mut().for_each(|value| *value = without_empty(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| *value = without_empty(value.take())),
        _ => {}
    }
    value
}

/// The payloads of a field of a message.
fn parts(message: &[u8], number: u32) -> Vec<&[u8]> {
    let fields = wire::fields(message).map(|field| field.expect("a field"));
    fields.filter(|(of, _)| *of == number).map(|(_, payload)| payload.bytes().expect("bytes")).collect()
}

/// The value of an entry of a map of gnostic's, of which `number` is the field.
fn named<'a>(map: &'a [u8], number: u32, name: &str) -> &'a [u8] {
    let entries = parts(map, number);
    let entry = entries.iter().find(|entry| parts(entry, 1) == [name.as_bytes()]).expect(name);
    parts(entry, 2)[0]
}

#[tokio::test]
async fn openapi_v2_is_given_as_kubectl_asks_for_it() {
    let api = Harness::start().await;
    let old = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let new = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let answer = api.get_as("/openapi/v2", old).await;
    assert_eq!((answer.code, answer.headers["content-type"].to_str().unwrap()), (200, new));
    let tag = answer.headers["etag"].clone();
    assert_ne!(tag, api.get("/openapi/v2").await.headers["etag"]);
    let request = Request::get("/openapi/v2").header("accept", new).header("if-none-match", tag);
    assert_eq!(api.send(request.body(tiphys_api::serve::empty()).unwrap()).await.status(), 304);
    api.get_as("/openapi/v2", "application/x").await.refused(406, "NotAcceptable");

    let plain = api.get("/openapi/v2").await.expect(200);
    let document = &answer.bytes;
    assert_eq!(parts(document, 1), [b"2.0"]);
    let definitions = parts(document, 9)[0];
    assert_eq!(parts(definitions, 1).len(), plain["definitions"].as_object().unwrap().len());
    let pod = named(definitions, 1, "io.k8s.api.core.v1.Pod");
    let spec = named(parts(pod, 25)[0], 1, "spec");
    assert_eq!(parts(spec, 1), [b"#/definitions/io.k8s.api.core.v1.PodSpec"]);
    let extension = parts(named(pod, 31, "x-kubernetes-group-version-kind"), 2)[0];
    let kind: Value = serde_json::from_slice(extension).expect("JSON");
    assert_eq!(kind, json!([{"group": "", "version": "v1", "kind": "Pod"}]));
    let labels = named(definitions, 1, "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector");
    let labels = named(parts(labels, 25)[0], 1, "matchLabels");
    assert_eq!(parts(parts(parts(parts(labels, 21)[0], 1)[0], 22)[0], 1), [b"string"]);

    let paths = parts(document, 8)[0];
    assert_eq!(parts(paths, 2).len(), plain["paths"].as_object().unwrap().len());
    let item = named(paths, 2, "/api/v1/namespaces/{namespace}/pods/{name}");
    let patch = parts(item, 8)[0];
    let named_kind = parts(named(patch, 13, "x-kubernetes-group-version-kind"), 2)[0];
    assert_eq!(serde_json::from_slice::<Value>(named_kind).expect("JSON")["kind"], "Pod");
    let queries: Vec<&[u8]> =
        parts(patch, 8).into_iter().map(|item| parts(parts(parts(item, 1)[0], 2)[0], 3)[0]).collect();
    assert!(queries.iter().any(|query| parts(query, 4) == [b"fieldValidation"]));
}
