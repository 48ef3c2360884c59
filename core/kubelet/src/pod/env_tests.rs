//! Tables for variables, their expansion, and service links.

use serde_json::json;

use super::*;

#[test]
fn references_are_expanded() {
    let check = |text: &str, expected: &str| {
        let value = |name: &str| (name == "A").then(|| "1".to_owned());
        assert_eq!(expand(text, value), expected, "{text}");
    };
    check("$(A)", "1");
    check("x$(A)y$(A)", "x1y1");
    check("$(B)", "$(B)");
    check("$$(A)", "$(A)");
    check("$$$(A)", "$1");
    check("$A", "$A");
    check("$(A", "$(A");
    check("100$", "100$");
}

fn made(container: serde_json::Value, sources: &Sources) -> Result<Vec<(String, String)>, String> {
    let pod = json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": {"containers": [container]}});
    let pod: Pod = serde_json::from_value(pod).expect("a Pod");
    let links = vec![("KUBERNETES_SERVICE_HOST".to_owned(), "10.96.0.1".to_owned())];
    variables(&pod, &spec::of(&pod).containers[0], &NodeFacts::default(), sources, links)
}

fn sources() -> Sources {
    let mut sources = Sources::default();
    let map = [("key", "value"), ("other", "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    sources.config_maps.insert("settings".into(), Some(map.into()));
    sources.secrets.insert("login".into(), Some([("password".to_owned(), b"hunter2".to_vec())].into()));
    sources.secrets.insert("gone".into(), None);
    sources
}

#[test]
fn later_variables_see_and_replace_earlier_ones() {
    let container = json!({"name": "a", "envFrom": [{"prefix": "S_", "configMapRef": {"name": "settings"}}], "env": [
        {"name": "FROM", "value": "$(S_key)-$(KUBERNETES_SERVICE_HOST)"},
        {"name": "S_other", "value": "y"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "x", "optional": true}}},
    ]});
    let variables = made(container, &sources()).expect("variables");
    let get = |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    assert_eq!(get("FROM"), Some("value-10.96.0.1"));
    assert_eq!(get("S_other"), Some("y"));
    assert_eq!(get("PASSWORD"), Some("hunter2"));
    assert_eq!(get("NAME"), Some("web"));
    assert_eq!(get("MAYBE"), None);
}

#[test]
fn what_is_missing_is_named() {
    let check = |from: serde_json::Value, part: &str| {
        let container = json!({"name": "a", "env": [{"name": "X", "valueFrom": from}]});
        let error = made(container, &sources()).expect_err(part);
        assert!(error.contains(part), "{error}");
    };
    check(json!({"secretKeyRef": {"name": "gone", "key": "x"}}), "secret \"gone\" not found");
    check(json!({"secretKeyRef": {"name": "login", "key": "x"}}), "couldn't find key x in Secret ns/login");
    check(json!({"configMapKeyRef": {"name": "no", "key": "x"}}), "configmap \"no\" not found");
    check(json!({"fieldRef": {"fieldPath": "spec"}}), "unsupported fieldPath");
}

#[test]
fn services_become_links() {
    let service = |namespace: &str, name: &str, address: &str| -> Service {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": address, "ports": [{"port": 80, "name": "http", "protocol": "TCP"}]},
        }))
        .expect("a Service")
    };
    let services = [
        service("ns", "web-api", "10.96.1.1"),
        service("ns", "headless", "None"),
        service("other", "far", "10.96.1.2"),
        service("default", "kubernetes", "10.96.0.1"),
    ];
    let pod = |links: bool| -> Pod {
        let spec = json!({"containers": [], "enableServiceLinks": links});
        serde_json::from_value(json!({"metadata": {"namespace": "ns"}, "spec": spec})).expect("a Pod")
    };
    let all = service_links(&pod(true), services.iter());
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"WEB_API_SERVICE_HOST") && names.contains(&"KUBERNETES_SERVICE_PORT_HTTP"));
    assert!(all.contains(&("WEB_API_PORT_80_TCP".into(), "tcp://10.96.1.1:80".into())));
    assert!(!names.iter().any(|name| name.starts_with("HEADLESS") || name.starts_with("FAR")));
    let few = service_links(&pod(false), services.iter());
    assert!(few.iter().all(|(name, _)| name.starts_with("KUBERNETES_")) && !few.is_empty());
}
