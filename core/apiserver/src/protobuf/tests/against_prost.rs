//! Our bytes against messages that prost generated from Kubernetes' own `.proto`
//! files: it reads what we write, and we read what it writes.

use k8s_pb::{
    api::{
        authorization::v1 as authorization, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac,
    },
    apimachinery::pkg::{
        apis::meta::v1 as meta,
        runtime::{RawExtension, Unknown},
        util::intstr::IntOrString,
    },
    kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration,
};
use prost::Message;
use serde_json::{Value, json};

use super::super::{ListHead, decode, encode, frame, list, wrap};

fn unknown(body: &[u8]) -> Unknown {
    Unknown::decode(body.strip_prefix(b"k8s\0").expect("the prefix")).expect("an envelope")
}

/// What prost reads of what we write, which it writes back to the same value.
#[track_caller]
pub fn check<M: Message + Default>(object: &Value) -> M {
    let envelope = unknown(&encode(object).expect("writes"));
    let type_meta = envelope.type_meta.expect("a type");
    assert_eq!(type_meta.api_version.as_deref(), object["apiVersion"].as_str());
    assert_eq!(type_meta.kind.as_deref(), object["kind"].as_str());
    let message = M::decode(envelope.raw.expect("a message").as_slice()).expect("a message");
    let (api_version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let again = wrap(api_version.unwrap(), kind.unwrap(), &message.encode_to_vec());
    assert_eq!(&decode(&again).expect("reads"), object);
    message
}

pub fn text(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

#[test]
fn a_pod() {
    let pod: core::Pod = check(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-02-03T04:05:06Z", "labels": {"a": "1", "b": ""},
            "deletionGracePeriodSeconds": 0,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "x",
                "controller": true, "blockOwnerDeletion": false}],
            "managedFields": [{"manager": "m", "operation": "Update", "apiVersion": "v1",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}, "time": "2026-02-03T04:05:06Z"}],
        },
        "spec": {
            "volumes": [{"name": "v", "configMap": {"name": "c", "optional": false, "defaultMode": 0}},
                {"name": "e", "emptyDir": {}}],
            "containers": [{"name": "c", "image": "web:1", "stdin": true,
                "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
                "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "securityContext": {"runAsUser": 0, "privileged": false}}],
            "ephemeralContainers": [{"name": "d", "image": "sh", "targetContainerName": "c"}],
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 0}],
            "terminationGracePeriodSeconds": 0,
        },
        "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": false, "restartCount": 3,
            "image": "web:1", "imageID": "", "started": false}]},
    }));
    let metadata = pod.metadata.expect("metadata");
    assert_eq!((text(&metadata.name), metadata.labels["b"].as_str()), ("p", ""));
    assert_eq!(metadata.creation_timestamp.expect("a time").seconds, Some(1_770_091_506));
    assert_eq!(metadata.owner_references[0].block_owner_deletion, Some(false));
    let fields = metadata.managed_fields[0].fields_v1.as_ref().expect("fields");
    assert_eq!(fields.raw.as_deref(), Some(br#"{"f:spec":{}}"#.as_slice()));
    let spec = pod.spec.expect("a spec");
    let source = spec.volumes[0].volume_source.as_ref().expect("a source");
    let map = source.config_map.as_ref().expect("a map");
    assert_eq!((map.default_mode, map.optional), (Some(0), Some(false)));
    assert_eq!(text(&map.local_object_reference.as_ref().expect("a reference").name), "c");
    let container = &spec.containers[0];
    let limits = &container.resources.as_ref().expect("resources").limits;
    assert_eq!(text(&limits["cpu"].string), "500m");
    let probe = container.liveness_probe.as_ref().expect("a probe");
    let get = probe.handler.as_ref().and_then(|handler| handler.http_get.as_ref()).expect("a handler");
    let port = IntOrString { r#type: Some(1), int_val: None, str_val: Some("http".into()) };
    assert_eq!(get.port, Some(port));
    assert_eq!(container.security_context.as_ref().expect("a context").run_as_user, Some(0));
    let debug = &spec.ephemeral_containers[0];
    let common = debug.ephemeral_container_common.as_ref().expect("a container");
    assert_eq!((text(&common.name), text(&common.image)), ("d", "sh"));
    assert_eq!(pod.status.expect("a status").container_statuses[0].started, Some(false));
}

#[test]
fn wrapped_lists_bytes_microseconds_and_rules() {
    let review: authorization::SubjectAccessReview = check(&json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "u", "extra": {"scopes": ["a", "b"]}, "nonResourceAttributes": {"path": "/"}},
        "status": {"allowed": false},
    }));
    assert_eq!(review.spec.expect("a spec").extra["scopes"].items, ["a", "b"]);
    let secret: core::Secret = check(&json!({
        "apiVersion": "v1", "kind": "Secret", "data": {"k": "/wA=", "empty": ""}, "immutable": false,
    }));
    assert_eq!((secret.data["k"].as_slice(), secret.immutable), ([0xff, 0].as_slice(), Some(false)));
    let lease: coordination::Lease = check(&json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "spec": {"renewTime": "2026-02-03T04:05:06.123456Z", "leaseTransitions": 0, "holderIdentity": ""},
    }));
    let renewed = lease.spec.expect("a spec").renew_time.expect("a time");
    assert_eq!((renewed.seconds, renewed.nanos), (Some(1_770_091_506), Some(123_456_000)));
    let ingress: networking::Ingress = check(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "spec": {"rules": [{"host": "h", "http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]},
    }));
    let rules = ingress.spec.expect("a spec").rules;
    let http = rules[0].ingress_rule_value.as_ref().and_then(|value| value.http.as_ref());
    assert_eq!(text(&http.expect("paths").paths[0].path), "/");
    let role: rbac::ClusterRole = check(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"},
        "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
    }));
    assert_eq!(role.rules[0].api_groups, [""]);
}

#[test]
fn an_api_service() {
    let service: apiregistration::APIService = check(&json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": { "name": "v1.a.example" },
        "spec": { "group": "a.example", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 0,
            "caBundle": "YWJj", "service": { "namespace": "n", "name": "s", "port": 443 } },
        "status": { "conditions": [{ "type": "Available", "status": "True", "reason": "Passed" }] },
    }));
    let spec = service.spec.expect("a spec");
    assert_eq!(spec.service.expect("a service").port, Some(443));
    assert_eq!((spec.group_priority_minimum, spec.version_priority), (Some(2000), Some(0)));
    assert_eq!(spec.ca_bundle.as_deref(), Some(b"abc".as_slice()));
}

#[test]
fn the_documents_of_discovery() {
    let resources: meta::APIResourceList = check(&json!({
        "apiVersion": "v1", "kind": "APIResourceList", "groupVersion": "v1",
        "resources": [{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod",
            "verbs": ["get", "list"], "shortNames": ["po"]}],
    }));
    assert_eq!(resources.resources[0].verbs.as_ref().expect("verbs").items, ["get", "list"]);
}

#[test]
fn zeros_that_prost_sets() {
    let spec = policy::PodDisruptionBudgetSpec {
        min_available: Some(IntOrString { r#type: Some(0), int_val: Some(0), str_val: Some(String::new()) }),
        ..Default::default()
    };
    let budget = policy::PodDisruptionBudget { spec: Some(spec), ..Default::default() };
    let body = wrap("policy/v1", "PodDisruptionBudget", &budget.encode_to_vec());
    assert_eq!(decode(&body).expect("reads")["spec"], json!({"minAvailable": 0}));
    let endpoint = discovery::Endpoint {
        addresses: vec!["10.0.0.1".into()],
        conditions: Some(discovery::EndpointConditions { ready: Some(false), ..Default::default() }),
        ..Default::default()
    };
    let slice = discovery::EndpointSlice { endpoints: vec![endpoint], ..Default::default() };
    let body = wrap("discovery.k8s.io/v1", "EndpointSlice", &slice.encode_to_vec());
    assert_eq!(decode(&body).expect("reads")["endpoints"][0]["conditions"], json!({"ready": false}));
}

#[test]
fn a_list_in_chunks_is_one_message() {
    let map = |n: usize| core::ConfigMap {
        data: [(format!("k{n}"), "x".repeat(n * 1000))].into(),
        ..Default::default()
    };
    for count in [0, 1, 40] {
        let items = (0..count).map(|n| map(n).encode_to_vec().into()).collect();
        let head = ListHead {
            api_version: "v1",
            kind: "ConfigMapList",
            resource_version: "7".into(),
            next: (count > 1).then(|| "more".into()),
            remaining: (count > 1).then_some(300),
        };
        let chunks = list(&head, items);
        let total = chunks.total();
        let body: Vec<u8> = chunks.flatten().collect();
        assert_eq!(body.len(), total);
        let read =
            core::ConfigMapList::decode(unknown(&body).raw.expect("a list").as_slice()).expect("a list");
        assert_eq!(read.items, (0..count).map(map).collect::<Vec<_>>());
        let meta = read.metadata.expect("metadata");
        assert_eq!(text(&meta.resource_version), "7");
        assert_eq!(meta.remaining_item_count, (count > 1).then_some(300));
    }
}

#[test]
fn a_frame_of_a_watch() {
    let object = vec![7; 1000];
    let frame = frame("ADDED", &object);
    let length = u32::from_be_bytes(frame[..4].try_into().expect("four bytes"));
    assert_eq!(length as usize, frame.len() - 4);
    let event = meta::WatchEvent::decode(&frame[4..]).expect("an event");
    assert_eq!(text(&event.r#type), "ADDED");
    assert_eq!(event.object, Some(RawExtension { raw: Some(object) }));
}
