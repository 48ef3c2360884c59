//! Roles of components and of everybody, and whom they are bound to.

use super::{ALL, CORE, CREATE, Fact, READ, RoleFact, WRITE, at, on};

const EVENTS: &[&str] = &["create", "patch", "update"];
const EVENT_GROUPS: &[&str] = &["", "events.k8s.io"];
const KEEP: &[&str] = &["get", "list", "watch", "update", "patch"];
const COORDINATION: &[&str] = &["coordination.k8s.io"];
const REVIEWS: Fact = on(CREATE, &["authorization.k8s.io"], &["subjectaccessreviews"]);
const TOKEN_REVIEWS: Fact = on(CREATE, &["authentication.k8s.io"], &["tokenreviews"]);

/// ClusterRoles bound to the subjects of the same entry, by a binding of the same name.
pub const BINDINGS: &[(&str, &[&str])] = &[
    ("cluster-admin", &["group:system:masters"]),
    ("system:basic-user", &["group:system:authenticated"]),
    ("system:discovery", &["group:system:authenticated"]),
    ("system:kube-controller-manager", &["user:system:kube-controller-manager"]),
    ("system:kube-scheduler", &["user:system:kube-scheduler"]),
    ("system:kubelet-api-admin", &["user:kube-apiserver-kubelet-client"]),
    ("system:monitoring", &["group:system:monitoring"]),
    ("system:node-proxier", &["user:system:kube-proxy", "group:system:nodes"]),
    ("system:kube-dns", &["group:system:nodes"]),
    ("system:public-info-viewer", &["group:system:authenticated", "group:system:unauthenticated"]),
    ("system:service-account-issuer-discovery", &["group:system:serviceaccounts"]),
];

pub const ROLES: &[RoleFact] = &[
    RoleFact { name: "cluster-admin", labels: &[], rules: &[on(ALL, ALL, ALL), at(ALL, ALL)] },
    RoleFact {
        name: "system:discovery",
        labels: &[],
        rules: &[at(
            &["get"],
            &[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/healthz",
                "/livez",
                "/openapi",
                "/openapi/*",
                "/readyz",
                "/version",
                "/version/",
            ],
        )],
    },
    RoleFact {
        name: "system:public-info-viewer",
        labels: &[],
        rules: &[at(&["get"], &["/healthz", "/livez", "/readyz", "/version", "/version/"])],
    },
    RoleFact {
        name: "system:basic-user",
        labels: &[],
        rules: &[
            on(CREATE, &["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
            on(CREATE, &["authentication.k8s.io"], &["selfsubjectreviews"]),
        ],
    },
    RoleFact {
        name: "system:monitoring",
        labels: &[],
        rules: &[at(
            &["get"],
            &[
                "/healthz",
                "/healthz/*",
                "/livez",
                "/livez/*",
                "/metrics",
                "/metrics/slis",
                "/readyz",
                "/readyz/*",
            ],
        )],
    },
    RoleFact {
        name: "system:service-account-issuer-discovery",
        labels: &[],
        rules: &[at(
            &["get"],
            &[
                "/.well-known/openid-configuration",
                "/.well-known/openid-configuration/",
                "/openid/v1/jwks",
                "/openid/v1/jwks/",
            ],
        )],
    },
    RoleFact { name: "system:auth-delegator", labels: &[], rules: &[TOKEN_REVIEWS, REVIEWS] },
    RoleFact {
        name: "system:kubelet-api-admin",
        labels: &[],
        rules: &[
            on(&["get", "list", "watch"], CORE, &["nodes"]),
            on(&["proxy"], CORE, &["nodes"]),
            on(
                ALL,
                CORE,
                &[
                    "nodes/proxy",
                    "nodes/metrics",
                    "nodes/stats",
                    "nodes/log",
                    "nodes/spec",
                    "nodes/checkpoint",
                    "nodes/configz",
                    "nodes/healthz",
                    "nodes/pods",
                ],
            ),
        ],
    },
    // Bound to nobody: kubelets are authorized by the Node authorizer. It stays for those who look for it.
    RoleFact { name: "system:node", labels: &[], rules: &[TOKEN_REVIEWS, REVIEWS] },
    RoleFact {
        name: "system:node-bootstrapper",
        labels: &[],
        rules: &[on(
            &["create", "get", "list", "watch"],
            &["certificates.k8s.io"],
            &["certificatesigningrequests"],
        )],
    },
    RoleFact {
        name: "system:node-proxier",
        labels: &[],
        rules: &[
            on(&["list", "watch"], CORE, &["services", "endpoints"]),
            on(READ, CORE, &["nodes"]),
            on(EVENTS, EVENT_GROUPS, &["events"]),
            on(&["list", "watch"], &["discovery.k8s.io"], &["endpointslices"]),
            on(&["list", "watch"], &["networking.k8s.io"], &["servicecidrs"]),
        ],
    },
    RoleFact {
        name: "system:kube-dns",
        labels: &[],
        rules: &[
            on(&["list", "watch"], CORE, &["endpoints", "services", "namespaces", "pods"]),
            on(&["list", "watch"], &["discovery.k8s.io"], &["endpointslices"]),
        ],
    },
    RoleFact {
        name: "system:kube-scheduler",
        labels: &[],
        rules: &[
            on(EVENTS, EVENT_GROUPS, &["events"]),
            on(CREATE, COORDINATION, &["leases"]),
            Fact {
                names: &["kube-scheduler"],
                ..on(&["get", "list", "update", "watch"], COORDINATION, &["leases"])
            },
            on(READ, CORE, &["nodes", "namespaces", "replicationcontrollers", "services"]),
            on(&["delete", "get", "list", "watch"], CORE, &["pods"]),
            on(CREATE, CORE, &["bindings", "pods/binding"]),
            on(&["patch", "update"], CORE, &["pods/status"]),
            on(READ, &["apps", "extensions"], &["replicasets"]),
            on(READ, &["apps"], &["statefulsets"]),
            on(READ, &["policy"], &["poddisruptionbudgets"]),
            on(KEEP, CORE, &["persistentvolumeclaims", "persistentvolumes"]),
            on(
                READ,
                &["storage.k8s.io"],
                &["csinodes", "csidrivers", "csistoragecapacities", "storageclasses", "volumeattachments"],
            ),
            on(READ, &["scheduling.k8s.io"], &["priorityclasses"]),
            TOKEN_REVIEWS,
            REVIEWS,
        ],
    },
    // All controllers run as this one user, so it has what upstream gives to the
    // accounts of the single controllers: garbage collection and the end of a
    // namespace reach every resource.
    RoleFact {
        name: "system:kube-controller-manager",
        labels: &[],
        rules: &[
            on(&["get", "list", "watch", "patch", "update", "delete", "deletecollection"], ALL, ALL),
            on(EVENTS, EVENT_GROUPS, &["events"]),
            on(
                CREATE,
                CORE,
                &[
                    "configmaps",
                    "endpoints",
                    "persistentvolumeclaims",
                    "persistentvolumes",
                    "pods",
                    "secrets",
                    "serviceaccounts",
                    "serviceaccounts/token",
                    "pods/eviction",
                ],
            ),
            on(CREATE, &["apps"], &["controllerrevisions", "replicasets"]),
            on(CREATE, &["batch"], &["jobs"]),
            on(CREATE, &["discovery.k8s.io"], &["endpointslices"]),
            on(CREATE, COORDINATION, &["leases"]),
            on(READ, &["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"], ALL),
            on(WRITE, &["certificates.k8s.io"], &["certificatesigningrequests/approval"]),
            TOKEN_REVIEWS,
            REVIEWS,
        ],
    },
    RoleFact {
        name: "system:persistent-volume-provisioner",
        labels: &[],
        rules: &[
            on(&["create", "delete", "get", "list", "watch"], CORE, &["persistentvolumes"]),
            on(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            on(READ, &["storage.k8s.io"], &["storageclasses"]),
            on(&["create", "patch", "update", "watch"], CORE, &["events"]),
        ],
    },
];
