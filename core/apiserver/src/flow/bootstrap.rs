//! The levels and schemas that every cluster has: kube-apiserver's own. Pure data.
//!
//! The mandatory ones (`exempt`, `catch-all`) are kept as they are here; the
//! suggested ones as long as their annotation says so.

use serde_json::{Value, json};

const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";
pub const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const AUTHENTICATED: &str = "group:system:authenticated";
const UNAUTHENTICATED: &str = "group:system:unauthenticated";
const CONTROLLERS: &str = "user:system:kube-controller-manager";
const SCHEDULER: &str = "user:system:kube-scheduler";

/// Name, shares, percent that could be lent, queues, hand.
const LEVELS: &[(&str, i64, i64, i64, i64)] = &[
    ("system", 30, 33, 64, 6),
    ("node-high", 40, 25, 64, 6),
    ("leader-election", 10, 0, 16, 4),
    ("workload-high", 40, 50, 128, 6),
    ("workload-low", 100, 90, 128, 6),
    ("global-default", 20, 50, 128, 6),
];
const QUEUE_LENGTH: i64 = 50;

/// What a schema is about.
enum What {
    Everything,
    Probes,
    /// Verbs, groups and resources in all namespaces.
    Only(&'static [&'static str], &'static [(&'static str, &'static [&'static str])]),
    /// As `Only`, cluster-scoped ones too.
    OnlyOfNodes,
}

struct Fact {
    name: &'static str,
    level: &'static str,
    precedence: i64,
    method: &'static str,
    subjects: &'static [&'static str],
    what: What,
}

const LEADER_VERBS: &[&str] = &["get", "create", "update"];
const LEASES: (&str, &[&str]) = ("coordination.k8s.io", &["leases"]);

const SCHEMAS: &[Fact] = &[
    Fact {
        name: "system-nodes",
        level: "system",
        precedence: 500,
        method: "ByUser",
        subjects: &["group:system:nodes"],
        what: What::Everything,
    },
    Fact {
        name: "system-node-high",
        level: "node-high",
        precedence: 400,
        method: "ByUser",
        subjects: &["group:system:nodes"],
        what: What::OnlyOfNodes,
    },
    Fact {
        name: "probes",
        level: "exempt",
        precedence: 2,
        method: "",
        subjects: &[UNAUTHENTICATED, AUTHENTICATED],
        what: What::Probes,
    },
    Fact {
        name: "system-leader-election",
        level: "leader-election",
        precedence: 100,
        method: "ByUser",
        subjects: &[CONTROLLERS, SCHEDULER],
        what: What::Only(LEADER_VERBS, &[LEASES]),
    },
    Fact {
        name: "workload-leader-election",
        level: "leader-election",
        precedence: 200,
        method: "ByUser",
        subjects: &["account:kube-system:*"],
        what: What::Only(LEADER_VERBS, &[("", &["endpoints", "configmaps"]), LEASES]),
    },
    Fact {
        name: "endpoint-controller",
        level: "workload-high",
        precedence: 150,
        method: "ByUser",
        subjects: &[CONTROLLERS, "account:kube-system:endpoint-controller"],
        what: What::Only(LEADER_VERBS, &[("", &["endpoints"])]),
    },
    Fact {
        name: "kube-controller-manager",
        level: "workload-high",
        precedence: 800,
        method: "ByNamespace",
        subjects: &[CONTROLLERS],
        what: What::Everything,
    },
    Fact {
        name: "kube-scheduler",
        level: "workload-high",
        precedence: 800,
        method: "ByNamespace",
        subjects: &[SCHEDULER],
        what: What::Everything,
    },
    Fact {
        name: "kube-system-service-accounts",
        level: "workload-high",
        precedence: 900,
        method: "ByNamespace",
        subjects: &["account:kube-system:*"],
        what: What::Everything,
    },
    Fact {
        name: "service-accounts",
        level: "workload-low",
        precedence: 9000,
        method: "ByUser",
        subjects: &["group:system:serviceaccounts"],
        what: What::Everything,
    },
    Fact {
        name: "global-default",
        level: "global-default",
        precedence: 9900,
        method: "ByUser",
        subjects: &[UNAUTHENTICATED, AUTHENTICATED],
        what: What::Everything,
    },
];

const EXEMPT: Fact = Fact {
    name: "exempt",
    level: "exempt",
    precedence: 1,
    method: "",
    subjects: &["group:system:masters"],
    what: What::Everything,
};
const CATCH_ALL: Fact = Fact {
    name: "catch-all",
    level: "catch-all",
    precedence: 10_000,
    method: "ByUser",
    subjects: &[UNAUTHENTICATED, AUTHENTICATED],
    what: What::Everything,
};

pub fn mandatory() -> Vec<Value> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let limited =
        json!({"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}});
    vec![
        object("PriorityLevelConfiguration", "exempt", exempt),
        object("PriorityLevelConfiguration", "catch-all", json!({"type": "Limited", "limited": limited})),
        schema(&EXEMPT),
        schema(&CATCH_ALL),
    ]
}

pub fn suggested() -> Vec<Value> {
    let levels = LEVELS.iter().map(|(name, shares, lendable, queues, hand)| {
        let queuing = json!({"queues": queues, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH});
        let limited = json!({
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": {"type": "Queue", "queuing": queuing},
        });
        object("PriorityLevelConfiguration", name, json!({"type": "Limited", "limited": limited}))
    });
    levels.chain(SCHEMAS.iter().map(schema)).collect()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}},
        "spec": spec,
    })
}

fn schema(fact: &Fact) -> Value {
    let subjects: Vec<Value> = fact.subjects.iter().map(|text| subject(text)).collect();
    let mut rule = json!({"subjects": subjects});
    let everywhere = |verbs: &[&str], group: &str, resources: &[&str]| json!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
    match &fact.what {
        What::Everything => {
            let mut all = everywhere(&["*"], "*", &["*"]);
            all["clusterScope"] = true.into();
            rule["resourceRules"] = json!([all]);
            rule["nonResourceRules"] = json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
        }
        What::Probes => {
            rule["nonResourceRules"] =
                json!([{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]);
        }
        What::Only(verbs, resources) => {
            let rules = resources.iter().map(|(group, resources)| everywhere(verbs, group, resources));
            rule["resourceRules"] = rules.collect::<Vec<_>>().into();
        }
        What::OnlyOfNodes => {
            let mut nodes = everywhere(&["*"], "", &["nodes", "nodes/status"]);
            nodes["clusterScope"] = true.into();
            rule["resourceRules"] = json!([nodes, everywhere(&["*"], LEASES.0, LEASES.1)]);
        }
    }
    let mut spec = json!({
        "priorityLevelConfiguration": {"name": fact.level},
        "matchingPrecedence": fact.precedence,
        "rules": [rule],
    });
    if !fact.method.is_empty() {
        spec["distinguisherMethod"] = json!({"type": fact.method});
    }
    object("FlowSchema", fact.name, spec)
}

/// `user:NAME`, `group:NAME`, `account:NAMESPACE:NAME`.
fn subject(text: &str) -> Value {
    let (kind, name) = text.split_once(':').unwrap_or(("user", text));
    match kind {
        "group" => json!({"kind": "Group", "group": {"name": name}}),
        "account" => {
            let (namespace, name) = name.split_once(':').unwrap_or((name, "*"));
            json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}})
        }
        _ => json!({"kind": "User", "user": {"name": name}}),
    }
}
