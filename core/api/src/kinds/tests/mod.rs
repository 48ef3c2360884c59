//! What holds for every kind, and small tables for single ones.

mod rules;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::{kind::Scope, schema};

fn kind(plural: &str) -> &'static Kind {
    all().iter().find(|k| k.plural == plural).unwrap()
}

fn defaulted(plural: &str, mut object: Value) -> Value {
    (kind(plural).default)(&mut object);
    object
}

fn errors(plural: &str, mut object: Value) -> Vec<String> {
    let kind = kind(plural);
    if object.get("metadata").is_none() {
        object["metadata"] = json!({"name": "a"});
    }
    if kind.is_namespaced() {
        object["metadata"]["namespace"] = json!("default");
    }
    (kind.default)(&mut object);
    kind.check_create(&object).iter().map(ToString::to_string).collect()
}

#[test]
fn names_are_unique_and_well_formed() {
    let mut seen = BTreeSet::new();
    for kind in all() {
        assert!(seen.insert((kind.group, kind.version, kind.plural)), "{} is there twice", kind.plural);
        assert_eq!(kind.singular, kind.kind.to_lowercase());
        assert!(kind.definition.ends_with(kind.kind) && kind.plural.starts_with(&kind.singular[..3]));
        assert_eq!(by_kind(&kind.api_version(), kind.kind).map(|k| k.plural), Some(kind.plural));
        if let Some(conversion) = &kind.stored_as {
            let group = if kind.plural == "events" { "" } else { kind.group };
            assert!(by_resource(group, conversion.version, kind.plural).is_some());
        }
    }
    assert_eq!(by_resource("apps", "v1", "deployments").map(|k| k.scope), Some(Scope::Namespaced));
    assert!(by_resource("apps", "v2", "deployments").is_none());
}

#[test]
fn nothing_is_too_odd_for_defaults_columns_and_validation() {
    let odd = [
        json!({}),
        json!({"metadata": null, "spec": null, "status": null}),
        json!({"metadata": [], "spec": "x", "status": 1, "data": [], "rules": {}, "subsets": [1, null]}),
        json!({"spec": {"template": [], "containers": {}, "metrics": [null], "ports": ["x"], "strategy": 1}}),
    ];
    for kind in all() {
        for object in &odd {
            let mut object = object.clone();
            (kind.default)(&mut object);
            let _ = kind.check_create(&object);
            (kind.prepare_create)(&mut object);
            let _ = kind.check_update(&object, &odd[0]);
            (kind.prepare_update)(&mut object, &odd[1]);
            kind.columns.iter().for_each(|column| drop((column.cell)(&object, 0)));
        }
    }
}

#[test]
fn defaults_and_new_status_fit_the_schema_and_are_idempotent() {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{
        "name": "a", "image": "a", "ports": [{"containerPort": 1}], "livenessProbe": {"httpGet": {"port": 1}},
    }], "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "s"}}]}});
    for kind in all() {
        let mut object = json!({"metadata": {"name": "a", "namespace": "b", "uid": "u"}});
        match kind.plural {
            "pods" => object["spec"] = template["spec"].clone(),
            "deployments"
            | "replicasets"
            | "daemonsets"
            | "statefulsets"
            | "jobs"
            | "replicationcontrollers" => {
                object["spec"] = json!({ "template": template });
            }
            _ => {}
        }
        (kind.default)(&mut object);
        let once = object.clone();
        (kind.default)(&mut object);
        assert_eq!(object, once, "{} defaults twice", kind.plural);
        (kind.prepare_create)(&mut object);
        let schema = schema::of(kind.definition).unwrap();
        let mut made = object.clone();
        assert_eq!(schema::check_as_written(&schema, &mut made), Ok(vec![]), "{}", kind.plural);
        assert_eq!(schema::check(&schema, &mut object), Ok(vec![]), "{}", kind.plural);
        assert_eq!(object, made, "{}: made with what is left out", kind.plural);
    }
}

#[test]
fn a_deployment_gets_what_users_expect() {
    let object = defaulted(
        "deployments",
        json!({"spec": {"template": {"spec": {"containers": [{"image": "web:1"}]}}}}),
    );
    let spec = &object["spec"];
    assert_eq!((spec["replicas"].as_i64(), spec["revisionHistoryLimit"].as_i64()), (Some(1), Some(10)));
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}})
    );
    assert_eq!(spec["template"]["spec"]["restartPolicy"], "Always");
    assert!(spec["template"]["spec"].get("enableServiceLinks").is_none());
    assert_eq!(spec["template"]["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
}

#[test]
fn the_common_mistakes_are_named() {
    let web = |labels: Value| json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let table = [
        (
            "deployments",
            json!({"spec": {"template": web(json!({"a": "b"}))}}),
            "spec.selector: Required value",
        ),
        (
            "deployments",
            json!({"spec": {"selector": {"matchLabels": {"a": "c"}}, "template": web(json!({"a": "b"}))}}),
            "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
        ),
        (
            "deployments",
            json!({"spec": {"replicas": -1, "selector": {"matchLabels": {"a": "b"}}, "template": web(json!({"a": "b"}))}}),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        ("services", json!({"spec": {}}), "spec.ports: Required value"),
        (
            "services",
            json!({"spec": {"ports": [{"port": 0}]}}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535",
        ),
        (
            "services",
            json!({"spec": {"ports": [{"port": 1}], "type": "Public"}}),
            "spec.type: Unsupported value: \"Public\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
        ),
        ("configmaps", json!({"data": {"a/b": ""}}), "data[a/b]: Invalid value: \"a/b\": a valid config key"),
        ("secrets", json!({"type": "kubernetes.io/tls"}), "data[tls.crt]: Required value"),
        (
            "horizontalpodautoscalers",
            json!({"spec": {"maxReplicas": 1, "minReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "a"}}}),
            "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`",
        ),
        ("rolebindings", json!({"roleRef": {"kind": "Role"}}), "roleRef.name: Required value"),
        (
            "roles",
            json!({"rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
            "rules[0].verbs: Required value",
        ),
        (
            "namespaces",
            json!({"metadata": {"name": "a.b"}}),
            "metadata.name: Invalid value: \"a.b\": a lowercase RFC 1123 label",
        ),
        (
            "ingresses",
            json!({"spec": {}}),
            "spec: Invalid value: {}: either `defaultBackend` or `rules` must be specified",
        ),
    ];
    for (plural, object, message) in table {
        let found = errors(plural, object);
        assert!(found.iter().any(|e| e.starts_with(message)), "{plural}: {found:?}");
    }
}

#[test]
fn what_may_not_change() {
    let table = [
        (
            "deployments",
            "spec",
            json!({"selector": {"matchLabels": {"a": "b"}}}),
            json!({"selector": {}}),
            "spec.selector",
        ),
        ("secrets", "type", json!("Opaque"), json!("other"), "type"),
        ("rolebindings", "roleRef", json!({"name": "a"}), json!({"name": "b"}), "roleRef"),
        ("endpointslices", "addressType", json!("IPv4"), json!("IPv6"), "addressType"),
    ];
    for (plural, field, old, new, wrong) in table {
        let (old, new) = (json!({ field: old }), json!({ field: new }));
        let found = (kind(plural).validate_update)(&new, &old);
        assert!(found.iter().any(|e| e.field == wrong), "{plural}: {found:?}");
        assert!((kind(plural).validate_update)(&old, &old).is_empty(), "{plural}");
    }
    let map = kind("configmaps");
    let old = json!({"immutable": true, "data": {"a": "b"}});
    let found = (map.validate_update)(&json!({"immutable": true, "data": {}}), &old);
    assert_eq!(found[0].to_string(), "data: Forbidden: field is immutable when `immutable` is set");
}

#[test]
fn rows_read_as_kubectl_shows_them() {
    let row = |plural: &str, object: &Value| -> Vec<String> {
        let shown =
            kind(plural).columns.iter().filter(|c| c.priority == 0 && c.name != "Age" && c.name != "Name");
        shown
            .map(|c| {
                (c.cell)(object, 1_000)
                    .as_str()
                    .map_or_else(|| (c.cell)(object, 1_000).to_string(), String::from)
            })
            .collect()
    };
    let node = json!({
        "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "x"}},
        "spec": {"unschedulable": true},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.37.0"}},
    });
    assert_eq!(
        row("nodes", &node),
        ["Ready,SchedulingDisabled", "control-plane,x", "v1.37.0"].map(String::from)
    );
    let service = json!({"spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.5",
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}, {"port": 53, "protocol": "UDP"}]}});
    assert_eq!(
        row("services", &service),
        ["LoadBalancer", "10.96.0.5", "<pending>", "80:30001/TCP,53/UDP"].map(String::from)
    );
    let deployment = json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3}});
    assert_eq!(row("deployments", &deployment), ["2/3", "3", "0"].map(String::from));
    let slice =
        json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["1.2.3.4"]}]});
    assert_eq!(row("endpointslices", &slice), ["IPv4", "80", "1.2.3.4"].map(String::from));
    let job =
        json!({"spec": {"completions": 3}, "status": {"succeeded": 1, "startTime": "1970-01-01T00:15:00Z"}});
    assert_eq!(row("jobs", &job), ["Running", "1/3", "100s"].map(String::from));
}

#[test]
fn string_data_becomes_data() {
    let secret = defaulted("secrets", json!({"data": {"a": "eA=="}, "stringData": {"a": "hello", "b": "c"}}));
    assert_eq!(secret, json!({"data": {"a": "aGVsbG8=", "b": "Yw=="}, "type": "Opaque"}));
}
