//! `admin`, `edit` and `view`: made of parts, to which others can add by a label.

use super::{CORE, CREATE, READ, RoleFact, WRITE, on};

const TO_ADMIN: &str = "rbac.authorization.k8s.io/aggregate-to-admin";
const TO_EDIT: &str = "rbac.authorization.k8s.io/aggregate-to-edit";
const TO_VIEW: &str = "rbac.authorization.k8s.io/aggregate-to-view";

/// A role that is the sum of all roles with the label `to`.
pub struct Aggregated {
    pub name: &'static str,
    pub labels: &'static [&'static str],
    pub to: &'static str,
}

pub const AGGREGATED: &[Aggregated] = &[
    Aggregated { name: "admin", labels: &[], to: TO_ADMIN },
    Aggregated { name: "edit", labels: &[TO_ADMIN], to: TO_EDIT },
    Aggregated { name: "view", labels: &[TO_EDIT], to: TO_VIEW },
];

const APPS: &[&str] = &["apps"];
const APPS_WRITTEN: &[&str] = &[
    "daemonsets",
    "deployments",
    "deployments/rollback",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
];
const RESOURCE: &[&str] = &["resource.k8s.io"];
const NETWORKING: &[&str] = &["networking.k8s.io"];

pub const PARTS: &[RoleFact] = &[
    RoleFact {
        name: "system:aggregate-to-admin",
        labels: &[TO_ADMIN],
        rules: &[
            on(CREATE, &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
            on(READ, &["rbac.authorization.k8s.io"], &["rolebindings", "roles"]),
            on(WRITE, &["rbac.authorization.k8s.io"], &["rolebindings", "roles"]),
        ],
    },
    RoleFact {
        name: "system:aggregate-to-edit",
        labels: &[TO_EDIT],
        rules: &[
            on(
                READ,
                CORE,
                &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"],
            ),
            on(&["impersonate"], CORE, &["serviceaccounts"]),
            on(WRITE, CORE, &["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"]),
            on(CREATE, CORE, &["pods/eviction", "serviceaccounts/token"]),
            on(
                WRITE,
                CORE,
                &[
                    "configmaps",
                    "events",
                    "persistentvolumeclaims",
                    "replicationcontrollers",
                    "replicationcontrollers/scale",
                    "secrets",
                    "serviceaccounts",
                    "services",
                    "services/proxy",
                ],
            ),
            on(WRITE, APPS, APPS_WRITTEN),
            on(WRITE, &["autoscaling"], &["horizontalpodautoscalers"]),
            on(WRITE, &["batch"], &["cronjobs", "jobs"]),
            on(WRITE, &["policy"], &["poddisruptionbudgets"]),
            on(WRITE, NETWORKING, &["ingresses", "networkpolicies"]),
            on(READ, &["coordination.k8s.io"], &["leases"]),
            on(WRITE, &["coordination.k8s.io"], &["leases"]),
            on(WRITE, RESOURCE, &["resourceclaims", "resourceclaimtemplates"]),
        ],
    },
    RoleFact {
        name: "system:aggregate-to-view",
        labels: &[TO_VIEW],
        rules: &[
            on(
                READ,
                CORE,
                &[
                    "configmaps",
                    "endpoints",
                    "persistentvolumeclaims",
                    "persistentvolumeclaims/status",
                    "pods",
                    "replicationcontrollers",
                    "replicationcontrollers/scale",
                    "serviceaccounts",
                    "services",
                    "services/status",
                ],
            ),
            on(
                READ,
                CORE,
                &[
                    "bindings",
                    "events",
                    "limitranges",
                    "namespaces/status",
                    "pods/log",
                    "pods/status",
                    "replicationcontrollers/status",
                    "resourcequotas",
                    "resourcequotas/status",
                ],
            ),
            on(READ, CORE, &["namespaces"]),
            on(READ, &["events.k8s.io"], &["events"]),
            on(READ, &["discovery.k8s.io"], &["endpointslices"]),
            on(READ, APPS, APPS_WRITTEN),
            on(
                READ,
                APPS,
                &[
                    "controllerrevisions",
                    "daemonsets/status",
                    "deployments/status",
                    "replicasets/status",
                    "statefulsets/status",
                ],
            ),
            on(READ, &["autoscaling"], &["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
            on(READ, &["batch"], &["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
            on(READ, &["policy"], &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
            on(READ, NETWORKING, &["ingresses", "ingresses/status", "networkpolicies"]),
            on(READ, RESOURCE, &["resourceclaims", "resourceclaims/status", "resourceclaimtemplates"]),
        ],
    },
    RoleFact {
        name: "system:aggregated-metrics-reader",
        labels: &[TO_VIEW],
        rules: &[on(READ, &["metrics.k8s.io"], &["nodes", "pods"])],
    },
];
