//! What kube-state-metrics tells beside the usual of kinds that are there: of each an object that
//! has it.

use super::{objects::check, *};

#[test]
fn a_pods_addresses_tolerations_and_account() {
    let rows = pod::tell(&read(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u1"},
        "spec": {
            "containers": [], "schedulerName": "own", "serviceAccountName": "web",
            "overhead": {"cpu": "250m", "memory": "64Mi"}, "runtimeClassName": "kata",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300},
                {"key": "a", "operator": "Equal", "value": "b"},
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "claim", "readOnly": true}}],
            "resourceClaims": [
                {"name": "gpu", "resourceClaimName": "big"},
                {"name": "nic", "resourceClaimTemplateName": "t"},
            ],
        },
        "status": {
            "podIPs": [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}, {"ip": "::ffff:10.0.0.8"}, {"ip": "x"}],
            "reason": "Whatever",
            "resourceClaimStatuses": [{"name": "nic", "resourceClaimName": "web-1-nic"}],
            "conditions": [
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"},
                {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:07Z"},
                {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"},
            ],
        },
    })));
    let toleration = &["key", "operator", "value", "effect", "toleration_seconds"];
    check(
        "pods",
        &rows,
        &[
            (
                "kube_pod_ips",
                &["namespace", "pod", "uid", "ip", "ip_family"],
                &[
                    "shop web-1 u1 10.0.0.9 4 1",
                    "shop web-1 u1 fd00::9 6 1",
                    "shop web-1 u1 ::ffff:10.0.0.8 4 1",
                ],
            ),
            (
                "kube_pod_tolerations",
                toleration,
                &["node.kubernetes.io/not-ready Exists - NoExecute 300 1", "a Equal b - - 1"],
            ),
            ("kube_pod_service_account", &["service_account"], &["web 1"]),
            ("kube_pod_scheduler", &["name"], &["own 1"]),
            ("kube_pod_runtimeclass_name_info", &["runtimeclass_name"], &["kata 1"]),
            ("kube_pod_overhead_cpu_cores", &[], &["0.25"]),
            ("kube_pod_overhead_memory_bytes", &[], &["67108864"]),
            (
                "kube_pod_resourceclaim_info",
                &["claim_name", "resourceclaim_name", "resourceclaim_template_name"],
                &["gpu big - 1", "nic web-1-nic t 1"],
            ),
            (
                "kube_pod_spec_volumes_persistentvolumeclaims_readonly",
                &["volume", "persistentvolumeclaim"],
                &["data claim 1"],
            ),
            ("kube_pod_status_reason", &["reason"], &["Other 1"]),
            ("kube_pod_status_container_ready_time", &[], &["1767225605"]),
            ("kube_pod_status_unscheduled_time", &[], &["1767225607"]),
            ("kube_pod_status_scheduled_time", &[], &[]),
            ("kube_pod_status_disruption_reason", &["reason"], &["EvictionByEvictionAPI 1"]),
        ],
    );
}

#[test]
fn when_a_cron_job_is_due() {
    let tell = |spec: Json, last: Option<&str>| {
        let mut spec = spec;
        spec["jobTemplate"] = json!({});
        cron_job::tell(&read(json!({
            "metadata": {
                "name": "nightly", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:30Z",
                "resourceVersion": "7",
            },
            "spec": spec, "status": {"lastScheduleTime": last},
        })))
    };
    let daily = json!({"schedule": "30 4 * * *", "timeZone": "UTC"});
    for (spec, last, next, invalid) in [
        (daily.clone(), None, &["1767241800"][..], &[][..]),
        (daily, Some("2026-01-02T04:30:00Z"), &["1767414600"][..], &[][..]),
        (json!({"schedule": "30 4 * * *", "timeZone": "UTC", "suspend": true}), None, &[][..], &[][..]),
        (json!({"schedule": "30 4 * *"}), None, &[][..], &["1"][..]),
        (json!({"schedule": "30 4 * * *", "timeZone": "Mars/Olympus"}), None, &[][..], &["1"][..]),
    ] {
        let rows = tell(spec, last);
        let version = &["7"];
        check(
            "cronjobs",
            &rows,
            &[
                ("kube_cronjob_next_schedule_time", &[], next),
                ("kube_cronjob_schedule_invalid", &[], invalid),
                ("kube_cronjob_metadata_resource_version", &[], version),
            ],
        );
    }
}

#[test]
fn namespaces_nodes_and_volumes() {
    let rows = namespace::tell(&read(json!({
        "metadata": {"name": "shop"},
        "status": {"phase": "Terminating", "conditions": [
            {"type": "NamespaceDeletionContentFailure", "status": "True"},
        ]},
    })));
    let states = &[
        "shop NamespaceDeletionContentFailure true 1",
        "shop NamespaceDeletionContentFailure false 0",
        "shop NamespaceDeletionContentFailure unknown 0",
    ];
    let labels = &["namespace", "condition", "status"];
    check("namespaces", &rows, &[("kube_namespace_status_condition", labels, states)]);
    let rows = node::tell(&read(json!({
        "metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.0.0.0/24", "fd00::/64"]},
    })));
    let ranges = &["n1 10.0.0.0/24 1", "n1 fd00::/64 1"];
    check("nodes", &rows, &[("kube_node_spec_pod_cidrs", &["node", "pod_cidr"], ranges)]);
    let rows = persistent_volume::tell(&read(json!({
        "metadata": {"name": "pv"}, "spec": {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"},
    })));
    check(
        "persistentvolumes",
        &rows,
        &[
            ("kube_persistentvolume_access_mode", &["access_mode"], &["ReadWriteOnce 1"]),
            ("kube_persistentvolume_volume_mode", &["volumemode"], &["Block 1"]),
        ],
    );
    let rows = secret::tell(&read(json!({
        "metadata": {"name": "s", "namespace": "shop", "resourceVersion": "9"},
    })));
    check(
        "secrets",
        &rows,
        &[
            ("kube_secret_metadata_resource_version", &["secret"], &["s 9"]),
            ("kube_secret_owner", &["owner_kind"], &["- 1"]),
        ],
    );
}

#[test]
fn workloads_have_an_end_and_ways_of_their_own() {
    let end = "2026-01-01T00:00:00Z";
    let ends = |name: &str| json!({"name": name, "namespace": "shop", "deletionTimestamp": end});
    let ended = &["1767225600"];
    let rows = stateful_set::tell(&read(json!({
        "metadata": ends("db"),
        "spec": {
            "selector": {}, "template": {}, "ordinals": {"start": 3},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
        },
    })));
    let policy = "kube_statefulset_persistentvolumeclaim_retention_policy";
    check(
        "statefulsets",
        &rows,
        &[
            ("kube_statefulset_deletion_timestamp", &[], ended),
            ("kube_statefulset_ordinals_start", &[], &["3"]),
            (policy, &["when_deleted", "when_scaled"], &["Delete Retain 1"]),
        ],
    );
    let rows = deployment::tell(&read(json!({
        "metadata": ends("web"), "spec": {"selector": {}, "template": {}},
        "status": {"terminatingReplicas": 2},
    })));
    check(
        "deployments",
        &rows,
        &[
            ("kube_deployment_deletion_timestamp", &[], ended),
            ("kube_deployment_status_terminating_replicas", &[], &["2"]),
        ],
    );
    let rows = replica_set::tell(&read(json!({
        "metadata": ends("web-1"), "spec": {"selector": {}},
        "status": {"replicas": 1, "terminatingReplicas": 1},
    })));
    check("replicasets", &rows, &[("kube_replicaset_status_terminating_replicas", &[], &["1"])]);
    let rows = daemon_set::tell(&read(json!({
        "metadata": ends("agent"), "spec": {"selector": {}, "template": {}},
    })));
    check("daemonsets", &rows, &[("kube_daemonset_deletion_timestamp", &[], ended)]);
    let rows = service::tell(&read(json!({"metadata": ends("web")})));
    check("services", &rows, &[("kube_service_deletion_timestamp", &[], ended)]);
    let rows = job::tell(&read(json!({"metadata": ends("once"), "status": {"ready": 2}})));
    check("jobs", &rows, &[("kube_job_status_ready", &[], &["2"])]);
    let rows = horizontal_pod_autoscaler::tell(&read(json!({
        "metadata": ends("web"),
        "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "behavior": {"scaleUp": {"tolerance": "50m"}, "scaleDown": {"tolerance": "0.2"}},
        },
    })));
    check(
        "horizontalpodautoscalers",
        &rows,
        &[
            ("kube_horizontalpodautoscaler_deletion_timestamp", &[], ended),
            ("kube_horizontalpodautoscaler_spec_behavior_scale_up_tolerance", &[], &["0.05"]),
            ("kube_horizontalpodautoscaler_spec_behavior_scale_down_tolerance", &[], &["0.2"]),
        ],
    );
}
