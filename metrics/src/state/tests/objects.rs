//! Kinds beside workloads: an object of each as the API has it, and its rows.

use super::*;

/// Of names the labels that are looked at, and what is found.
type Expected<'a> = &'a [(&'a str, &'a [&'a str], &'a [&'a str])];

/// All rows are about the resource, and are those of kube-state-metrics.
pub(super) fn check(resource: &str, rows: &Rows, expected: Expected<'_>) {
    for (row, _) in &rows.rows {
        assert_eq!(subject(row.name()).map(|about| about.resource), Some(resource), "{}", row.name());
        // By this it is known again when the log is read.
        assert_eq!(crate::series::way_of(row), Some(tiphys_api::ways::Way::Objects), "{}", row.name());
    }
    for (name, labels, found) in expected {
        assert_eq!(shown(rows, name, labels), *found, "{name}");
    }
}

fn meta(name: &str, namespace: Option<&str>) -> Json {
    let mut meta = json!({
        "name": name, "uid": "u1", "resourceVersion": "7", "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    if let Some(namespace) = namespace {
        meta["namespace"] = namespace.into();
    }
    meta
}

/// When [`meta`] was made.
const MADE: &str = "1767225600";

#[test]
fn where_services_lead() {
    let rows = endpoints::tell(&read(json!({
        "metadata": meta("web", Some("shop")),
        "subsets": [{
            "addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        }],
    })));
    check(
        "endpoints",
        &rows,
        &[
            ("kube_endpoint_info", &["namespace", "endpoint"], &["shop web 1"]),
            ("kube_endpoint_created", &[], &[MADE]),
            ("kube_endpoint_ports", &["port_name", "port_protocol", "port_number"], &["http TCP 80 1"]),
            (
                "kube_endpoint_address",
                &["ip", "ready", "port_name", "port_number"],
                &["10.0.0.1 true http 80 1", "10.0.0.2 false http 80 1"],
            ),
        ],
    );
    let rows = endpoint_slice::tell(&read(json!({
        "metadata": meta("web-x", Some("shop")),
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.1", "10.0.0.2"], "nodeName": "n1", "zone": "a",
            "conditions": {"ready": true, "terminating": false},
            "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"},
            "hints": {"forZones": [{"name": "a"}, {"name": "b"}]},
        }, {"addresses": []}],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}, {}],
    })));
    let address = &[
        "address",
        "ready",
        "serving",
        "terminating",
        "targetref_kind",
        "targetref_name",
        "targetref_namespace",
        "endpoint_nodename",
        "endpoint_zone",
    ];
    check(
        "endpointslices",
        &rows,
        &[
            (
                "kube_endpointslice_info",
                &["namespace", "endpointslice", "addresstype"],
                &["shop web-x IPv4 1"],
            ),
            ("kube_endpointslice_created", &[], &[MADE]),
            (
                "kube_endpointslice_endpoints",
                address,
                &[
                    "10.0.0.1 true - false Pod web-1 shop n1 a 1",
                    "10.0.0.2 true - false Pod web-1 shop n1 a 1",
                ],
            ),
            (
                "kube_endpointslice_endpoints_hints",
                &["address", "for_zone"],
                &["10.0.0.1 a 1", "10.0.0.1 b 1"],
            ),
            (
                "kube_endpointslice_ports",
                &["port_name", "port_protocol", "port_number"],
                &["http TCP 80 1", "- - - 1"],
            ),
        ],
    );
}

#[test]
fn leases_requests_and_policies() {
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n"}]);
    let mut meta_of_lease = meta("n1", Some("kube-node-lease"));
    meta_of_lease["ownerReferences"] = owner;
    let spec = json!({"holderIdentity": "n1", "renewTime": "2026-01-01T00:00:10.500000Z"});
    let labels = &["namespace", "lease", "owner_kind", "owner_name", "lease_holder"];
    let rows = lease::tell(&read(json!({"metadata": meta_of_lease, "spec": spec})));
    check(
        "leases",
        &rows,
        &[
            ("kube_lease_owner", labels, &["kube-node-lease n1 Node n1 n1 1"]),
            ("kube_lease_renew_time", &["lease"], &["n1 1767225610.5"]),
        ],
    );
    let rows = lease::tell(&read(json!({"metadata": meta("leader", Some("kube-system")), "spec": {}})));
    check(
        "leases",
        &rows,
        &[("kube_lease_owner", labels, &["kube-system leader - - - 1"]), ("kube_lease_renew_time", &[], &[])],
    );
    let rows = certificate_signing_request::tell(&read(json!({
        "metadata": meta("csr-1", None), "spec": {"request": "", "signerName": "example.com/s"},
        "status": {
            "certificate": "Y2VydA==",
            "conditions": [{"type": "Approved", "status": "True"}],
        },
    })));
    check(
        "certificatesigningrequests",
        &rows,
        &[
            (
                "kube_certificatesigningrequest_condition",
                &["certificatesigningrequest", "signer_name", "condition"],
                &[
                    "csr-1 example.com/s approved 1",
                    "csr-1 example.com/s denied 0",
                    "csr-1 example.com/s failed 0",
                ],
            ),
            ("kube_certificatesigningrequest_cert_length", &[], &["4"]),
            ("kube_certificatesigningrequest_created", &[], &[MADE]),
        ],
    );
    let rows = network_policy::tell(&read(json!({
        "metadata": meta("deny", Some("shop")), "spec": {"podSelector": {}, "ingress": [{}, {}]},
    })));
    check(
        "networkpolicies",
        &rows,
        &[
            ("kube_networkpolicy_created", &["namespace", "networkpolicy"], &["shop deny 1767225600"]),
            ("kube_networkpolicy_spec_ingress_rules", &[], &["2"]),
            ("kube_networkpolicy_spec_egress_rules", &[], &["0"]),
        ],
    );
}

#[test]
fn attachments_classes_accounts_and_controllers() {
    let rows = volume_attachment::tell(&read(json!({
        "metadata": meta("va", None),
        "spec": {"attacher": "csi", "nodeName": "n1", "source": {"persistentVolumeName": "pv-1"}},
        "status": {"attached": true, "attachmentMetadata": {"devicePath": "/dev/sdb"}},
    })));
    check(
        "volumeattachments",
        &rows,
        &[
            ("kube_volumeattachment_info", &["volumeattachment", "attacher", "node"], &["va csi n1 1"]),
            ("kube_volumeattachment_created", &[], &[MADE]),
            ("kube_volumeattachment_spec_source_persistentvolume", &["volumename"], &["pv-1 1"]),
            ("kube_volumeattachment_status_attached", &[], &["1"]),
            ("kube_volumeattachment_status_attachment_metadata", &["metadata_device_path"], &["/dev/sdb 1"]),
        ],
    );
    let class = json!({"metadata": meta("nginx", None), "spec": {"controller": "example.com/nginx"}});
    check(
        "ingressclasses",
        &ingress_class::tell(&read(class)),
        &[
            ("kube_ingressclass_info", &["ingressclass", "controller"], &["nginx example.com/nginx 1"]),
            ("kube_ingressclass_created", &[], &[MADE]),
        ],
    );
    let rows = service_account::tell(&read(json!({
        "metadata": meta("builder", Some("shop")), "automountServiceAccountToken": false,
        "secrets": [{"name": "token"}], "imagePullSecrets": [{"name": "registry"}],
    })));
    check(
        "serviceaccounts",
        &rows,
        &[
            (
                "kube_serviceaccount_info",
                &["namespace", "serviceaccount", "uid", "automount_token"],
                &["shop builder u1 false 1"],
            ),
            ("kube_serviceaccount_created", &[], &[MADE]),
            ("kube_serviceaccount_deleted", &[], &[]),
            ("kube_serviceaccount_secret", &["name"], &["token 1"]),
            ("kube_serviceaccount_image_pull_secret", &["name"], &["registry 1"]),
        ],
    );
    let rows = replication_controller::tell(&read(json!({
        "metadata": meta("old", Some("shop")), "spec": {"replicas": 5},
        "status": {
            "replicas": 4, "readyReplicas": 3, "availableReplicas": 2, "fullyLabeledReplicas": 1,
            "observedGeneration": 2,
        },
    })));
    check(
        "replicationcontrollers",
        &rows,
        &[
            (
                "kube_replicationcontroller_spec_replicas",
                &["namespace", "replicationcontroller"],
                &["shop old 5"],
            ),
            ("kube_replicationcontroller_created", &[], &[MADE]),
            ("kube_replicationcontroller_metadata_generation", &[], &["3"]),
            ("kube_replicationcontroller_owner", &["owner_kind"], &["- 1"]),
            ("kube_replicationcontroller_status_replicas", &[], &["4"]),
            ("kube_replicationcontroller_status_ready_replicas", &[], &["3"]),
            ("kube_replicationcontroller_status_available_replicas", &[], &["2"]),
            ("kube_replicationcontroller_status_fully_labeled_replicas", &[], &["1"]),
            ("kube_replicationcontroller_status_observed_generation", &[], &["2"]),
        ],
    );
}

#[test]
fn webhooks_before_each_write() {
    let webhooks = || {
        json!({
            "metadata": meta("guard", None),
            "webhooks": [
                {"name": "a.example.com", "clientConfig": {"service": {"name": "web", "namespace": "shop"}},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
                {"name": "b.example.com", "clientConfig": {"url": "https://example.com"},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
            ],
        })
    };
    let services = &["webhook_name", "service_name", "service_namespace"];
    check(
        "mutatingwebhookconfigurations",
        &webhook_configuration::mutating(&read(webhooks())),
        &[
            ("kube_mutatingwebhookconfiguration_info", &["mutatingwebhookconfiguration"], &["guard 1"]),
            ("kube_mutatingwebhookconfiguration_created", &[], &[MADE]),
            ("kube_mutatingwebhookconfiguration_metadata_resource_version", &[], &["7"]),
            (
                "kube_mutatingwebhookconfiguration_webhook_clientconfig_service",
                services,
                &["a.example.com web shop 1", "b.example.com - - 1"],
            ),
        ],
    );
    check(
        "validatingwebhookconfigurations",
        &webhook_configuration::validating(&read(webhooks())),
        &[
            ("kube_validatingwebhookconfiguration_info", &["validatingwebhookconfiguration"], &["guard 1"]),
            (
                "kube_validatingwebhookconfiguration_webhook_clientconfig_service",
                services,
                &["a.example.com web shop 1", "b.example.com - - 1"],
            ),
        ],
    );
}

#[test]
fn policies_of_each_write() {
    let policy = || {
        json!({
            "metadata": meta("limits", None),
            "spec": {
                "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
            },
        })
    };
    let labels = &["param_api_version", "param_kind", "failure_policy", "reinvocation_policy"];
    check(
        "validatingadmissionpolicies",
        &admission_policy::validating(&read(policy())),
        &[
            ("kube_validatingadmissionpolicy_info", labels, &["v1 ConfigMap Fail - 1"]),
            (
                "kube_validatingadmissionpolicy_created",
                &["validatingadmissionpolicy"],
                &["limits 1767225600"],
            ),
        ],
    );
    check(
        "mutatingadmissionpolicies",
        &admission_policy::mutating(&read(policy())),
        &[("kube_mutatingadmissionpolicy_info", labels, &["v1 ConfigMap Fail Never 1"])],
    );
    let binding = || {
        json!({
            "metadata": meta("here", None),
            "spec": {
                "policyName": "limits", "validationActions": ["Deny", "Audit"],
                "paramRef": {"name": "p", "namespace": "shop", "parameterNotFoundAction": "Allow"},
            },
        })
    };
    let labels = &["policy_name", "param_name", "param_namespace", "param_not_found_action"];
    check(
        "validatingadmissionpolicybindings",
        &admission_policy_binding::validating(&read(binding())),
        &[
            ("kube_validatingadmissionpolicybinding_info", labels, &["limits p shop Allow 1"]),
            ("kube_validatingadmissionpolicybinding_created", &[], &[MADE]),
            ("kube_validatingadmissionpolicybinding_validation_action", &["action"], &["Deny 1", "Audit 1"]),
        ],
    );
    check(
        "mutatingadmissionpolicybindings",
        &admission_policy_binding::mutating(&read(binding())),
        &[("kube_mutatingadmissionpolicybinding_info", labels, &["limits p shop Allow 1"])],
    );
}
