//! Worlds, and the targets in them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::scrape::{access::Kept, expose::Format, target::Reach};

fn one<T: serde::de::DeserializeOwned>(object: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(object).expect("an object"))
}

fn pod(namespace: &str, name: &str, ip: &str, annotations: Value) -> Arc<LeanPod> {
    one(json!({
        "metadata": {"name": name, "namespace": namespace, "uid": name, "annotations": annotations,
            "labels": {"app": "web", "app.kubernetes.io/part-of": "all"}},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "side", "image": "s"},
            {"name": "main", "image": "i", "ports": [
                {"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
        ]},
        "status": {"phase": "Running", "podIP": ip},
    }))
}

fn service(namespace: &str, name: &str, annotations: Value) -> Arc<Service> {
    one(json!({"metadata": {"name": name, "namespace": namespace, "annotations": annotations,
        "labels": {"app": "web", "team": "blue"}}}))
}

fn slice(namespace: &str, service: &str, pod: &str, ip: &str) -> Arc<EndpointSlice> {
    one(json!({
        "metadata": {"name": format!("{service}-x"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": 8080}, {"name": "metrics", "port": 9090}],
        "endpoints": [{"addresses": [ip], "nodeName": "n1", "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace}}],
    }))
}

fn world() -> World {
    World {
        pods: vec![pod("shop", "web-1", "10.0.0.1", json!({})), pod("ops", "web-2", "10.0.0.2", json!({}))],
        services: vec![service("shop", "web", json!({})), service("ops", "web", json!({}))],
        slices: vec![slice("shop", "web", "web-1", "10.0.0.1"), slice("ops", "web", "web-2", "10.0.0.2")],
        namespaces: vec![one(json!({"metadata": {"name": "shop"}}))],
        nodes: Vec::new(),
        service_monitors: Vec::new(),
        pod_monitors: Vec::new(),
    }
}

fn monitor<T: serde::de::DeserializeOwned>(kind: &str, namespace: &str, spec: Value) -> Arc<T> {
    one(json!({"apiVersion": "monitoring.coreos.com/v1", "kind": kind,
        "metadata": {"name": "m", "namespace": namespace}, "spec": spec}))
}

/// Each target as `pool url labels`.
fn targets(world: &World) -> Vec<String> {
    let found = find(world, &own::Own::default());
    assert_eq!(found.problems, []);
    let told = |target: &Target| format!("{} {} {}", target.job.name, target.url, target.labels);
    found.targets.iter().map(told).collect()
}

#[test]
fn annotations_say_what_is_scraped() {
    let mut world = world();
    world.pods = vec![
        pod(
            "shop",
            "a",
            "10.0.0.1",
            json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
            "prometheus.io/path": "/m", "prometheus.io/scheme": "https"}),
        ),
        pod("shop", "b", "10.0.0.2", json!({"prometheus.io/scrape": "true"})),
        pod("shop", "c", "10.0.0.3", json!({"prometheus.io/scrape": "false"})),
        pod("shop", "no-address", "", json!({"prometheus.io/scrape": "true"})),
    ];
    world.services =
        vec![service("ops", "web", json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}))];
    assert_eq!(
        targets(&world),
        [
            r#"kubernetes-pods https://10.0.0.1:9090/m {container="main", instance="10.0.0.1:9090", job="kubernetes-pods", namespace="shop", node="n1", pod="a"}"#,
            r#"kubernetes-pods http://10.0.0.2:8080/metrics {container="main", instance="10.0.0.2:8080", job="kubernetes-pods", namespace="shop", node="n1", pod="b"}"#,
            r#"kubernetes-pods http://10.0.0.2:9090/metrics {container="main", instance="10.0.0.2:9090", job="kubernetes-pods", namespace="shop", node="n1", pod="b"}"#,
            r#"kubernetes-service-endpoints http://10.0.0.2:9090/metrics {instance="10.0.0.2:9090", job="kubernetes-service-endpoints", namespace="ops", node="n1", service="web"}"#,
        ]
    );
    world.pods = vec![pod(
        "shop",
        "a",
        "10.0.0.1",
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "web"}),
    )];
    let found = find(&world, &own::Own::default());
    assert!(found.problems[0].message.contains("\"web\" is no port"), "{:?}", found.problems);
}

#[test]
fn a_service_monitor_finds_endpoints_as_the_operator_does() {
    let mut world = world();
    let spec = json!({
        "jobLabel": "team", "targetLabels": ["app"], "podTargetLabels": ["app.kubernetes.io/part-of"],
        "selector": {"matchLabels": {"app": "web"}},
        "endpoints": [{"port": "metrics", "interval": "30s", "path": "/x", "params": {"module": ["a", "b"]},
            "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "where"}]}],
    });
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec.clone())];
    let shop = r#"serviceMonitor/shop/m/0 http://10.0.0.1:9090/x?module=a&module=b {app="web", app_kubernetes_io_part_of="all", container="main", endpoint="metrics", instance="10.0.0.1:9090", job="blue", namespace="shop", pod="web-1", service="web", where="n1"}"#;
    assert_eq!(targets(&world), [shop]);
    let found = find(&world, &own::Own::default());
    assert_eq!(found.targets[0].job.interval, std::time::Duration::from_secs(30));
    // Other namespaces only where they are named.
    for (selector, count) in [(json!({"any": true}), 2), (json!({"matchNames": ["ops"]}), 1), (json!({}), 1)]
    {
        let mut spec = spec.clone();
        spec["namespaceSelector"] = selector;
        world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
        assert_eq!(targets(&world).len(), count);
    }
    // A port of the container, by name and by number; without a word of one all of the Service's.
    for (endpoint, ports) in [
        (json!({"targetPort": "http"}), vec![":8080"]),
        (json!({"targetPort": 9090}), vec![":9090"]),
        (json!({"port": "none"}), vec![]),
        (json!({}), vec![":8080", ":9090"]),
    ] {
        let spec = json!({"selector": {}, "endpoints": [endpoint]});
        world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
        let found = targets(&world);
        assert_eq!(found.len(), ports.len());
        assert!(found.iter().zip(ports).all(|(target, port)| target.contains(port)));
    }
}

#[test]
fn a_pod_monitor_finds_pods() {
    let mut world = world();
    let spec = json!({
        "selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]},
        "podMetricsEndpoints": [{"port": "metrics"}, {"portNumber": 8080, "scheme": "HTTPS"}, {"port": "none"}],
    });
    world.pod_monitors = vec![monitor("PodMonitor", "shop", spec)];
    assert_eq!(
        targets(&world),
        [
            r#"podMonitor/shop/m/0 http://10.0.0.1:9090/metrics {container="main", endpoint="metrics", instance="10.0.0.1:9090", job="shop/m", namespace="shop", pod="web-1"}"#,
            r#"podMonitor/shop/m/1 https://10.0.0.1:8080/metrics {container="main", endpoint="http", instance="10.0.0.1:8080", job="shop/m", namespace="shop", pod="web-1"}"#,
        ]
    );
}

/// A Pod whose containers both have a port of that name, and one a second time for UDP.
fn twice() -> Arc<LeanPod> {
    one(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "a", "image": "i", "ports": [{"name": "metrics", "containerPort": 9090},
                {"name": "metrics-udp", "containerPort": 9090, "protocol": "UDP"}]},
            {"name": "b", "image": "i", "ports": [{"name": "metrics", "containerPort": 9191}]},
        ]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }))
}

#[test]
fn a_pod_monitor_takes_each_port_that_is_meant() {
    let check = |pod: Arc<LeanPod>, endpoint: Value, wanted: &[&str]| {
        let mut world = world();
        world.pods = vec![pod];
        let spec = json!({"selector": {}, "podMetricsEndpoints": [endpoint]});
        world.pod_monitors = vec![monitor("PodMonitor", "shop", spec)];
        let found = find(&world, &own::Own::default());
        let told = |target: &Target| {
            let of = |name| target.labels.get(name).unwrap_or("-");
            format!("{} {} {}", target.url, of("container"), of("endpoint"))
        };
        assert_eq!(found.problems, []);
        assert_eq!(found.targets.iter().map(told).collect::<Vec<_>>(), wanted, "{endpoint}");
    };
    let first = "http://10.0.0.1:9090/metrics a metrics";
    let second = "http://10.0.0.1:9191/metrics b metrics";
    check(twice(), json!({"port": "metrics"}), &[first, second]);
    check(twice(), json!({"targetPort": "metrics"}), &[first, second]);
    check(twice(), json!({"targetPort": 9191}), &[second]);
    check(twice(), json!({}), &[first, second]);
    let web = || pod("shop", "web-1", "10.0.0.1", json!({}));
    let all = [
        "http://10.0.0.1:8080/metrics main http",
        "http://10.0.0.1:9090/metrics main metrics",
        "http://10.0.0.1:53/metrics main dns",
        // It declares no port.
        "http://10.0.0.1/metrics side -",
    ];
    check(web(), json!({}), &all);
    let port = json!([{"targetLabel": "__address__", "sourceLabels": ["__meta_kubernetes_pod_ip"],
        "replacement": "$1:7070"}, {"action": "keep", "sourceLabels": ["container"], "regex": "side"}]);
    check(web(), json!({"relabelings": port}), &["http://10.0.0.1:7070/metrics side -"]);
    let of_six = pod("shop", "web-1", "fd00::1", json!({}));
    let side = json!([{"action": "keep", "sourceLabels": ["container"], "regex": "side"}]);
    check(of_six, json!({"relabelings": side}), &["http://[fd00::1]/metrics side -"]);
}

#[test]
fn a_service_monitor_takes_each_port_that_a_target_port_names() {
    let mut world = world();
    world.pods = vec![twice()];
    let spec = json!({"selector": {}, "endpoints": [{"targetPort": "metrics"}]});
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
    let found = find(&world, &own::Own::default());
    let told: Vec<_> = found
        .targets
        .iter()
        .map(|target| (target.url.as_str(), target.labels.get("container").unwrap_or_default()))
        .collect();
    assert_eq!(told, [("http://10.0.0.1:9090/metrics", "a"), ("http://10.0.0.1:9191/metrics", "b")]);
}

#[test]
fn how_an_endpoint_is_asked() {
    let of = |endpoint: Value| {
        let mut world = world();
        let spec = json!({"selector": {}, "endpoints": [endpoint]});
        world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
        let mut found = find(&world, &own::Own::default());
        assert_eq!((found.targets.len(), &found.problems), (1, &Vec::new()));
        found.targets.remove(0)
    };
    for (scheme, wanted) in [("HTTP", "http"), ("HTTPS", "https"), ("https", "https"), ("", "http")] {
        // Relabeling reads it, too.
        let rule = json!({"sourceLabels": ["__scheme__"], "targetLabel": "by"});
        let target = of(json!({"port": "metrics", "scheme": scheme, "relabelings": [rule]}));
        assert_eq!(target.url, format!("{wanted}://10.0.0.1:9090/metrics"));
        assert_eq!(target.labels.get("by"), Some(wanted), "{scheme}");
    }
    let key = |key: &str| json!({"name": "auth", "key": key});
    let kept =
        |key: &str| Kept { namespace: "shop".into(), is_secret: true, name: "auth".into(), key: key.into() };
    for (basic, wanted) in [
        (json!({"username": key("user")}), (kept("user"), None)),
        (json!({"username": key("user"), "password": key("word")}), (kept("user"), Some(kept("word")))),
    ] {
        let target = of(json!({"port": "metrics", "basicAuth": basic}));
        let Reach::Network(access) = &target.job.reach else { panic!("not over the network") };
        assert_eq!(access.basic, Some(wanted));
    }
}

#[test]
fn any_annotation_of_a_pod_can_be_relabeled() {
    let mut world = world();
    let annotated = json!({"example.com/scrape": "yes", "example.com/path": "/of-it"});
    let of = |what: &str| format!("__meta_kubernetes_pod_annotation{what}");
    world.pods = vec![pod("shop", "a", "10.0.0.1", annotated), pod("shop", "b", "10.0.0.2", json!({}))];
    let relabelings = json!([
        {"action": "keep", "sourceLabels": [of("_example_com_scrape")], "regex": "yes"},
        {"action": "keep", "sourceLabels": [of("present_example_com_path")], "regex": "true"},
        {"sourceLabels": [of("_example_com_path")], "targetLabel": "__metrics_path__"},
    ]);
    let endpoint = json!({"port": "metrics", "relabelings": relabelings});
    let spec = json!({"selector": {}, "podMetricsEndpoints": [endpoint]});
    world.pod_monitors = vec![monitor("PodMonitor", "shop", spec)];
    let found = find(&world, &own::Own::default());
    let urls: Vec<_> = found.targets.iter().map(|target| target.url.as_str()).collect();
    assert_eq!(urls, ["http://10.0.0.1:9090/of-it"]);
    assert_eq!(found.dropped.len(), 1);
}

#[test]
fn what_a_monitor_keeps_drops_and_limits() {
    let mut world = world();
    let rules = json!([{"action": "drop", "sourceLabels": ["endpoint"], "regex": "web"}]);
    let spec = json!({"selector": {}, "endpoints": [{"relabelings": rules}]});
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
    let found = find(&world, &own::Own::default());
    assert_eq!((found.targets.len(), found.dropped.len()), (1, 1));
    assert_eq!(found.dropped_counts["serviceMonitor/shop/m/0"], 1);
    let spec = json!({"selector": {}, "targetLimit": 1, "endpoints": [{}]});
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
    let found = find(&world, &own::Own::default());
    assert!(found.targets.is_empty() && found.problems[0].message.contains("targetLimit is 1"));
}

#[test]
fn abuse_34_a_namespace_names_so_many_targets_at_most() {
    let mut found = Found::default();
    let job = Arc::new(crate::scrape::target::tests::job(json!([])));
    let some = |count: usize| -> Vec<_> {
        (0..count).map(|n| BTreeMap::from([("__address__".to_owned(), format!("10.0.0.1:{n}"))])).collect()
    };
    // Of its own and of another namespace, together.
    for (by, at, count, kept) in [
        ("shop", "shop", MOST - 10, MOST - 10),
        ("shop", "ops", 20, MOST),
        ("shop", "shop", 5, MOST),
        ("ops", "ops", 3, MOST + 3),
    ] {
        found.add(&job, by, at, some(count));
        assert_eq!(found.targets.len(), kept, "{by} {at} {count}");
    }
    let told: Vec<_> = found.problems.iter().map(|one| (&*one.namespace, one.message.as_str())).collect();
    let why = "namespace \"shop\" names more than 20000 targets: those beyond are not scraped";
    assert_eq!(told, [("shop", why)], "it is told once");
    // A monitor names them for its own namespace.
    let mut world = world();
    let spec =
        json!({"selector": {}, "namespaceSelector": {"any": true}, "endpoints": [{"port": "metrics"}]});
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
    assert_eq!(find(&world, &own::Own::default()).named, HashMap::from([("shop".to_owned(), 2)]));
    let spec = json!({"selector": {}, "namespaceSelector": {"any": true},
        "podMetricsEndpoints": [{"port": "metrics"}]});
    (world.service_monitors, world.pod_monitors) = (Vec::new(), vec![monitor("PodMonitor", "shop", spec)]);
    assert_eq!(find(&world, &own::Own::default()).named, HashMap::from([("shop".to_owned(), 2)]));
}

#[test]
fn what_a_monitor_cant_have_is_told() {
    let table = [
        (json!({"endpoints": 7}), "the spec is wrong"),
        (json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}), "\"Is\""),
        (json!({"endpoints": [{"bearerTokenFile": "/etc/shadow"}]}), "bearerTokenFile names a file"),
        (json!({"endpoints": [{"tlsConfig": {"caFile": "/etc/shadow"}}]}), "none is read"),
        (json!({"endpoints": [{"interval": "soon"}]}), "\"soon\" is no duration"),
        (
            json!({"endpoints": [{"relabelings": [{"regex": "(", "targetLabel": "a"}]}]}),
            "relabelings: rule 0",
        ),
        (json!({"endpoints": [{"scheme": "ftp"}]}), "neither http nor https"),
    ];
    for (mut spec, wanted) in table {
        if spec.get("selector").is_none() {
            spec["selector"] = json!({});
        }
        let mut world = world();
        // One that is right stands beside it.
        let right = json!({"selector": {}, "endpoints": [{"port": "metrics"}]});
        world.service_monitors =
            vec![monitor("ServiceMonitor", "shop", spec.clone()), monitor("ServiceMonitor", "ops", right)];
        let found = find(&world, &own::Own::default());
        let told = found.problems.first().unwrap_or_else(|| panic!("{spec} is told"));
        assert!(told.message.contains(wanted) && told.namespace == "shop", "{told:?}");
        assert_eq!(found.targets.len(), 1, "{spec}");
    }
}

#[test]
fn what_a_monitor_asks_for_and_doesnt_get_is_told_and_the_rest_is_done() {
    let endpoint = |more: Value| {
        let mut endpoint = json!({"port": "metrics"});
        let fields = endpoint.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        endpoint
    };
    let table = [
        (json!({"scrapeClass": "tls"}), json!({}), vec!["scrapeClass"]),
        (json!({"convertClassicHistogramsToNHCB": true}), json!({}), vec!["convertClassicHistogramsToNHCB"]),
        (json!({"scrapeClassicHistograms": true}), json!({}), vec!["scrapeClassicHistograms"]),
        (json!({"nativeHistogramBucketLimit": 9}), json!({}), vec!["nativeHistogramBucketLimit"]),
        (
            json!({"attachMetadata": {"node": true, "namespace": true}}),
            json!({}),
            vec!["attachMetadata.namespace"],
        ),
        (json!({}), json!({"noProxy": "x", "portt": "web"}), vec!["noProxy", "portt"]),
        // These say nothing, or nothing that makes a difference.
        (
            json!({"scrapeClass": "", "scrapeClassicHistograms": false, "keepDroppedTargets": 7}),
            json!({}),
            vec![],
        ),
        (json!({"selectorMechanism": "RoleSelector"}), json!({"enableHttp2": true, "noProxy": null}), vec![]),
    ];
    for (mut spec, more, wanted) in table {
        spec["selector"] = json!({});
        spec["endpoints"] = json!([endpoint(more)]);
        let mut world = world();
        world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec.clone())];
        let found = find(&world, &own::Own::default());
        let told: Vec<_> =
            found.problems.iter().filter_map(|problem| problem.message.split(' ').next()).collect();
        assert_eq!(told, wanted, "{spec}");
        assert_eq!(found.targets.len(), 1, "{spec}: it is scraped all the same");
    }
}

#[test]
fn what_a_monitor_says_of_formats_and_times_reaches_its_targets() {
    let of = |protocol: Value, timed: bool| {
        let spec = json!({"selector": {}, "fallbackScrapeProtocol": protocol,
            "podMetricsEndpoints": [{"port": "metrics", "trackTimestampsStaleness": timed}]});
        let mut world = world();
        world.pod_monitors = vec![monitor("PodMonitor", "shop", spec)];
        find(&world, &own::Own::default())
    };
    let table = [
        (Value::Null, Format::Plain),
        (json!("PrometheusText1.0.0"), Format::Plain),
        (json!("OpenMetricsText1.0.0"), Format::OpenMetrics),
        (json!("PrometheusProto"), Format::Protobuf),
    ];
    for (protocol, wanted) in table {
        let found = of(protocol.clone(), true);
        let job = &found.targets[0].job;
        assert_eq!((job.fallback, job.taking.ends_timed), (wanted, true), "{protocol}");
    }
    assert!(!of(Value::Null, false).targets[0].job.taking.ends_timed);
    let wrong = of(json!("Json"), false);
    assert!(wrong.targets.is_empty() && wrong.problems[0].message.contains("\"Json\" is no protocol"));
}

/// A node with an address, a label and an annotation.
fn node() -> Arc<Node> {
    one(json!({"metadata": {"name": "n1", "labels": {"zone/of": "z1"}, "annotations": {"owner": "ops"}},
        "status": {"addresses": [{"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "172.30.0.2"}]}}))
}

#[test]
fn discovered_labels_are_those_of_prometheus() {
    let mut world = world();
    world.nodes = vec![node()];
    world.pods.push(one(json!({
        "metadata": {"name": "db-0", "namespace": "shop", "uid": "u", "labels": {"app": "db"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "o",
                "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "db", "image": "db"}], "initContainers": [
            {"name": "proxy", "image": "p", "restartPolicy": "Always",
                "ports": [{"name": "metrics", "containerPort": 9090}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.9",
            "conditions": [{"type": "Ready", "status": "False"}]},
    })));
    let pods = json!({"selector": {"matchLabels": {"app": "db"}}, "attachMetadata": {"node": true},
        "podMetricsEndpoints": [{"port": "metrics"}]});
    let services = json!({"selector": {}, "endpoints": [{"port": "metrics"}]});
    world.pod_monitors = vec![monitor("PodMonitor", "shop", pods)];
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", services)];
    let found = find(&world, &own::Own::default());
    let of = |pool: &str, name: &str| {
        let target = found.targets.iter().find(|target| target.job.name.starts_with(pool)).expect("found");
        target.discovered.get(&format!("__meta_kubernetes_{name}")).cloned()
    };
    for (pool, name, wanted) in [
        ("pod", "pod_host_ip", Some("172.30.0.2")),
        ("pod", "pod_ready", Some("false")),
        ("pod", "pod_container_init", Some("true")),
        ("pod", "pod_controller_kind", Some("StatefulSet")),
        ("pod", "node_name", Some("n1")),
        ("pod", "node_label_zone_of", Some("z1")),
        ("pod", "node_labelpresent_zone_of", Some("true")),
        // Who writes a monitor in a namespace of their own may not see nodes' annotations.
        ("pod", "node_annotation_owner", None),
        ("service", "pod_container_init", Some("false")),
        ("service", "pod_ready", Some("unknown")),
        ("service", "endpoint_port_protocol", Some("TCP")),
        ("service", "endpoint_address_target_kind", Some("Pod")),
        ("service", "endpoint_address_target_name", Some("web-1")),
        ("service", "endpoint_node_name", Some("n1")),
        ("service", "endpoint_ready", Some("true")),
        ("service", "endpointslice_address_type", Some("IPv4")),
        ("service", "endpointslice_port", Some("9090")),
        ("service", "endpointslice_port_name", Some("metrics")),
        ("service", "endpointslice_endpoint_conditions_ready", Some("true")),
        ("service", "endpointslice_endpoint_conditions_serving", None),
        ("service", "node_name", None),
    ] {
        assert_eq!(of(pool, name).as_deref(), wanted, "{pool} {name}");
    }
    world.namespaces = vec![one(json!({"metadata": {"name": "shop", "labels": {ANY_NAMESPACE: "true"}}}))];
    world.service_monitors.clear();
    let found = find(&world, &own::Own::default());
    assert_eq!(found.targets[0].discovered["__meta_kubernetes_node_annotation_owner"], "ops");
}

#[test]
fn abuse_29_a_monitor_puts_no_other_server_in_a_foreign_targets_place() {
    let mut world = world();
    let away = json!([{"targetLabel": "__address__", "replacement": "10.6.6.6:80"}]);
    let spec = json!({"selector": {}, "namespaceSelector": {"matchNames": ["ops"]},
        "endpoints": [{"port": "metrics", "relabelings": away}]});
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec.clone())];
    let found = find(&world, &own::Own::default());
    assert!(found.targets.is_empty() && found.problems[0].message.contains("another namespace"));
    // Another port of the same host may be meant; and who may label namespaces may do all of it.
    let mut port = spec.clone();
    port["endpoints"][0]["relabelings"][0]["replacement"] = json!("10.0.0.2:81");
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", port)];
    let found = find(&world, &own::Own::default());
    assert_eq!(found.targets[0].url, "http://10.0.0.2:81/metrics");
    assert_eq!(found.targets[0].job.taking.namespace.as_deref(), Some("ops"));
    world.namespaces = vec![one(json!({"metadata": {"name": "shop", "labels": {ANY_NAMESPACE: "true"}}}))];
    world.service_monitors = vec![monitor("ServiceMonitor", "shop", spec)];
    let found = find(&world, &own::Own::default());
    assert_eq!(found.targets[0].job.taking.namespace, None);
}

#[test]
fn tiphys_own_components_are_targets() {
    let mut world = world();
    world.nodes = vec![one(json!({"metadata": {"name": "n1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "172.30.0.2"}]}}))];
    let own = own::Own {
        server: "host".into(),
        components: vec![("kube-scheduler", "/metrics/scheduler")],
        of_nodes: vec![("kubelet", "/metrics"), ("kube-proxy", "/metrics/proxy")],
        pods: Vec::new(),
    };
    let found = find(&world, &own);
    let told: Vec<_> =
        found.targets.iter().map(|target| format!("{} {}", target.url, target.labels)).collect();
    assert_eq!(
        told,
        [
            r#"http://host/metrics/scheduler {instance="host", job="kube-scheduler", namespace="tiphys-system"}"#,
            r#"https://172.30.0.2:10250/metrics {instance="172.30.0.2:10250", job="kubelet", metrics_path="/metrics", namespace="tiphys-system", node="n1"}"#,
            r#"https://172.30.0.2:10250/metrics/proxy {instance="172.30.0.2:10250", job="kube-proxy", metrics_path="/metrics/proxy", namespace="tiphys-system", node="n1"}"#,
        ]
    );
}

#[test]
fn pods_of_tiphys_own_are_asked_with_their_token_and_no_others() {
    let of = |namespace: &str, name: &str, app: &str, status: Value| -> Arc<LeanPod> {
        one(json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": {"app": app}},
            "spec": {"nodeName": "n1", "containers": []},
            "status": status,
        }))
    };
    let running = || json!({"phase": "Running", "podIP": "10.244.1.2"});
    let mut world = world();
    world.pods = vec![
        of("tiphys-system", "collector-1", "collector", running()),
        of("tiphys-system", "collector-2", "collector", json!({"phase": "Pending"})),
        of("tiphys-system", "collector-3", "collector", json!({"phase": "Failed", "podIP": "10.244.1.3"})),
        of("tiphys-system", "web", "web", running()),
        // Whoever labels a Pod so elsewhere is not shown the token.
        of("shop", "collector-4", "collector", running()),
    ];
    let token = ("collector-secret", "token");
    let pods = vec![own::OwnPods { job: "logs", app: "collector", port: 10260, token }];
    let found = find(&world, &own::Own { pods, ..own::Own::default() });
    let told: Vec<_> =
        found.targets.iter().map(|target| format!("{} {}", target.url, target.labels)).collect();
    assert_eq!(
        told,
        [
            r#"http://10.244.1.2:10260/metrics {instance="10.244.1.2:10260", job="logs", namespace="tiphys-system", node="n1"}"#
        ]
    );
    let Reach::Network(access) = &found.targets[0].job.reach else { panic!("not over the network") };
    let kept = Kept {
        namespace: "tiphys-system".into(),
        is_secret: true,
        name: "collector-secret".into(),
        key: "token".into(),
    };
    assert_eq!(access.token, Some(("Bearer".to_owned(), kept)));
    assert!(access.no_redirects && found.problems.is_empty());
}
