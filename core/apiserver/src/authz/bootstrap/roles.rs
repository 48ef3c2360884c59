//! Roles of components and of everybody, and whom they are bound to.

use super::{ALL, CORE, CREATE, Fact, READ, RoleFact, at, on};

const EVENTS: &[&str] = &["create", "patch", "update"];
const EVENT_GROUPS: &[&str] = &["", "events.k8s.io"];
const KEEP: &[&str] = &["get", "list", "watch", "update", "patch"];
const COORDINATION: &[&str] = &["coordination.k8s.io"];
const REVIEWS: Fact = on(CREATE, &["authorization.k8s.io"], &["subjectaccessreviews"]);
const TOKEN_REVIEWS: Fact = on(CREATE, &["authentication.k8s.io"], &["tokenreviews"]);

const CERTIFICATES: &[&str] = &["certificates.k8s.io"];

/// A role that approves what one signer signs.
macro_rules! approver {
    ($name:literal, $signer:literal) => {
        RoleFact {
            name: $name,
            labels: &[],
            rules: &[Fact { names: &[$signer], ..on(&["approve"], CERTIFICATES, &["signers"]) }],
        }
    };
}

/// ClusterRoles bound to the subjects of the same entry, by a binding of the same name.
pub const BINDINGS: &[(&str, &[&str])] = &[
    ("cluster-admin", &["group:system:masters"]),
    ("system:basic-user", &["group:system:authenticated"]),
    ("system:discovery", &["group:system:authenticated"]),
    ("system:kube-controller-manager", &["user:system:kube-controller-manager"]),
    ("system:kube-scheduler", &["user:system:kube-scheduler"]),
    ("system:kubelet-api-admin", &["user:kube-apiserver-kubelet-client"]),
    ("system:monitoring", &["group:system:monitoring"]),
    // Kubelets are authorized by the Node authorizer; who wants them to have more names them here.
    ("system:node", &[]),
    ("system:node-proxier", &["user:system:kube-proxy", "group:system:nodes"]),
    ("system:volume-scheduler", &["user:system:kube-scheduler"]),
    ("system:kube-dns", &["group:system:nodes"]),
    ("system:public-info-viewer", &["group:system:authenticated", "group:system:unauthenticated"]),
    ("tiphys:metrics", &["group:system:authenticated"]),
    ("system:service-account-issuer-discovery", &["group:system:serviceaccounts"]),
];

/// What every kubelet may. Its Node authorizer narrows most of it to what its Pods need.
const NODE: &[Fact] = &[
    TOKEN_REVIEWS,
    on(CREATE, &["authorization.k8s.io"], &["localsubjectaccessreviews", "subjectaccessreviews"]),
    on(READ, CORE, &["services"]),
    on(&["create", "get", "list", "watch"], CORE, &["nodes"]),
    on(&["patch", "update"], CORE, &["nodes/status"]),
    on(&["patch", "update"], CORE, &["nodes"]),
    on(EVENTS, EVENT_GROUPS, &["events"]),
    on(READ, CORE, &["pods"]),
    on(&["create", "delete"], CORE, &["pods"]),
    on(&["patch", "update"], CORE, &["pods/status"]),
    on(CREATE, CORE, &["pods/eviction"]),
    on(READ, CORE, &["configmaps", "secrets"]),
    on(&["get"], CORE, &["persistentvolumeclaims", "persistentvolumes"]),
    on(&["get"], CORE, &["endpoints"]),
    on(&["create", "get", "list", "watch"], CERTIFICATES, &["certificatesigningrequests"]),
    on(&["create", "delete", "get", "patch", "update"], COORDINATION, &["leases"]),
    on(&["get"], &["storage.k8s.io"], &["volumeattachments"]),
    on(CREATE, CORE, &["serviceaccounts/token"]),
    on(&["get", "patch", "update"], CORE, &["persistentvolumeclaims/status"]),
    on(READ, &["storage.k8s.io"], &["csidrivers"]),
    on(&["create", "delete", "get", "patch", "update"], &["storage.k8s.io"], &["csinodes"]),
    on(READ, &["node.k8s.io"], &["runtimeclasses"]),
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
    // What is there asks for rights of its own, in the namespaces that a request is about.
    RoleFact {
        name: "tiphys:metrics",
        labels: &[],
        rules: &[at(&["get", "post"], &["/prometheus/*", "/otlp/*", "/jaeger/*"])],
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
    RoleFact { name: "system:node", labels: &[], rules: NODE },
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
        name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        labels: &[],
        rules: &[on(CREATE, CERTIFICATES, &["certificatesigningrequests/nodeclient"])],
    },
    RoleFact {
        name: "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        labels: &[],
        rules: &[on(CREATE, CERTIFICATES, &["certificatesigningrequests/selfnodeclient"])],
    },
    approver!(
        "system:certificates.k8s.io:kube-apiserver-client-approver",
        "kubernetes.io/kube-apiserver-client"
    ),
    approver!(
        "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
        "kubernetes.io/kube-apiserver-client-kubelet"
    ),
    approver!("system:certificates.k8s.io:kubelet-serving-approver", "kubernetes.io/kubelet-serving"),
    approver!("system:certificates.k8s.io:legacy-unknown-approver", "kubernetes.io/legacy-unknown"),
    RoleFact {
        name: "system:kube-aggregator",
        labels: &[],
        rules: &[on(READ, CORE, &["endpoints", "services"])],
    },
    RoleFact {
        name: "system:node-problem-detector",
        labels: &[],
        rules: &[
            on(&["get"], CORE, &["nodes"]),
            on(&["patch"], CORE, &["nodes/status"]),
            on(EVENTS, EVENT_GROUPS, &["events"]),
        ],
    },
    RoleFact {
        name: "system:volume-scheduler",
        labels: &[],
        rules: &[
            on(KEEP, CORE, &["persistentvolumes"]),
            on(READ, &["storage.k8s.io"], &["storageclasses"]),
            on(KEEP, CORE, &["persistentvolumeclaims"]),
        ],
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
            Fact {
                names: &[
                    "kubernetes.io/kube-apiserver-client",
                    "kubernetes.io/kube-apiserver-client-kubelet",
                    "kubernetes.io/kubelet-serving",
                    "kubernetes.io/legacy-unknown",
                ],
                ..on(&["approve", "sign"], &["certificates.k8s.io"], &["signers"])
            },
            // Sums of roles are written by a controller that does not hold all of their rules.
            on(&["escalate"], &["rbac.authorization.k8s.io"], &["clusterroles"]),
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
