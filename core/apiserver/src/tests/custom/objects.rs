//! Objects of a defined kind, through every verb.

use http::Method;
use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;

use super::{CRONTABS, DEFINITIONS, crontab, crontabs, define, schema, with_crontabs};
use crate::tests::harness::{Harness, event};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

#[tokio::test]
async fn an_object_is_made_read_changed_and_deleted() {
    let api = with_crontabs().await;
    let made = api.post(CRONTABS, &crontab("a", json!({"cron": "* *"}))).await.expect(201);
    assert_eq!((&made["spec"]["image"], &made["spec"]["replicas"]), (&json!("web:1"), &json!(1)));
    assert_eq!(
        (&made["metadata"]["generation"], &made["metadata"]["namespace"]),
        (&json!(1), &json!("default"))
    );
    assert_eq!(made["metadata"]["managedFields"][0]["apiVersion"], "stable.example.com/v1");
    let path = format!("{CRONTABS}/a");
    assert_eq!(api.get(&path).await.expect(200), made);
    let mut wanted = made.clone();
    wanted["spec"]["replicas"] = json!(3);
    let put = api.put(&path, &wanted).await.expect(200);
    assert_eq!(put["metadata"]["generation"], 2);
    api.put(&path, &wanted).await.refused(409, "Conflict");
    let merged = api.patch(&path, "merge", &json!({"metadata": {"labels": {"a": "b"}}})).await.expect(200);
    assert_eq!(merged["metadata"]["generation"], 2);
    let patch = json!([{"op": "replace", "path": "/spec/cron", "value": "1"}]);
    assert_eq!(api.patch(&path, "json", &patch).await.expect(200)["spec"]["cron"], "1");
    let message = api.patch(&path, "strategic-merge", &json!({})).await.refused(415, "UnsupportedMediaType");
    assert!(message.contains("application/merge-patch+json") && !message.contains("strategic"), "{message}");
    let list = api.get(&format!("{CRONTABS}?labelSelector=a%3Db")).await.expect(200);
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("CronTabList"), 1));
    api.delete(&path).await.expect(200);
    api.get(&path).await.refused(404, "NotFound");
}

#[tokio::test]
async fn what_breaks_the_schema_is_refused() {
    let api = with_crontabs().await;
    let table = [
        (json!({}), "CronTab.stable.example.com \"a\" is invalid: spec.cron: Required value"),
        (
            json!({"cron": "x"}),
            "spec.cron: Invalid value: \"x\": spec.cron in body should match '^[0-9* /]+$'",
        ),
        (
            json!({"cron": "1", "replicas": 10}),
            "spec.replicas: Invalid value: 10: spec.replicas in body should be less than or equal to 9",
        ),
        (
            json!({"cron": "1", "replicas": "3"}),
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        ),
        (
            json!({"cron": "1", "ports": [{"name": "a"}, {"name": "a"}]}),
            "spec.ports[1]: Duplicate value: {\"name\":\"a\"}",
        ),
    ];
    for (spec, message) in table {
        let answer = api.post(CRONTABS, &crontab("a", spec)).await.refused(422, "Invalid");
        assert!(answer.contains(message), "{answer}");
    }
    let nameless = json!({"apiVersion": "stable.example.com/v1", "kind": "CronTab", "metadata": {}, "spec": {"cron": "1"}});
    api.post(CRONTABS, &nameless).await.refused(422, "Invalid");
    let labels = json!({"metadata": {"name": "a", "labels": {"a": 1}}, "spec": {"cron": "1"}});
    let message = api.post(CRONTABS, &labels).await.refused(400, "BadRequest");
    assert!(message.contains("CronTab in version \"v1\" cannot be handled as a CronTab"), "{message}");
}

#[tokio::test]
async fn unknown_fields_go_and_are_told_of_as_asked() {
    let api = with_crontabs().await;
    let odd = crontab(
        "a",
        json!({"cron": "1", "foo": {"x": 1}, "free": {"any": [1]}, "ports": [{"name": "a", "bar": 1}]}),
    );
    let message =
        api.post(&format!("{CRONTABS}?fieldValidation=Strict"), &odd).await.refused(400, "BadRequest");
    assert_eq!(
        message,
        "CronTab in version \"v1\" cannot be handled as a CronTab: \
         strict decoding error: unknown field \"spec.foo\", unknown field \"spec.ports[0].bar\""
    );
    let warned = api.post(CRONTABS, &odd).await;
    let warnings: Vec<_> =
        warned.headers.get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect();
    assert_eq!(
        warnings,
        [r#"299 - "unknown field \"spec.foo\"""#, r#"299 - "unknown field \"spec.ports[0].bar\"""#]
    );
    let made = warned.expect(201);
    assert_eq!((made["spec"].get("foo"), &made["spec"]["free"]), (None, &json!({"any": [1]})));
    assert_eq!(made["spec"]["ports"], json!([{"name": "a"}]));
    let ignored = api
        .patch(&format!("{CRONTABS}/a?fieldValidation=Ignore"), "merge", &json!({"spec": {"foo": 2}}))
        .await;
    assert!(ignored.headers.get("warning").is_none());
    let strict = api
        .patch(&format!("{CRONTABS}/a?fieldValidation=Strict"), "merge", &json!({"spec": {"foo": 2}}))
        .await;
    strict.refused(422, "Invalid");
}

#[tokio::test]
async fn status_and_scale_are_subresources() {
    let api = with_crontabs().await;
    let with_status = json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}, "status": {"phase": "x"}});
    let made = api.post(CRONTABS, &with_status).await.expect(201);
    assert!(made.get("status").is_none());
    let path = format!("{CRONTABS}/a");
    let change =
        json!({"spec": {"cron": "2"}, "status": {"phase": "Good", "replicas": 1, "selector": "app=a"}});
    let status = api.patch(&format!("{path}/status"), "merge", &change).await.expect(200);
    assert_eq!((&status["status"]["phase"], &status["spec"]["cron"]), (&json!("Good"), &json!("1")));
    assert_eq!(status["metadata"]["generation"], 1);
    let main = api.patch(&path, "merge", &change).await.expect(200);
    assert_eq!((&main["spec"]["cron"], &main["metadata"]["generation"]), (&json!("2"), &json!(2)));
    let wrong = api.patch(&format!("{path}/status"), "merge", &json!({"status": {"phase": 1}})).await;
    assert!(wrong.refused(422, "Invalid").contains("status.phase in body must be of type string"));

    let scale = api.get(&format!("{path}/scale")).await.expect(200);
    assert_eq!((&scale["kind"], &scale["spec"]["replicas"]), (&json!("Scale"), &json!(1)));
    assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=a"}));
    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = json!(4);
    assert_eq!(api.put(&format!("{path}/scale"), &wanted).await.expect(200)["spec"]["replicas"], 4);
    let object = api.get(&path).await.expect(200);
    assert_eq!((&object["spec"]["replicas"], &object["metadata"]["generation"]), (&json!(4), &json!(3)));
    let too_many = api.patch(&format!("{path}/scale"), "merge", &json!({"spec": {"replicas": 10}})).await;
    assert!(too_many.refused(422, "Invalid").contains("less than or equal to 9"));
}

#[tokio::test]
async fn tables_have_the_defined_columns() {
    let api = with_crontabs().await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    let table = api.get_as(CRONTABS, TABLE).await.expect(200);
    let names: Vec<&Value> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["Name", "Cron", "Replicas", "Age"]);
    assert_eq!(table["columnDefinitions"][2]["priority"], 1);
    let cells = table["rows"][0]["cells"].as_array().unwrap().clone();
    assert_eq!(cells[..3], [json!("a"), json!("1"), json!(1)]);
    assert!(cells[3].as_str().unwrap().ends_with('s'), "{cells:?}");
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = api.get_as(CRONTABS, partial).await.expect(200);
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
}

#[tokio::test]
async fn fields_select_as_declared() {
    let api = with_crontabs().await;
    api.post(CRONTABS, &crontab("a", json!({"cron": "1"}))).await.expect(201);
    api.post(CRONTABS, &crontab("b", json!({"cron": "1", "image": "db:1"}))).await.expect(201);
    let mut events = api.watch(&format!("{CRONTABS}?watch=1&fieldSelector=spec.image%3Ddb:1")).await;
    assert_eq!(events.event().await, event("ADDED", "b"));
    let list = api.get(&format!("{CRONTABS}?fieldSelector=spec.image%3Dweb:1")).await.expect(200);
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    api.patch(&format!("{CRONTABS}/a"), "merge", &json!({"spec": {"image": "db:1"}})).await.expect(200);
    assert_eq!(events.event().await, event("ADDED", "a"));
    api.get(&format!("{CRONTABS}?fieldSelector=spec.cron%3D1")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn configurations_are_applied_by_the_schemas_list_types() {
    let api = with_crontabs().await;
    let apply = async |manager: &str, spec: Value| {
        let path = format!("{CRONTABS}/a?fieldManager={manager}");
        api.call(Method::PATCH, &path, "application/apply-patch+yaml", "", crontab("a", spec).to_string())
            .await
    };
    let made = apply("one", json!({"cron": "1", "ports": [{"name": "web", "port": 80}]})).await.expect(201);
    let managed = &made["metadata"]["managedFields"][0];
    assert_eq!((&managed["operation"], &managed["manager"]), (&json!("Apply"), &json!("one")));
    assert!(managed["fieldsV1"]["f:spec"]["f:ports"]["k:{\"name\":\"web\"}"]["f:port"].is_object());
    let both = apply("two", json!({"cron": "1", "ports": [{"name": "admin", "port": 81}]})).await.expect(200);
    assert_eq!(both["spec"]["ports"].as_array().unwrap().len(), 2);
    apply("two", json!({"cron": "2"})).await.refused(409, "Conflict");
    let less = apply("one", json!({"cron": "1"})).await.expect(200);
    assert_eq!(less["spec"]["ports"], json!([{"name": "admin", "port": 81}]));
    let same = apply("one", json!({"cron": "1"})).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], less["metadata"]["resourceVersion"]);
}

#[tokio::test]
async fn roles_are_asked_as_of_any_resource() {
    let api = with_crontabs().await;
    let request = || http::Request::get(CRONTABS).body(tiphys_api::serve::empty()).unwrap();
    let user = || UserInfo::named("joe", &["system:authenticated"]);
    assert_eq!(api.send_as(user(), request()).await.status(), 403);
    let role = json!({"metadata": {"name": "cron"}, "rules": [
        {"apiGroups": ["stable.example.com"], "resources": ["crontabs"], "verbs": ["list"]}]});
    api.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", &role).await.expect(201);
    let binding = json!({"metadata": {"name": "cron"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cron"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "joe"}]});
    api.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", &binding)
        .await
        .expect(201);
    api.eventually(|| async { api.send_as(user(), request()).await.status() == 200 }).await;
}

#[tokio::test]
async fn protobuf_is_not_spoken() {
    let api = with_crontabs().await;
    let protobuf = "application/vnd.kubernetes.protobuf";
    assert_eq!(api.get_as(CRONTABS, protobuf).await.code, 406);
    let message = "k8s\0\n\x20\n\x15stable.example.com/v1\x12\x07CronTab";
    api.call(Method::POST, CRONTABS, protobuf, "", message).await.refused(415, "UnsupportedMediaType");
    api.get_as(CRONTABS, &format!("{protobuf},application/json")).await.expect(200);
}

#[tokio::test]
async fn a_cluster_scoped_kind_named_like_a_built_in_one_is_its_own() {
    let api = Harness::start().await;
    let mut definition = crontabs();
    definition["metadata"]["name"] = json!("pods.stable.example.com");
    definition["spec"]["scope"] = json!("Cluster");
    definition["spec"]["names"] = json!({"plural": "pods", "kind": "Pod"});
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema();
    define(&api, &definition).await;
    let path = "/apis/stable.example.com/v1/pods";
    let pod = json!({"metadata": {"name": "a"}, "spec": {"cron": "1"}});
    let made = api.post(path, &pod).await.expect(201);
    assert!(made["metadata"].get("namespace").is_none());
    assert_eq!(made["spec"], json!({"cron": "1", "image": "web:1", "replicas": 1}));
    let gone = api.delete(&format!("{path}/a")).await.expect(200);
    assert_eq!(gone["kind"], "Status");
    api.get(&format!("{DEFINITIONS}/pods.stable.example.com")).await.expect(200);
}

/// The managedFields nest deeper than the object: it must stay one that can be changed and deleted.
#[tokio::test]
async fn abuse_16_no_object_is_stored_that_is_too_deep_to_be_read_again() {
    let api = with_crontabs().await;
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!({"a": inner}));
    let spec = |depth| json!({"cron": "1", "free": nested(depth)});
    for depth in [116, 120, 124] {
        api.post(CRONTABS, &crontab("deep", spec(depth))).await.refused(400, "BadRequest");
    }
    api.post(CRONTABS, &crontab("deep", spec(100))).await.expect(201);
    let path = format!("{CRONTABS}/deep");
    let deeper = json!({"spec": {"free": (0..100).fold(nested(20), |inner, _| json!({"a": inner}))}});
    api.patch(&path, "merge", &deeper).await.refused(400, "BadRequest");
    api.patch(&path, "merge", &json!({"spec": {"replicas": 2}})).await.expect(200);
    api.delete(&path).await.expect(200);
    api.get(&path).await.refused(404, "NotFound");
}
