//! Random objects for the property tests.

use proptest::{collection::btree_map, collection::vec, option, prelude::*};
use serde_json::{Value, json};

/// An object without nulls (a merge patch can't set a null).
pub fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..5).prop_map(Value::from),
        "[a-c]".prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map("[a-d]", inner, 0..4)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into())
}

fn labels() -> impl Strategy<Value = Value> {
    btree_map("[a-c]", "[x-z]", 1..3).prop_map(|map| json!(map))
}

fn container(name: String) -> impl Strategy<Value = Value> {
    let env = btree_map("[A-C]", "[x-z]", 1..3);
    let ports = btree_map(80..84, "[a-z]{3}", 1..3);
    ("[a-z]:[1-3]", option::of(env), option::of(ports)).prop_map(move |(image, env, ports)| {
        let mut container = json!({"name": name, "image": image});
        if let Some(env) = env {
            container["env"] =
                env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        }
        if let Some(ports) = ports {
            let port = |(port, name)| json!({"containerPort": port, "protocol": "TCP", "name": name});
            container["ports"] = ports.into_iter().map(port).collect();
        }
        container
    })
}

/// A Deployment with labels, containers, their environment and ports.
pub fn deployment() -> impl Strategy<Value = Value> {
    let containers = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3)
        .prop_flat_map(|names| names.into_iter().map(|n| container(n.to_owned())).collect::<Vec<_>>());
    (option::of(labels()), option::of(0..5_i32), containers, option::of("[a-c]")).prop_map(
        |(labels, replicas, containers, host)| {
            let mut object = json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web", "namespace": "default"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": containers}}},
            });
            if let Some(labels) = labels {
                object["metadata"]["labels"] = labels;
            }
            if let Some(replicas) = replicas {
                object["spec"]["replicas"] = replicas.into();
            }
            if let Some(host) = host {
                object["spec"]["template"]["spec"]["hostname"] = host.into();
            }
            object
        },
    )
}

fn volume(name: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"name": name, "emptyDir": {"medium": "Memory"}})),
        "[a-c]".prop_map(move |path| json!({"name": name, "hostPath": {"path": path}})),
        "[a-c]".prop_map(
            move |of| json!({"name": name, "configMap": {"name": of, "items": [{"key": "k", "path": of}]}})
        ),
    ]
}

/// Some of these, in any order.
fn some_of<T: Clone + std::fmt::Debug + 'static>(all: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let n = all.len();
    proptest::sample::subsequence(all, 0..=n).prop_shuffle()
}

/// A Pod with lists of every sort: by name, by another key, sets, atomic ones.
pub fn pod() -> impl Strategy<Value = Value> {
    let containers = proptest::sample::subsequence(vec!["a", "b", "c"], 1..=3)
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(|n| container(n.to_owned())).collect::<Vec<_>>());
    let volumes =
        some_of(vec!["v", "w", "x"]).prop_flat_map(|names| names.into_iter().map(volume).collect::<Vec<_>>());
    let aliases = some_of(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        .prop_map(|ips| ips.iter().map(|ip| json!({"ip": ip, "hostnames": [ip]})).collect::<Value>());
    let finalizers = some_of(vec!["a.io/x", "b.io/x", "c.io/x"]);
    let tolerations = some_of(vec!["k", "l"])
        .prop_map(|keys| keys.iter().map(|key| json!({"key": key, "operator": "Exists"})).collect::<Value>());
    let selector = option::of(btree_map("[a-c]", "[x-z]", 0..3));
    (containers, volumes, aliases, finalizers, tolerations, selector, option::of(labels())).prop_map(
        |(containers, volumes, aliases, finalizers, tolerations, selector, labels)| {
            let mut pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "web", "finalizers": finalizers},
                "spec": {
                    "containers": containers, "volumes": volumes, "hostAliases": aliases, "tolerations": tolerations,
                },
            });
            if let Some(selector) = selector {
                pod["spec"]["nodeSelector"] = json!(selector);
            }
            if let Some(labels) = labels {
                pod["metadata"]["labels"] = labels;
            }
            pod
        },
    )
}

/// A Service: its ports are known by their number.
pub fn service() -> impl Strategy<Value = Value> {
    let ports = some_of(vec![80, 81, 82, 83]).prop_flat_map(|ports| {
        let named = |port| {
            ("[a-z]{3}", option::of(1..4_u16)).prop_map(move |(name, target)| match target {
                Some(target) => json!({"port": port, "name": name, "targetPort": target}),
                None => json!({"port": port, "name": name}),
            })
        };
        ports.into_iter().map(named).collect::<Vec<_>>()
    });
    (ports, option::of(labels()), some_of(vec!["10.1.0.1", "10.1.0.2"])).prop_map(
        |(ports, selector, external)| {
            let mut service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                "spec": {"ports": ports, "externalIPs": external},
            });
            if let Some(selector) = selector {
                service["spec"]["selector"] = selector;
            }
            service
        },
    )
}
