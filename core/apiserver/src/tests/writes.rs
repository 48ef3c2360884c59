//! create, update and patch: what is refused, what is kept, what counts as a change.

use http::Method;
use serde_json::json;

use super::harness::{DEPLOYMENTS, Harness, MAPS, PODS, deployment, pod};

#[tokio::test]
async fn an_object_is_made_read_and_changed() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({"k": "1"})).await;
    assert!(made["metadata"]["uid"].is_string());
    assert!(made["metadata"]["creationTimestamp"].is_string());
    assert_eq!(made["metadata"]["namespace"], "default");
    let read = api.get(&format!("{MAPS}/a")).await.expect(200);
    assert_eq!(read, made);
    let again = api.post(MAPS, &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(again.refused(409, "AlreadyExists"), "configmaps \"a\" already exists");
    let mut changed = read.clone();
    changed["data"]["k"] = "2".into();
    let stored = api.put(&format!("{MAPS}/a"), &changed).await.expect(200);
    assert_ne!(stored["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);
    assert_eq!(stored["metadata"]["uid"], read["metadata"]["uid"]);
    let missing = api.get(&format!("{MAPS}/none")).await;
    assert_eq!(missing.refused(404, "NotFound"), "configmaps \"none\" not found");
}

#[tokio::test]
async fn a_stale_object_is_a_conflict() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({"k": "1"})).await;
    let mut first = made.clone();
    first["data"]["k"] = "2".into();
    api.put(&format!("{MAPS}/a"), &first).await.expect(200);
    let mut late = made.clone();
    late["data"]["k"] = "3".into();
    let message = api.put(&format!("{MAPS}/a"), &late).await.refused(409, "Conflict");
    assert!(
        message
            .starts_with("Operation cannot be fulfilled on configmaps \"a\": the object has been modified")
    );
    let without = json!({"metadata": {"name": "a"}, "data": {"k": "4"}});
    assert_eq!(api.put(&format!("{MAPS}/a"), &without).await.expect(200)["data"]["k"], "4");
    let none = api.put(&format!("{MAPS}/b"), &json!({"metadata": {"name": "b"}})).await;
    none.refused(404, "NotFound");
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version_and_wakes_nobody() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({"k": "1"})).await;
    let version = &made["metadata"]["resourceVersion"];
    let mut watch = api.watch(&format!("{MAPS}?watch=1&resourceVersion={}", version.as_str().unwrap())).await;
    let same = api.put(&format!("{MAPS}/a"), &made).await.expect(200);
    assert_eq!(&same["metadata"]["resourceVersion"], version);
    let patched = api.patch(&format!("{MAPS}/a"), "merge", &json!({"data": {"k": "1"}})).await.expect(200);
    assert_eq!(&patched["metadata"]["resourceVersion"], version);
    // The next thing that the watch tells is another write.
    api.config_map("b", json!({}), json!({})).await;
    assert_eq!(watch.event().await, super::harness::event("ADDED", "b"));
}

#[tokio::test]
async fn names_are_generated() {
    let api = Harness::start().await;
    let object = json!({"metadata": {"generateName": "job-"}});
    let one = api.post(MAPS, &object).await.expect(201);
    let two = api.post(MAPS, &object).await.expect(201);
    assert!(one["metadata"]["name"].as_str().unwrap().starts_with("job-"));
    assert_ne!(one["metadata"]["name"], two["metadata"]["name"]);
    let nameless = api.post(MAPS, &json!({"metadata": {}})).await.refused(422, "Invalid");
    assert!(nameless.contains("metadata.name: Required value"), "{nameless}");
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let api = Harness::start().await;
    let object = json!({"metadata": {"name": "a"}, "data": {"k": "1"}});
    api.post(&format!("{MAPS}?dryRun=All"), &object).await.expect(201);
    api.get(&format!("{MAPS}/a")).await.refused(404, "NotFound");
    api.post(MAPS, &object).await.expect(201);
    api.post(&format!("{MAPS}?dryRun=All"), &object).await.refused(409, "AlreadyExists");
    let changed =
        api.patch(&format!("{MAPS}/a?dryRun=All"), "merge", &json!({"data": {"k": "2"}})).await.expect(200);
    assert_eq!(changed["data"]["k"], "2");
    assert_eq!(api.get(&format!("{MAPS}/a")).await.expect(200)["data"]["k"], "1");
    let gone = api.delete(&format!("{MAPS}/a?dryRun=All")).await;
    gone.expect(200);
    api.get(&format!("{MAPS}/a")).await.expect(200);
}

#[tokio::test]
async fn unknown_fields_are_refused_named_or_dropped() {
    let api = Harness::start().await;
    let object = |name: &str| json!({"metadata": {"name": name}, "dta": {"k": "1"}});
    let message =
        api.post(&format!("{MAPS}?fieldValidation=Strict"), &object("a")).await.refused(400, "BadRequest");
    assert!(message.contains("unknown field \"dta\""), "{message}");
    let warned = api.post(MAPS, &object("b")).await;
    let warning = warned.headers.get("warning").expect("a warning").to_str().unwrap().to_owned();
    assert_eq!(warning, "299 - \"unknown field \\\"dta\\\"\"");
    assert_eq!(warned.expect(201).get("dta"), None);
    let ignored = api.post(&format!("{MAPS}?fieldValidation=Ignore"), &object("c")).await;
    assert!(ignored.headers.get("warning").is_none());
    ignored.expect(201);
}

#[tokio::test]
async fn an_invalid_object_is_named_with_its_fields() {
    let api = Harness::start().await;
    let mut bad = deployment("web", 1);
    bad["spec"]["selector"]["matchLabels"]["app"] = "other".into();
    let answer = api.post(DEPLOYMENTS, &bad).await;
    let status = answer.json();
    let message = answer.refused(422, "Invalid");
    assert!(
        message.starts_with("Deployment.apps \"web\" is invalid: spec.template.metadata.labels"),
        "{message}"
    );
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueInvalid");
    let wrong_kind = api.post(MAPS, &deployment("web", 1)).await;
    wrong_kind.refused(400, "BadRequest");
    let not_json = api.call(Method::POST, MAPS, "application/json", "", "{").await;
    not_json.refused(400, "BadRequest");
    let cbor = api.call(Method::POST, MAPS, "application/cbor", "", "a").await;
    cbor.refused(415, "UnsupportedMediaType");
}

#[tokio::test]
async fn generation_counts_changes_of_the_spec_only() {
    let api = Harness::start().await;
    let made = api.post(DEPLOYMENTS, &deployment("web", 1)).await.expect(201);
    assert_eq!(made["metadata"]["generation"], 1);
    let path = format!("{DEPLOYMENTS}/web");
    let labelled = json!({"metadata": {"labels": {"x": "y"}}});
    let after = api.patch(&path, "merge", &labelled).await.expect(200);
    assert_eq!(after["metadata"]["generation"], 1);
    let scaled = api.patch(&path, "strategic-merge", &json!({"spec": {"replicas": 3}})).await.expect(200);
    assert_eq!(scaled["metadata"]["generation"], 2);
}

#[tokio::test]
async fn status_is_written_through_its_path_only() {
    let api = Harness::start().await;
    let made = api.post(DEPLOYMENTS, &deployment("web", 1)).await.expect(201);
    let path = format!("{DEPLOYMENTS}/web");
    let mut mixed = made.clone();
    mixed["status"] = json!({"replicas": 5});
    let main = api.put(&path, &mixed).await.expect(200);
    assert_ne!(main["status"]["replicas"], 5);
    let mut mixed = main.clone();
    mixed["status"] = json!({"replicas": 5});
    mixed["spec"]["replicas"] = 9.into();
    let status = api.put(&format!("{path}/status"), &mixed).await.expect(200);
    assert_eq!((&status["status"]["replicas"], &status["spec"]["replicas"]), (&json!(5), &json!(1)));
    assert_eq!(status["metadata"]["generation"], 1);
    let patch = json!({"status": {"replicas": 6}});
    let patched = api.patch(&format!("{path}/status"), "merge", &patch).await.expect(200);
    assert_eq!(patched["status"]["replicas"], 6);
}

#[tokio::test]
async fn three_patch_types_change_an_object() {
    let api = Harness::start().await;
    api.post(PODS, &pod("p")).await.expect(201);
    let path = format!("{PODS}/p");
    let json_patch = json!([{"op": "add", "path": "/metadata/labels/a", "value": "1"}]);
    let one = api.patch(&path, "json", &json_patch).await.expect(200);
    assert_eq!(one["metadata"]["labels"]["a"], "1");
    let two = api.patch(&path, "merge", &json!({"metadata": {"labels": {"a": null}}})).await.expect(200);
    assert_eq!(two["metadata"]["labels"].get("a"), None);
    let image = json!({"spec": {"containers": [{"name": "main", "image": "web:2"}]}});
    let three = api.patch(&path, "strategic-merge", &image).await.expect(200);
    assert_eq!(three["spec"]["containers"][0]["image"], "web:2");
    let unknown = api.patch(&path, "unknown", &json!({})).await;
    unknown.refused(415, "UnsupportedMediaType");
    let failing = json!([{"op": "test", "path": "/metadata/name", "value": "other"}]);
    assert!(api.patch(&path, "json", &failing).await.code >= 400);
}

#[tokio::test]
async fn concurrent_patches_all_arrive() {
    let api = Harness::start().await;
    api.config_map("a", json!({}), json!({})).await;
    let path = format!("{MAPS}/a");
    let patches = (0..12).map(|n| {
        let (api, path) = (&api, &path);
        async move { api.patch(path, "merge", &json!({"data": {format!("k{n}"): "1"}})).await.expect(200) }
    });
    futures::future::join_all(patches).await;
    let object = api.get(&path).await.expect(200);
    assert_eq!(object["data"].as_object().map(serde_json::Map::len), Some(12));
}

#[tokio::test]
async fn yaml_goes_in_and_comes_out() {
    let api = Harness::start().await;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yes-or-no\ndata:\n  k: \"1\"\n";
    let made = api.call(Method::POST, MAPS, "application/yaml", "application/yaml", text).await;
    assert_eq!(made.code, 201, "{}", made.text);
    assert_eq!(made.headers["content-type"], "application/yaml");
    assert!(made.text.contains("name: yes-or-no"), "{}", made.text);
}

#[tokio::test]
async fn objects_survive_a_restart() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({"k": "1"})).await;
    let api = api.restart().await;
    assert_eq!(api.get(&format!("{MAPS}/a")).await.expect(200), made);
}

#[tokio::test]
async fn managed_fields_name_the_writer() {
    let api = Harness::start().await;
    let made = api.config_map("a", json!({}), json!({"k": "1"})).await;
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "tester");
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Update");
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let api = Harness::start().await;
    let request = http::Request::get(format!("{MAPS}/a")).body(tiphys_api::serve::empty()).unwrap();
    let user = tiphys_api::auth::UserInfo::named("nobody", &[]);
    let response = api.send_as(user, request).await;
    assert_eq!(response.status(), 403);
    let request = http::Request::get("/api/v1/pods").body(tiphys_api::serve::empty()).unwrap();
    let Ok(response) = tower::ServiceExt::oneshot(api.server.handler(), request).await;
    assert_eq!(response.status(), 401);
}
