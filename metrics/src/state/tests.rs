//! Objects as the API has them, and what is told of them; what is told of them over time.

mod newer;
mod objects;
mod secrets;
mod words;

use serde_json::{Value as Json, json};

use super::{rows::Rows, *};
use crate::series::{Limits, Matcher, NAME};

/// The rows of a name as text: labels that are asked for, and the value.
fn shown(rows: &Rows, name: &str, labels: &[&str]) -> Vec<String> {
    let of_name = rows.rows.iter().filter(|(row, _)| row.name() == name);
    let one = |(row, value): &(crate::series::Labels, f64)| {
        let mut words: Vec<&str> = labels.iter().map(|label| row.get(label).unwrap_or("-")).collect();
        let value = value.to_string();
        words.push(&value);
        words.join(" ")
    };
    of_name.map(one).collect()
}

fn read<K: serde::de::DeserializeOwned>(value: Json) -> K {
    serde_json::from_value(value).expect("an object")
}

fn pod(phase: &str) -> k8s_openapi::api::core::v1::Pod {
    read(json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true}],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "app", "image": "web", "resources": {
                "requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"ephemeral-storage": "1Gi"},
            }}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "claim"}}],
        },
        "status": {
            "phase": phase, "qosClass": "Burstable", "podIP": "10.0.0.9",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"},
            ],
            "containerStatuses": [{
                "name": "app", "image": "docker.io/web:1", "imageID": "sha", "ready": true, "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            }],
        },
    }))
}

#[test]
fn a_pod_and_its_containers() {
    let rows = pod::tell(&pod("Running"));
    let check = |name: &str, labels: &[&str], expected: &[&str]| {
        assert_eq!(shown(&rows, name, labels), expected, "{name}");
    };
    let names = ["namespace", "pod", "uid", "node", "created_by_kind", "created_by_name", "job"];
    check("kube_pod_info", &names, &["shop web-1 u1 n1 ReplicaSet web kube-state-metrics 1"]);
    check("kube_pod_created", &[], &["1767225600"]);
    check("kube_pod_owner", &["owner_kind", "owner_name", "owner_is_controller"], &["ReplicaSet web true 1"]);
    check("kube_pod_status_phase", &["phase"], &["Running 1"]);
    check("kube_pod_status_ready", &["condition"], &["true 1"]);
    check("kube_pod_status_ready_time", &[], &["1767225605"]);
    check("kube_pod_status_scheduled", &["condition"], &["false 1"]);
    check("kube_pod_status_unschedulable", &[], &["1"]);
    check("kube_pod_status_qos_class", &["qos_class"], &["Burstable 1"]);
    let amounts = ["container", "resource", "unit"];
    let requests = ["app cpu core 0.25", "app memory byte 67108864"];
    check("kube_pod_container_resource_requests", &amounts, &requests);
    check("kube_pod_container_resource_limits", &amounts, &["app ephemeral_storage byte 1073741824"]);
    check("kube_pod_container_status_waiting_reason", &["container", "reason"], &["app CrashLoopBackOff 1"]);
    check("kube_pod_container_status_last_terminated_reason", &["reason"], &["OOMKilled 1"]);
    check("kube_pod_container_status_last_terminated_exitcode", &[], &["137"]);
    check("kube_pod_container_status_running", &["container"], &["app 0"]);
    check("kube_pod_container_status_restarts_total", &["container"], &["app 3"]);
    check("kube_pod_container_info", &["image", "image_spec"], &["docker.io/web:1 web 1"]);
    let claim = "kube_pod_spec_volumes_persistentvolumeclaims_info";
    check(claim, &["volume", "persistentvolumeclaim"], &["data claim 1"]);
    check("kube_pod_completion_time", &[], &[]);
}

#[test]
fn workloads() {
    let rolling =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}});
    let rows = deployment::tell(&read(json!({
        "metadata": {"name": "web", "namespace": "shop", "generation": 7},
        "spec": {"replicas": 10, "selector": {}, "template": {}, "strategy": rolling},
        "status": {"replicas": 9, "unavailableReplicas": 1, "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
        ]},
    })));
    assert_eq!(shown(&rows, "kube_deployment_spec_replicas", &["namespace", "deployment"]), ["shop web 10"]);
    let unavailable = "kube_deployment_spec_strategy_rollingupdate_max_unavailable";
    assert_eq!(shown(&rows, unavailable, &[]), ["2"]);
    assert_eq!(shown(&rows, "kube_deployment_spec_strategy_rollingupdate_max_surge", &[]), ["3"]);
    assert_eq!(shown(&rows, "kube_deployment_status_replicas_unavailable", &[]), ["1"]);
    assert_eq!(shown(&rows, "kube_deployment_metadata_generation", &[]), ["7"]);
    let conditions = shown(&rows, "kube_deployment_status_condition", &["condition", "status", "reason"]);
    assert_eq!(conditions[0], "Available true MinimumReplicasAvailable 1");
    assert_eq!(conditions.len(), 3);
    let rows = job::tell(&read(json!({
        "metadata": {"name": "once", "namespace": "shop"}, "spec": {"template": {}, "completions": 1},
        "status": {"failed": 2, "conditions": [{"type": "Failed", "status": "True"}]},
    })));
    assert_eq!(shown(&rows, "kube_job_status_failed", &["job_name"]), ["once 2"]);
    assert_eq!(shown(&rows, "kube_job_failed", &["condition"]), ["true 1", "false 0", "unknown 0"]);
    let rows = stateful_set::tell(&read(json!({
        "metadata": {"name": "db"}, "spec": {"serviceName": "db", "selector": {}, "template": {}, "replicas": 3},
        "status": {"replicas": 2, "readyReplicas": 1, "updateRevision": "db-2"},
    })));
    assert_eq!(shown(&rows, "kube_statefulset_replicas", &["statefulset"]), ["db 3"]);
    assert_eq!(shown(&rows, "kube_statefulset_status_update_revision", &["revision"]), ["db-2 1"]);
}

#[test]
fn nodes_and_bounds() {
    let rows = node::tell(&read(json!({
        "metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": ""}},
        "spec": {"unschedulable": true, "taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "2", "pods": "110"}, "allocatable": {"memory": "1Gi"},
            "conditions": [{"type": "Ready", "status": "Unknown"}]},
    })));
    assert_eq!(shown(&rows, "kube_node_role", &["node", "role"]), ["n1 control-plane 1"]);
    assert_eq!(shown(&rows, "kube_node_spec_unschedulable", &[]), ["1"]);
    assert_eq!(shown(&rows, "kube_node_spec_taint", &["key", "value", "effect"]), ["a - NoSchedule 1"]);
    let capacity = shown(&rows, "kube_node_status_capacity", &["resource", "unit"]);
    assert_eq!(capacity, ["cpu core 2", "pods integer 110"]);
    let conditions = shown(&rows, "kube_node_status_condition", &["condition", "status"]);
    assert_eq!(conditions, ["Ready true 0", "Ready false 0", "Ready unknown 1"]);
    let rows = resource_quota::tell(&read(json!({
        "metadata": {"name": "q", "namespace": "shop"},
        "status": {"hard": {"requests.cpu": "2"}, "used": {"requests.cpu": "500m"}},
    })));
    let quota = shown(&rows, "kube_resourcequota", &["resource", "type"]);
    assert_eq!(quota, ["requests.cpu hard 2", "requests.cpu used 0.5"]);
}

/// Each name that is told is described, by the kind that tells it.
#[test]
fn names_are_described_once() {
    let mut all: Vec<&str> = KINDS.iter().flat_map(|kind| kind.all_names()).map(|name| name.0).collect();
    for (row, _) in &pod::tell(&pod("Running")).rows {
        assert!(all.contains(&row.name()), "{}", row.name());
    }
    for (validating, mutating) in [
        (webhook_configuration::VALIDATING, webhook_configuration::MUTATING),
        (admission_policy::VALIDATING, admission_policy::MUTATING),
        (admission_policy_binding::VALIDATING, admission_policy_binding::MUTATING),
    ] {
        for (one, other) in validating.iter().zip(mutating) {
            assert_eq!(one.0.replace("kube_validating", "kube_mutating"), other.0);
        }
    }
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    for (plain, init) in pod_containers::NAMES.iter().zip(pod_containers::INIT_NAMES) {
        assert_eq!(plain.0.replace("kube_pod_container", "kube_pod_init_container"), init.0);
    }
}

#[tokio::test]
async fn what_changes_is_told_and_what_is_gone_ends() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let told = Told::new(store.clone());
    told.begin();
    told.applied("shop/web-1", pod::tell(&pod("Pending")));
    told.complete();
    // The same again is no news.
    told.applied("shop/web-1", pod::tell(&pod("Pending")));
    told.applied("shop/web-1", pod::tell(&pod("Running")));
    told.repeat(jiff::Timestamp::now().as_millisecond() + 1000);
    // A list that has it no more.
    told.begin();
    told.complete();
    told.repeat(jiff::Timestamp::now().as_millisecond() + 2000);
    let phase = async |phase: &str| {
        let matchers = [Matcher::equal(NAME, "kube_pod_status_phase"), Matcher::equal("phase", phase)];
        let found = store.all(&matchers, 0..i64::MAX).await;
        let [one] = found.as_slice() else { panic!("{found:?}") };
        one.samples.iter().map(|(_, value)| value.number().filter(|_| !value.is_stale())).collect::<Vec<_>>()
    };
    assert_eq!(phase("Pending").await, [Some(1.0), None]);
    assert_eq!(phase("Running").await, [Some(1.0), Some(1.0), None]);
}

#[test]
fn equal_rows_are_one_series() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let told = Told::of_at_most(store.clone(), 2);
    let rows = |name: &str, count: usize| {
        let meta = read(json!({"name": name, "namespace": "shop"}));
        let mut rows = Rows::of("endpoint", &meta);
        (0..count).for_each(|_| rows.put("kube_endpoint_info", 1));
        rows
    };
    // Two Endpoints' subsets have the same port.
    told.applied("shop/a", rows("a", 2));
    told.applied("shop/b", rows("b", 1));
    assert_eq!(store.series_count(), 2, "there is room for both");
}

#[tokio::test]
async fn abuse_34_objects_beyond_what_a_kind_may_cost_are_not_told() {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let rows = pod::tell(&pod("Running")).rows.len();
    let told = Told::of_at_most(store.clone(), 2 * rows + 1);
    for name in ["a", "b", "c"] {
        let mut pod = pod("Running");
        pod.metadata.name = Some(name.into());
        told.applied(&format!("shop/{name}"), pod::tell(&pod));
    }
    let count = || store.series_count();
    assert_eq!(count(), 2 * rows);
    // There is room again, and a change of what was left out takes it.
    told.deleted("shop/a");
    let mut pod = pod("Running");
    pod.metadata.name = Some("c".into());
    told.applied("shop/c", pod::tell(&pod));
    assert_eq!(count(), 3 * rows);
}
