//! Definitions: discovery, documents, names, what is refused.

use serde_json::{Value, json};

use super::{CRONTABS, DEFINITIONS, condition, crontabs, define, until, with_crontabs};
use crate::tests::harness::Harness;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn named<'a>(list: &'a Value, key: &str, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|one| one.pointer(key).is_some_and(|found| found == name))
}

#[tokio::test]
async fn a_defined_kind_is_in_discovery_and_leaves_it_with_its_definition() {
    let api = Harness::start().await;
    let tag = api.get_as("/apis", AGGREGATED).await.headers["etag"].clone();
    let made = define(&api, &crontabs()).await;
    assert_eq!(condition(&made, "NamesAccepted"), "True");
    assert_eq!(made["status"]["acceptedNames"]["listKind"], "CronTabList");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));

    let resources = api.get("/apis/stable.example.com/v1").await.expect(200);
    let found = named(&resources["resources"], "/name", "crontabs").expect("crontabs").clone();
    assert_eq!((&found["shortNames"], &found["categories"]), (&json!(["ct"]), &json!(["all"])));
    assert_eq!((&found["singularName"], &found["namespaced"]), (&json!("crontab"), &json!(true)));
    let scale = named(&resources["resources"], "/name", "crontabs/scale").expect("scale");
    assert_eq!((&scale["group"], &scale["kind"]), (&json!("autoscaling"), &json!("Scale")));
    assert!(named(&resources["resources"], "/name", "crontabs/status").is_some());
    let answer = api.get_as("/apis", AGGREGATED).await;
    assert_ne!(answer.headers["etag"], tag);
    let groups = answer.expect(200);
    let group = named(&groups["items"], "/metadata/name", "stable.example.com").expect("the group");
    assert_eq!(group["versions"][0]["resources"][0]["responseKind"]["kind"], "CronTab");

    api.delete(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await.expect(200);
    api.gone(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await;
    api.gone("/apis/stable.example.com/v1").await;
    api.get(CRONTABS).await.refused(404, "NotFound");
    let groups = api.get_as("/apis", AGGREGATED).await.expect(200);
    assert!(named(&groups["items"], "/metadata/name", "stable.example.com").is_none());
}

#[tokio::test]
async fn documents_describe_a_defined_kind() {
    let api = Harness::start().await;
    let before = api.get("/openapi/v3").await;
    let (v2_before, tag) = (api.get("/openapi/v2").await, before.headers["etag"].clone());
    let apps = before.json()["paths"]["apis/apps/v1"].clone();
    define(&api, &crontabs()).await;
    let index = api.get("/openapi/v3").await;
    assert_ne!(index.headers["etag"], tag);
    let index = index.expect(200);
    assert_eq!(index["paths"]["apis/apps/v1"], apps);
    let url = index["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"]
        .as_str()
        .expect("a path")
        .to_owned();
    let answer = api.get(&url).await;
    for name in answer.text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next())
    {
        assert!(answer.json()["components"]["schemas"][name].is_object(), "{name}");
    }
    let document = answer.expect(200);
    let kind = &document["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(kind["description"], "A CronTab runs now and then.");
    assert_eq!(kind["properties"]["spec"]["properties"]["cron"]["description"], "When it runs.");
    assert_eq!(kind["x-kubernetes-group-version-kind"][0]["kind"], "CronTab");
    assert!(kind["properties"]["metadata"]["allOf"].is_array());
    let path = "/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}";
    let patch = &document["paths"][path]["patch"];
    assert!(patch["parameters"].as_array().unwrap().iter().any(|p| p["name"] == "fieldValidation"));
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_null());
    let v2 = api.get("/openapi/v2").await;
    assert_ne!(v2.headers["etag"], v2_before.headers["etag"]);
    let v2 = v2.expect(200);
    let kind = &v2["definitions"]["com.example.stable.v1.CronTab"];
    assert_eq!(
        kind["properties"]["metadata"]["$ref"],
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert_eq!(kind["properties"]["spec"]["properties"]["replicas"]["type"], "integer");
}

#[tokio::test]
async fn two_definitions_that_want_one_name_are_served_one_after_the_other() {
    let api = with_crontabs().await;
    let mut other = crontabs();
    other["metadata"]["name"] = json!("others.stable.example.com");
    other["spec"]["names"] = json!({"plural": "others", "kind": "CronTab", "listKind": "OtherList"});
    api.post(DEFINITIONS, &other).await.expect(201);
    let refused =
        until(&api, "others.stable.example.com", |d| condition(d, "NamesAccepted") == "False").await;
    assert_eq!(condition(&refused, "Established"), "False");
    let why = &refused["status"]["conditions"][0];
    assert_eq!(
        (&why["reason"], &why["message"]),
        (&json!("KindConflict"), &json!("\"CronTab\" is already in use"))
    );
    api.get("/apis/stable.example.com/v1/others").await.refused(404, "NotFound");
    api.delete(&format!("{DEFINITIONS}/crontabs.stable.example.com")).await.expect(200);
    until(&api, "others.stable.example.com", |d| condition(d, "Established") == "True").await;
    api.get("/apis/stable.example.com/v1/others").await.expect(200);
}

#[tokio::test]
async fn a_wrong_definition_is_refused_with_its_places() {
    let api = Harness::start().await;
    let mut wrong = crontabs();
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] =
        json!({"properties": {"a": {"type": "string"}}});
    wrong["spec"]["versions"][0]["storage"] = json!(false);
    let answer = api.post(DEFINITIONS, &wrong).await;
    let causes = answer.json()["details"]["causes"].clone();
    let message = answer.refused(422, "Invalid");
    assert!(message.starts_with(
        "CustomResourceDefinition.apiextensions.k8s.io \"crontabs.stable.example.com\" is invalid"
    ));
    for field in ["spec.versions", "spec.validation.openAPIV3Schema.properties[spec].type"] {
        assert!(named(&causes, "/field", field).is_some(), "{field} {causes:#}");
    }
    // A schema is decoded like everything else, at every depth.
    let mut odd = crontabs();
    odd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["ports"]["items"]
        ["properties"]["port"]["maximum"] = json!("x");
    let message = api.post(DEFINITIONS, &odd).await.refused(400, "BadRequest");
    assert!(message.contains("cannot unmarshal string into Go struct field JSONSchemaProps"), "{message}");
    let mut strange = crontabs();
    strange["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["cron"]
        ["typ"] = json!("x");
    let message =
        api.post(&format!("{DEFINITIONS}?fieldValidation=Strict"), &strange).await.refused(400, "BadRequest");
    let field = "spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.cron.typ";
    assert!(message.contains(&format!("unknown field \"{field}\"")), "{message}");
}

#[tokio::test]
async fn what_is_kept_stays_declared() {
    let api = with_crontabs().await;
    let path = format!("{DEFINITIONS}/crontabs.stable.example.com");
    let mut definition = api.get(&path).await.expect(200);
    let mut second = definition["spec"]["versions"][0].clone();
    second["name"] = json!("v2");
    definition["spec"]["versions"][0]["storage"] = json!(false);
    definition["spec"]["versions"].as_array_mut().unwrap().push(second);
    let updated = api.put(&path, &definition).await.expect(200);
    assert_eq!(updated["status"]["storedVersions"], json!(["v1", "v2"]));
    assert_eq!(updated["metadata"]["generation"], 2);
    let mut gone = updated.clone();
    gone["spec"]["versions"].as_array_mut().unwrap().remove(0);
    let message = api.put(&path, &gone).await.refused(422, "Invalid");
    assert!(message.contains("v1 was previously a storage version"), "{message}");
    // After a migration the administrator says so.
    let mut status = updated.clone();
    status["status"]["storedVersions"] = json!(["v2"]);
    api.put(&format!("{path}/status"), &status).await.expect(200);
    gone["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(api.put(&path, &gone).await.expect(200)["status"]["storedVersions"], json!(["v2"]));
}

#[tokio::test]
async fn a_table_of_definitions_tells_when_they_were_made() {
    let api = with_crontabs().await;
    let table = api.get_as(DEFINITIONS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.expect(200);
    assert_eq!(table["columnDefinitions"][1]["name"], "Created At");
    assert_eq!(table["rows"][0]["cells"][0], "crontabs.stable.example.com");
}
