//! Metrics that a Pod sends by OTLP are known as the Pod's.

use super::*;

/// Doors for the token of a Pod of `shop`.
fn of_pod(pod: &str) -> Bench {
    let store = Arc::new(Store::in_memory(Limits::default()));
    let doors = Doors::new(store.clone(), Counts::default(), Arc::new(Everything));
    let mut user = UserInfo::named("system:serviceaccount:shop:app", &[]);
    for (key, value) in [("pod-name", pod), ("pod-uid", "u1"), ("node-name", "n1")] {
        user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.into()]);
    }
    Bench { store, routes: doors.routes().layer(Extension(user)) }
}

/// A request of a resource with these attributes, as protobuf; the point has these of its own.
fn request(resource: &[(&str, &str)], point: &[(&str, &str)], now: i64) -> Vec<u8> {
    let attributes = |pairs: &[(&str, &str)]| -> Vec<KeyValue> {
        pairs.iter().map(|(key, value)| attribute(key, value)).collect()
    };
    let point = NumberDataPoint { attributes: attributes(point), ..number(7.0, now) };
    let scope_metrics = ScopeMetrics {
        metrics: vec![metric("load", "", Data::Gauge(Gauge { data_points: vec![point] }))],
        ..Default::default()
    };
    let resource = Some(Resource { attributes: attributes(resource), ..Default::default() });
    let of_resource = ResourceMetrics { resource, scope_metrics: vec![scope_metrics], ..Default::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }.encode_to_vec()
}

#[tokio::test]
async fn series_bear_the_pod_of_the_resource_or_of_the_token() {
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let table: [(Pairs<'_>, Pairs<'_>, &str); 4] = [
        (&[], &[], r#"load{instance="web-1", namespace="shop", node="n1", pod="web-1"} 7"#),
        (
            &[("k8s.pod.name", "db-0"), ("k8s.container.name", "db"), ("k8s.node.name", "n2")],
            &[],
            r#"load{container="db", instance="db-0", namespace="shop", node="n2", pod="db-0"} 7"#,
        ),
        // What stands for itself: an instance that is named, and a Pod that a point tells of.
        (
            &[("service.instance.id", "i1")],
            &[("pod", "other")],
            r#"load{instance="i1", namespace="shop", node="n1", pod="other"} 7"#,
        ),
        // A Pod of another namespace.
        (&[("k8s.namespace.name", "bank"), ("k8s.pod.name", "teller")], &[], r#"load{namespace="shop"} 7"#),
    ];
    for (resource, point, wanted) in table {
        let (bench, now) = (of_pod("web-1"), now());
        let answer = bench.send(OTLP_PATH, ONE, "", request(resource, point, now)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let found = bench.series().await;
        assert!(found.iter().any(|series| series == wanted), "{wanted} is not among {found:?}");
    }
}

#[tokio::test]
async fn the_same_goes_for_json() {
    let (bench, now) = (of_pod("web-1"), now());
    let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "load", "gauge":
        {"dataPoints": [{"asInt": "7", "timeUnixNano": (now * 1_000_000).to_string()}]}}]}]}]});
    let answer = bench.send(OTLP_PATH, "application/json", "", request.to_string().into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let wanted = r#"load{instance="web-1", namespace="shop", node="n1", pod="web-1"} 7"#;
    assert_eq!(bench.series().await, [wanted]);
}
