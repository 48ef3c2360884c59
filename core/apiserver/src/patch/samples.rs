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
