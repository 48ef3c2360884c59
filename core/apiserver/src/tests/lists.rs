//! list: selectors, pages, versions, shapes.

use serde_json::json;

use super::harness::{Harness, MAPS, PODS, pod};

fn names(list: &serde_json::Value) -> Vec<String> {
    let items = list["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn selectors_choose() {
    let api = Harness::start().await;
    api.config_map("a", json!({"app": "web", "tier": "front"}), json!({})).await;
    api.config_map("b", json!({"app": "web"}), json!({})).await;
    api.config_map("c", json!({"app": "db"}), json!({})).await;
    let table = [
        ("labelSelector=app%3Dweb", vec!["a", "b"]),
        ("labelSelector=app%20in%20(web,db),!tier", vec!["b", "c"]),
        ("labelSelector=app%21%3Dweb", vec!["c"]),
        ("fieldSelector=metadata.name%3Db", vec!["b"]),
        ("labelSelector=tier", vec!["a"]),
    ];
    for (query, expected) in table {
        let list = api.get(&format!("{MAPS}?{query}")).await.expect(200);
        assert_eq!(list["kind"], "ConfigMapList");
        assert_eq!(list["apiVersion"], "v1");
        assert_eq!(names(&list), expected, "{query}");
    }
    api.get(&format!("{MAPS}?labelSelector=%3D%3D")).await.refused(400, "BadRequest");
    let unknown =
        api.get(&format!("{MAPS}?fieldSelector=spec.nodeName%3Dx")).await.refused(400, "BadRequest");
    assert!(unknown.contains("field label not supported"), "{unknown}");
}

#[tokio::test]
async fn pages_show_one_state() {
    let api = Harness::start().await;
    for n in 0..5 {
        api.config_map(&format!("m{n}"), json!({}), json!({})).await;
    }
    let first = api.get(&format!("{MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["m0", "m1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    api.delete(&format!("{MAPS}/m3")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = api.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["m2", "m3"]);
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    let token = second["metadata"]["continue"].as_str().expect("a token");
    let third = api.get(&format!("{MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&third), ["m4"]);
    assert_eq!(third["metadata"].get("continue"), None);
    api.get(&format!("{MAPS}?limit=2&continue=garbage")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn versions_are_honoured() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({})).await;
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    api.config_map("b", json!({}), json!({})).await;
    let exact = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact");
    assert_eq!(names(&api.get(&exact).await.expect(200)), ["a"]);
    let newer = format!("{MAPS}?resourceVersion={version}&resourceVersionMatch=NotOlderThan");
    assert_eq!(names(&api.get(&newer).await.expect(200)), ["a", "b"]);
    let future = format!("{MAPS}?resourceVersion=99999999&resourceVersionMatch=NotOlderThan");
    let status = api.get(&future).await;
    assert_eq!(status.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    status.refused(504, "Timeout");
    api.get(&format!("{MAPS}?resourceVersion=x")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn tables_are_what_kubectl_prints() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
    let table = api.get_as(PODS, accept).await.expect(200);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns[..5], ["Name", "Ready", "Status", "Restarts", "Age"].map(|name| json!(name)));
    assert_eq!(table["rows"][0]["cells"][0], "p");
    assert_eq!(table["rows"][0]["cells"][2], "Pending");
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "p");
    let one = api.get_as(&format!("{PODS}/p?includeObject=None"), accept).await.expect(200);
    assert_eq!(one["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["rows"][0].get("object"), None);
}

#[tokio::test]
async fn other_forms_are_negotiated() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({"k": "1"})).await;
    let partial = api
        .get_as(MAPS, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
        .await
        .expect(200);
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(partial["items"][0]["metadata"]["name"], "a");
    let mixed = api.get_as(MAPS, "application/vnd.kubernetes.protobuf,application/json").await;
    assert_eq!(mixed.headers["content-type"], "application/vnd.kubernetes.protobuf");
    api.get_as(MAPS, "application/cbor").await.refused(406, "NotAcceptable");
    let yaml = api.get_as(&format!("{MAPS}/a"), "application/yaml").await;
    assert!(yaml.text.contains("kind: ConfigMap"), "{}", yaml.text);
}

#[tokio::test]
async fn all_namespaces_are_one_list() {
    let api = Harness::start().await;
    api.post("/api/v1/namespaces", &json!({"metadata": {"name": "other"}})).await.expect(201);
    api.config_map("a", json!({"x": "1"}), json!({})).await;
    let object = json!({"metadata": {"name": "b", "labels": {"x": "1"}}});
    api.post("/api/v1/namespaces/other/configmaps", &object).await.expect(201);
    let list = api.get("/api/v1/configmaps?labelSelector=x%3D1").await.expect(200);
    assert_eq!(names(&list), ["a", "b"]);
    let missing = api.post("/api/v1/namespaces/none/configmaps", &object).await;
    assert_eq!(missing.refused(404, "NotFound"), "namespaces \"none\" not found");
}

#[tokio::test]
async fn a_large_list_is_compressed_for_those_who_take_it() {
    let api = Harness::start().await;
    for n in 0..4 {
        api.config_map(&format!("m{n}"), json!({}), json!({"k": "x".repeat(60_000)})).await;
    }
    let request = http::Request::get(MAPS).header("accept-encoding", "gzip");
    let response = api.send(request.body(tiphys_api::serve::empty()).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = http_body_util::BodyExt::collect(response.into_body()).await.expect("a body").to_bytes();
    assert!(packed.len() < 20_000, "{}", packed.len());
    let list: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(packed.as_ref())).expect("a list");
    assert_eq!(names(&list).len(), 4);
}

const TEMPLATES: &str = "/api/v1/namespaces/default/podtemplates";
const MANY: usize = 40;

/// PodTemplates `t00` and on.
async fn templates(api: &Harness) {
    let creates = (0..MANY).map(|number| {
        let container = json!({"name": "c", "image": "web:1"});
        let template = json!({"metadata": {"name": format!("t{number:02}")},
            "template": {"spec": {"containers": [container]}}});
        async move { api.post(TEMPLATES, &template).await.expect(201) }
    });
    futures::future::join_all(creates).await;
}

/// Follows a list to its end, counting down what is left; `found` came before.
async fn follow(api: &Harness, mut list: serde_json::Value, mut found: usize, limit: usize) {
    let version = list["metadata"]["resourceVersion"].clone();
    loop {
        let page = names(&list);
        assert!(page.len() <= limit, "{} in one piece", page.len());
        assert_eq!(list["metadata"]["resourceVersion"], version);
        for name in page {
            assert_eq!(name, format!("t{found:02}"));
            found += 1;
        }
        let Some(token) = list["metadata"]["continue"].as_str() else { break };
        assert_eq!(list["metadata"]["remainingItemCount"], MANY - found);
        list = api.get(&format!("{TEMPLATES}?limit={limit}&continue={token}")).await.expect(200);
    }
    assert_eq!(list["metadata"].get("remainingItemCount"), None);
    assert_eq!(found, MANY);
}

#[tokio::test]
async fn a_list_in_pieces_counts_down_what_is_left() {
    let api = Harness::start().await;
    templates(&api).await;
    for limit in [1, 7, 20, 39] {
        let first = api.get(&format!("{TEMPLATES}?limit={limit}")).await.expect(200);
        follow(&api, first, 0, limit).await;
    }
    for whole in [TEMPLATES.to_owned(), format!("{TEMPLATES}?limit={}", MANY + 1)] {
        let list = api.get(&whole).await.expect(200);
        assert_eq!((names(&list).len(), list["metadata"].get("continue")), (MANY, None));
    }
}

#[tokio::test]
async fn a_list_goes_on_after_its_revision_was_compacted() {
    let api = Harness::start().await;
    templates(&api).await;
    let first = api.get(&format!("{TEMPLATES}?limit=4")).await.expect(200);
    assert_eq!(first["metadata"]["remainingItemCount"], MANY - 4);
    let token = first["metadata"]["continue"].as_str().expect("a token").to_owned();
    api.config_map("later", json!({}), json!({})).await;
    let newest = api.store.revision().await.expect("a revision");
    api.store.compact(newest).await.expect("compacted");
    // What is compacted is known no longer than the server runs.
    let api = api.restart().await;
    let path = format!("{TEMPLATES}?limit=4&continue={token}");
    let expired = api.get(&path).await;
    let on = expired.json()["metadata"]["continue"].as_str().expect("another token").to_owned();
    expired.refused(410, "Expired");
    assert_ne!(on, token);
    let second = api.get(&format!("{TEMPLATES}?limit=4&continue={on}")).await.expect(200);
    assert_eq!(names(&second).len(), 4);
    assert_ne!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    follow(&api, second, 4, 4).await;
}
