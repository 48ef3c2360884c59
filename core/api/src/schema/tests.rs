//! Tables over the compiled schemas and the documents.

use serde_json::{Value, json};

use super::*;

fn checked(definition: &str, mut object: Value) -> (Value, Result<Vec<String>, String>) {
    let schema = of(definition).unwrap();
    let result = check(&schema, &mut object).map_err(|e| e.message);
    (object, result)
}

const POD: &str = "io.k8s.api.core.v1.Pod";
const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

#[test]
fn unknown_fields_are_removed_and_named() {
    let pod = json!({"spec": {"foo": 1, "containers": [{"name": "a", "imagee": "x"}]}, "bar": null});
    let (object, unknown) = checked(POD, pod);
    let unknown = unknown.unwrap();
    assert_eq!(unknown, ["bar", "spec.containers[0].imagee", "spec.foo"]);
    assert_eq!(object, json!({"spec": {"containers": [{"name": "a"}]}}));
}

#[test]
fn wrong_types_name_the_go_field() {
    let table = [
        (
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of type string",
        ),
        (
            json!({"spec": {"template": {"spec": {"containers": [{"env": [{"value": 1}]}]}}}}),
            "json: cannot unmarshal number into Go struct field \
             EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            json!({"spec": {"replicas": 3_000_000_000_u32}}),
            "json: cannot unmarshal number 3000000000 into Go struct field \
             DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": []}),
            "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec",
        ),
        (json!("x"), "json: cannot unmarshal string into Go value of type v1.Deployment"),
    ];
    for (object, message) in table {
        assert_eq!(checked(DEPLOYMENT, object).1, Err(message.to_owned()));
    }
}

#[test]
fn values_take_their_stored_form() {
    let pod = json!({
        "metadata": {"creationTimestamp": null, "annotations": {"a": null}, "deletionTimestamp": "2026-01-01T02:00:00.5+01:00"},
        "spec": {"containers": [{
            "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": 0.5}},
            "ports": [{"containerPort": 80}],
        }]},
    });
    let (object, unknown) = checked(POD, pod);
    assert_eq!(unknown, Ok(vec![]));
    let expected = json!({
        "metadata": {"annotations": {"a": ""}, "deletionTimestamp": "2026-01-01T01:00:00Z"},
        "spec": {"containers": [{
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
        }]},
    });
    assert_eq!(object, expected);
}

#[test]
fn broken_times_quantities_and_bytes_are_refused() {
    let cases = [
        (POD, json!({"metadata": {"deletionTimestamp": "soon"}}), "parsing time"),
        (
            POD,
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "1x"}}}]}}),
            "quantities must match",
        ),
        (
            "io.k8s.api.core.v1.Secret",
            json!({"data": {"a": "not base64!"}}),
            "illegal base64 data at input byte 3",
        ),
    ];
    for (definition, object, message) in cases {
        let result = checked(definition, object).1;
        assert!(result.as_ref().is_err_and(|m| m.contains(message)), "{result:?}");
    }
    let (secret, result) = checked("io.k8s.api.core.v1.Secret", json!({"data": {"a": "aGVs\nbG9="}}));
    assert_eq!((secret["data"]["a"].as_str(), result), (Some("aGVsbG8="), Ok(vec![])));
}

#[test]
fn merge_rules_are_compiled_in() {
    let pod = of(POD).unwrap();
    let spec = &pod.properties["spec"];
    let containers = &spec.properties["containers"];
    assert_eq!(containers.list, ListType::Map(vec!["name".into()]));
    assert_eq!(containers.patch.merge_key.as_deref(), Some("name"));
    let ports = &containers.items.as_ref().unwrap().properties["ports"];
    assert_eq!(ports.list, ListType::Map(vec!["containerPort".into(), "protocol".into()]));
    assert!(spec.properties["volumes"].patch.retain_keys);
    assert!(spec.properties["nodeSelector"].atomic);
    let deployment = of(DEPLOYMENT).unwrap();
    assert!(deployment.properties["spec"].properties["selector"].atomic);
    assert!(deployment.properties["spec"].properties["strategy"].patch.retain_keys);
    assert_eq!(deployment.properties["metadata"].properties["finalizers"].list, ListType::Set);
}

#[test]
fn every_kind_has_a_definition_and_its_closure_is_complete() {
    for kind in crate::kinds::all() {
        let schema = of(kind.definition);
        assert!(schema.is_some_and(|s| s.properties.contains_key("apiVersion")), "{}", kind.definition);
        let all = closure([kind.definition]);
        let mut referred = Vec::new();
        all.values().for_each(|d| definitions::references(d, &mut referred));
        for name in referred {
            assert!(all.contains_key(&name), "{name}");
        }
    }
}

#[test]
fn openapi_documents_say_what_clients_read() {
    let pod = &definitions()[POD];
    assert_eq!(pod["x-kubernetes-group-version-kind"][0]["kind"], "Pod");
    let spec = &pod["properties"]["spec"];
    assert_eq!(spec["allOf"][0]["$ref"], "#/components/schemas/io.k8s.api.core.v1.PodSpec");
    let v2 = definitions_v2();
    assert_eq!(v2[POD]["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert_eq!(v2["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"], "int-or-string");
    let containers = &v2["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert!(definitions().contains_key("io.k8s.apimachinery.pkg.apis.meta.v1.Status"));
}

/// kubectl before 1.25 checks manifests by this document itself.
#[test]
fn version_2_knows_fields_that_are_called_like_words_of_a_schema() {
    let v2 = definitions_v2();
    let prefix = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
    let fields = &v2[&format!("{prefix}JSONSchemaProps")]["properties"];
    for (name, kind) in [("type", "string"), ("oneOf", "array"), ("allOf", "array"), ("required", "array")] {
        assert_eq!(fields[name]["type"], kind, "{name}");
    }
    for any in ["JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool"] {
        assert_eq!(v2[&format!("{prefix}{any}")].get("type"), None, "{any}");
    }
}

#[test]
fn a_custom_resource_schema_compiles_into_the_same_form() {
    let schema = compile(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }));
    let mut object = json!({"spec": {"size": 1, "more": 2}, "free": {"a": {"b": null}}});
    assert_eq!(check(&schema, &mut object), Ok(vec!["spec.more".to_owned()]));
    assert_eq!(object, json!({"spec": {"size": 1}, "free": {"a": {"b": null}}}));
    assert!(compile(&json!({})).preserve_unknown);
}
