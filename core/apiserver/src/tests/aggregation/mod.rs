//! Groups that an extension server answers, over real TLS.

mod extension;
mod proxied;
mod status;

use serde_json::{Value, json};

use super::harness::Harness;
use extension::{GROUP_VERSION, NAME, SERVICES, WARES};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A server that reaches extension servers on loopback, where tests have them.
async fn reaching() -> Harness {
    Harness::start_with(|config, _| config.aggregation.reachable = |_| true).await
}

/// The names of the groups that discovery shows, in its order.
async fn group_names(api: &Harness) -> Vec<String> {
    let groups = api.get("/apis").await.expect(200)["groups"].take();
    let name = |group: &Value| group["name"].as_str().expect("a name").to_owned();
    groups.as_array().expect("groups").iter().map(name).collect()
}

/// A version of a group in the aggregated document.
async fn aggregated(api: &Harness, group: &str) -> Option<Value> {
    let all = api.get_as("/apis", AGGREGATED).await.expect(200);
    let found = all["items"].as_array()?.iter().find(|item| item["metadata"]["name"] == group)?;
    Some(found["versions"][0].clone())
}

#[tokio::test]
async fn each_version_that_is_served_here_has_its_own() {
    let api = Harness::start().await;
    let core = api.get(&format!("{SERVICES}/v1.")).await.expect(200);
    assert_eq!(core["metadata"]["labels"], json!({ "kube-aggregator.kubernetes.io/automanaged": "onstart" }));
    assert_eq!(core["spec"], json!({ "version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1 }));
    let condition = &core["status"]["conditions"][0];
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("Local")));
    let versions = api.get_as(SERVICES, "application/json;as=Table;v=v1;g=meta.k8s.io").await.expect(200);
    let columns = versions["columnDefinitions"].as_array().unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Service", "Available", "Age"]);
    let apps = versions["rows"].as_array().unwrap().iter().find(|row| row["cells"][0] == "v1.apps");
    assert_eq!(apps.expect("a row")["cells"].as_array().unwrap()[1..3], [json!("Local"), json!("True")]);
    api.get(&format!("{SERVICES}/v1.apiregistration.k8s.io")).await.refused(404, "NotFound");
    let groups = group_names(&api).await;
    assert_eq!(groups[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
}

#[tokio::test]
async fn a_definitions_versions_come_and_go() {
    let api = Harness::start().await;
    let mut events =
        api.watch(&format!("{SERVICES}?watch=1&fieldSelector=metadata.name%3Dv1.b.example")).await;
    let definition = json!({
        "metadata": { "name": "things.b.example" },
        "spec": {
            "group": "b.example", "scope": "Cluster", "names": { "plural": "things", "kind": "Thing" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    api.post(definitions, &definition).await.expect(201);
    let made = events.next().await.expect("an event");
    assert_eq!(
        made["object"]["spec"],
        json!({ "group": "b.example", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100 })
    );
    assert_eq!(made["object"]["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "true");
    // It is put right again, and comes back.
    let path = format!("{SERVICES}/v1.b.example");
    api.patch(&path, "merge", &json!({ "spec": { "versionPriority": 7 } })).await.expect(200);
    let priorities = [events.next().await.unwrap(), events.next().await.unwrap()]
        .map(|event| event["object"]["spec"]["versionPriority"].as_i64());
    assert_eq!(priorities, [Some(7), Some(100)]);
    api.delete(&path).await.expect(200);
    let kinds =
        [events.next().await.unwrap(), events.next().await.unwrap()].map(|event| event["type"].clone());
    assert_eq!(kinds, ["DELETED", "ADDED"]);
    api.delete(&format!("{definitions}/things.b.example")).await.expect(200);
    assert_eq!(events.next().await.unwrap()["type"], "DELETED");
}

#[tokio::test]
async fn a_mounted_group_has_one_that_an_extension_server_may_replace() {
    let api = reaching().await;
    let handler = tiphys_api::serve::Handler::new(tower::service_fn(|_| async {
        Ok(http::Response::new(tiphys_api::serve::full("{\"mounted\":true}")))
    }));
    let mut events = api.watch(&format!("{SERVICES}?watch=1&fieldSelector=metadata.name%3D{NAME}")).await;
    api.server.mount(tiphys_api::serve::Mount { prefix: GROUP_VERSION.into(), handler });
    let (group, version) = ("wares.example", "v1");
    api.server.announce(crate::MountedGroup { group, version, resources: Vec::new() });
    let made = events.next().await.expect("an event")["object"].take();
    assert_eq!(
        (&made["spec"]["service"], &made["status"]["conditions"][0]["reason"]),
        (&Value::Null, &json!("Local"))
    );
    assert_eq!(api.get(WARES).await.expect(200), json!({ "mounted": true }));

    let server = extension::Extension::start(&api).await;
    extension::service(&api).await;
    extension::endpoint(&api, "127.0.0.1", server.port).await;
    let path = format!("{SERVICES}/{NAME}");
    api.patch(&path, "merge", &json!({ "spec": server.spec() })).await.expect(200);
    extension::becomes(&api, "True", "Passed").await;
    api.eventually(|| async { api.get(WARES).await.json()["kind"] == "WareList" }).await;
    // Gone with its manifest, the mounted group is back.
    api.delete(&path).await.expect(200);
    extension::becomes(&api, "True", "Local").await;
    api.eventually(|| async { api.get(WARES).await.json()["mounted"] == true }).await;
}

#[tokio::test]
async fn extension_servers_find_by_whom_to_know_this_one() {
    let api = Harness::start().await;
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let data = api.get(path).await.expect(200)["data"].clone();
    assert_eq!(data["client-ca-file"].as_str().unwrap().trim(), api.pki.ca_pem().trim());
    assert!(data["requestheader-client-ca-file"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert_ne!(data["requestheader-client-ca-file"], data["client-ca-file"]);
    assert_eq!(data["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/roles";
    api.get(&format!("{roles}/extension-apiserver-authentication-reader")).await.expect(200);
    // Who spoils it doesn't get far.
    api.patch(path, "merge", &json!({ "data": { "requestheader-client-ca-file": "" } })).await.expect(200);
    api.eventually(|| async { api.get(path).await.expect(200)["data"] == data }).await;
    api.delete(path).await.expect(200);
    api.eventually(|| async { api.get(path).await.code == 200 }).await;
    let api = api.restart().await;
    assert_eq!(api.get(path).await.expect(200)["data"], data, "the authority is kept");
}
