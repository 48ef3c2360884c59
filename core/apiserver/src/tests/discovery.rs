//! Discovery, OpenAPI, health, version, mounts.

use serde_json::{Value, json};
use tiphys_api::serve::{Handler, Mount, full};

use super::harness::Harness;
use crate::{MountedGroup, MountedResource};

#[tokio::test]
async fn plain_discovery_lists_groups_and_resources() {
    let api = Harness::start().await;
    assert_eq!(api.get("/api").await.expect(200)["versions"], json!(["v1"]));
    let groups = api.get("/apis").await.expect(200);
    let apps = groups["groups"].as_array().unwrap().iter().find(|group| group["name"] == "apps");
    assert_eq!(apps.expect("apps")["preferredVersion"]["groupVersion"], "apps/v1");
    let core = api.get("/api/v1").await.expect(200);
    let find = |name: &str| core["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).cloned();
    assert_eq!(find("pods").expect("pods")["shortNames"], json!(["po"]));
    assert_eq!(find("pods/eviction").expect("a subresource")["group"], "policy");
    assert_eq!(find("namespaces").expect("namespaces")["namespaced"], false);
    let autoscaling = api.get("/apis/autoscaling").await.expect(200);
    assert_eq!(autoscaling["preferredVersion"]["version"], "v2");
    api.get("/apis/none").await.refused(404, "NotFound");
    api.get("/apis/none/v1/things").await.refused(404, "NotFound");
}

#[tokio::test]
async fn aggregated_discovery_says_what_it_is() {
    let api = Harness::start().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                  application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let answer = api.get_as("/apis", accept).await;
    assert_eq!(
        answer.headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    let list = answer.expect(200);
    let apps = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "apps");
    let resources = &apps.expect("apps")["versions"][0]["resources"];
    let deployments = resources.as_array().unwrap().iter().find(|r| r["resource"] == "deployments");
    let deployments = deployments.expect("deployments");
    assert_eq!(
        (&deployments["scope"], &deployments["responseKind"]["kind"]),
        (&json!("Namespaced"), &json!("Deployment"))
    );
    assert!(deployments["subresources"].as_array().unwrap().iter().any(|sub| sub["subresource"] == "scale"));
    let request = http::Request::get("/apis").header("accept", accept).header("if-none-match", tag);
    let known = api.send(request.body(tiphys_api::serve::empty()).unwrap()).await;
    assert_eq!(known.status(), 304);
    let core = api.get_as("/api", accept).await.expect(200);
    assert_eq!(core["items"][0]["versions"][0]["version"], "v1");
}

#[tokio::test]
async fn openapi_tells_kubectl_what_it_looks_for() {
    let api = Harness::start().await;
    let index = api.get("/openapi/v3").await.expect(200);
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().expect("a path").to_owned();
    assert!(url.starts_with("/openapi/v3/apis/apps/v1?hash="));
    let document = api.get(&url).await.expect(200);
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let named = |name: &str| {
        patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == name && p["in"] == "query")
    };
    assert!(named("fieldValidation") && named("dryRun") && named("fieldManager") && named("force"));
    let kind = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    assert_eq!(patch["x-kubernetes-group-version-kind"], kind);
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
    let schema = &document["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(schema["x-kubernetes-group-version-kind"][0], kind);
    let v2 = api.get("/openapi/v2").await.expect(200);
    assert_eq!(v2["swagger"], "2.0");
    assert!(v2["definitions"]["io.k8s.api.core.v1.Pod"].is_object());
}

#[tokio::test]
async fn every_reference_in_a_document_leads_somewhere() {
    let api = Harness::start().await;
    let index = api.get("/openapi/v3").await.expect(200);
    for path in index["paths"].as_object().unwrap().values() {
        let document = api.get(path["serverRelativeURL"].as_str().unwrap()).await;
        let text = document.text.clone();
        let document = document.expect(200);
        for name in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}

#[tokio::test]
async fn health_and_version() {
    let api = Harness::start().await;
    assert_eq!(api.get("/livez").await.text, "ok");
    let ready = api.get("/readyz?verbose").await;
    assert!(
        ready.text.contains("[+]caches ok") && ready.text.contains("readyz check passed"),
        "{}",
        ready.text
    );
    let version = api.get("/version").await.expect(200);
    assert_eq!((&version["gitVersion"], &version["minor"]), (&json!("v1.37.0+tiphys"), &json!("37")));
    let metrics = api.get("/metrics").await;
    assert!(metrics.text.contains("apiserver_request_total{"), "{}", metrics.text);
}

#[tokio::test]
async fn a_mount_is_authorized_and_shown() {
    let api = Harness::start().await;
    let handler =
        Handler::new(tower::service_fn(|request: http::Request<tiphys_api::serve::Body>| async move {
            let user = request.extensions().get::<tiphys_api::auth::UserInfo>().map(|user| user.name.clone());
            Ok(http::Response::new(full(json!({"user": user}).to_string())))
        }));
    api.server.mount(Mount { prefix: "/apis/metrics.k8s.io/v1beta1".into(), handler });
    api.server.announce(MountedGroup {
        group: "metrics.k8s.io",
        version: "v1beta1",
        resources: vec![MountedResource {
            name: "pods",
            singular: "pod",
            kind: "PodMetrics",
            namespaced: true,
            verbs: &["get", "list"],
            short_names: &[],
        }],
    });
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods";
    assert_eq!(api.get(path).await.expect(200)["user"], "tester");
    let request = http::Request::get(path).body(tiphys_api::serve::empty()).unwrap();
    assert_eq!(api.send_as(tiphys_api::auth::UserInfo::named("x", &[]), request).await.status(), 403);
    let resources = api.get("/apis/metrics.k8s.io/v1beta1").await;
    assert_eq!(resources.code, 200);
    let groups = api.get("/apis").await.expect(200);
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "metrics.k8s.io"));
}

#[tokio::test]
async fn abuse_09_paths_that_climb_are_refused() {
    let api = Harness::start().await;
    for path in [
        "/api/v1/namespaces/%2e%2e/pods",
        "/api/v1/namespaces/a/pods/b%2Fc",
        "/api/v1/namespaces/default/pods/..",
    ] {
        api.get(path).await.refused(400, "BadRequest");
    }
}

/// What every cluster serves, of each group one kind: group, version, resource.
const SERVED: &[(&str, &str, &str)] = &[
    ("", "v1", "namespaces"),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "deployments"),
    ("authentication.k8s.io", "v1", "tokenreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    ("storage.k8s.io", "v1", "csinodes"),
];

fn has(list: &Value, key: &str, wanted: &str) -> bool {
    list.as_array().expect("a list").iter().any(|one| one[key] == wanted)
}

#[tokio::test]
async fn each_group_has_its_versions_and_each_version_its_resources() {
    let api = Harness::start().await;
    let groups = api.get("/apis/").await.expect(200)["groups"].take();
    let groups = groups.as_array().expect("groups");
    assert!(groups.len() > 15, "{} groups", groups.len());
    for group in groups {
        let name = group["name"].as_str().expect("a name");
        let alone = api.get(&format!("/apis/{name}/")).await.expect(200);
        assert_eq!(
            (&alone["versions"], &alone["preferredVersion"]),
            (&group["versions"], &group["preferredVersion"])
        );
        let preferred = alone["preferredVersion"]["groupVersion"].as_str().expect("a version");
        assert!(has(&alone["versions"], "groupVersion", preferred), "{alone}");
        for version in alone["versions"].as_array().expect("versions") {
            let group_version = version["groupVersion"].as_str().expect("a version");
            let resources = api.get(&format!("/apis/{group_version}")).await.expect(200);
            assert_eq!(resources["groupVersion"], group_version);
            assert!(!resources["resources"].as_array().expect("resources").is_empty(), "{group_version}");
        }
    }
    for (group, version, resource) in SERVED {
        let (path, group_version) = match *group {
            "" => (format!("/api/{version}"), (*version).to_owned()),
            group => (format!("/apis/{group}/{version}"), format!("{group}/{version}")),
        };
        let resources = api.get(&path).await.expect(200);
        assert_eq!(resources["groupVersion"], group_version.as_str());
        assert!(has(&resources["resources"], "name", resource), "{path} {resource}");
    }
}

#[tokio::test]
async fn what_every_cluster_serves_is_in_aggregated_discovery() {
    let api = Harness::start().await;
    let one = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    // As client-go asks.
    let many = format!("{one},{},application/json", one.replace("v=v2", "v=v2beta1"));
    for accept in [one, &many] {
        let mut items = api.get_as("/api", accept).await.expect(200)["items"].take();
        let apis = api.get_as("/apis", accept).await.expect(200)["items"].take();
        items.as_array_mut().expect("groups").extend(apis.as_array().expect("groups").clone());
        for (group, version, resource) in SERVED {
            let groups = items.as_array().expect("groups").iter();
            // The core group has no name.
            let mut found =
                groups.filter(|item| item["metadata"]["name"].as_str().unwrap_or_default() == *group);
            let found = found.next().unwrap_or_else(|| panic!("no group {group:?}"));
            let mut versions = found["versions"].as_array().expect("versions").iter();
            let found = versions.find(|one| one["version"] == *version);
            let found = found.unwrap_or_else(|| panic!("no {group}/{version}"));
            assert!(has(&found["resources"], "resource", resource), "{group}/{version} {resource}");
        }
    }
}
