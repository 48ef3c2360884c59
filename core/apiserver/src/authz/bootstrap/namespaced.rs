//! Roles of kube-system: what components and extension servers may there and nowhere else.

use serde_json::{Value, json};

use super::{API_VERSION, CORE, Fact, metadata, on, rule};
use crate::authz::RBAC_GROUP;

const NAMESPACE: &str = "kube-system";
const LEASES: &[&str] = &["coordination.k8s.io"];

/// A Role and, with a user, the RoleBinding of the same name.
struct Local {
    name: &'static str,
    rules: &'static [Fact],
    user: &'static str,
}

const ROLES: &[Local] = &[
    Local {
        name: "extension-apiserver-authentication-reader",
        rules: &[Fact {
            names: &["extension-apiserver-authentication"],
            ..on(&["get", "list", "watch"], CORE, &["configmaps"])
        }],
        user: "",
    },
    Local {
        name: "system::leader-locking-kube-controller-manager",
        rules: &[
            on(&["watch"], CORE, &["configmaps"]),
            Fact { names: &["kube-controller-manager"], ..on(&["get", "update"], CORE, &["configmaps"]) },
            on(&["create", "list", "watch"], LEASES, &["leases"]),
            Fact { names: &["kube-controller-manager"], ..on(&["get", "update"], LEASES, &["leases"]) },
        ],
        user: "system:kube-controller-manager",
    },
    Local {
        name: "system::leader-locking-kube-scheduler",
        rules: &[
            on(&["watch"], CORE, &["configmaps"]),
            Fact { names: &["kube-scheduler"], ..on(&["get", "update"], CORE, &["configmaps"]) },
            on(&["create", "list", "watch"], LEASES, &["leases"]),
            Fact { names: &["kube-scheduler"], ..on(&["get", "update"], LEASES, &["leases"]) },
        ],
        user: "system:kube-scheduler",
    },
];

pub fn objects() -> Vec<Value> {
    let place = |name: &str| {
        let mut metadata = metadata(name, &[]);
        metadata["namespace"] = NAMESPACE.into();
        metadata
    };
    let mut objects = Vec::new();
    for role in ROLES {
        let rules: Vec<_> = role.rules.iter().map(rule).collect();
        let metadata = place(role.name);
        objects
            .push(json!({"apiVersion": API_VERSION, "kind": "Role", "metadata": metadata, "rules": rules}));
        if role.user.is_empty() {
            continue;
        }
        objects.push(json!({
            "apiVersion": API_VERSION,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": { "apiGroup": RBAC_GROUP, "kind": "Role", "name": role.name },
            "subjects": [{ "apiGroup": RBAC_GROUP, "kind": "User", "name": role.user }],
        }));
    }
    objects
}
