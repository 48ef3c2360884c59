//! What the evaluation of ContainerResource and Object metrics rests on, one thing after the other:
//! whom it asks and for what, which Pods and replicas count, and what it tells of it.

use super::*;
use crate::words;

/// What the only metric proposes to these Pods' target, which is to have so many replicas and has so
/// many, and when the newest sample was taken.
async fn asked_of(
    told: &Told,
    spec: &Spec,
    pods: &[Arc<LeanPod>],
    (current, status): (i32, i32),
) -> (Asked, i64) {
    let config = Config::default();
    let (namespace, window, now) = ("shop", 2 * SECOND, now());
    let asking = Asking { source: told, config, spec, namespace, pods, current, status, window, now };
    let (mut asked, newest) = asking.all().await;
    (asked.pop().expect("one metric"), newest)
}

fn of_app(resource: &str, target: &Value) -> Spec {
    let source = json!({"name": resource, "container": "app", "target": target});
    spec(&json!({"type": "ContainerResource", "containerResource": source}), &Value::Null)
}

fn share() -> Value {
    json!({"type": "Utilization", "averageUtilization": 75})
}

fn average(value: &str) -> Value {
    json!({"type": "AverageValue", "averageValue": value})
}

#[tokio::test]
async fn a_containers_figure_is_asked_for_by_all_that_names_it() {
    let told = Told::new(&[("web-0/app", &[300]), ("web-1/app", &[300])]);
    let (asked, newest) = asked_of(&told, &of_app("cpu", &share()), &pods(2), (2, 2)).await;
    assert_eq!(
        *told.asked.lock(),
        [r#"cpu of Some("app") in shop ["web-0", "web-1"] over 2000000"#.to_owned()]
    );
    assert_eq!(newest, now());
    let row = words::reading(&asked);
    assert_eq!((&*row.name, &*row.target_type, row.target), ("cpu of container app", "Utilization", 75.0));
    assert_eq!((row.current, row.ratio, row.proposal), (Some(150.0), Some(2.0), Some(4)));
    assert_eq!((row.pods_counted, row.pods_missing, row.pods_unready), (2, 0, 0));
    let shown = status::current_metrics(&[asked]);
    assert_eq!((&*shown[0].type_, shown[0].resource.is_none()), ("ContainerResource", true));
    let shown = shown[0].container_resource.as_ref().expect("a container's");
    assert_eq!((&*shown.name, &*shown.container), ("cpu", "app"));
    let value = shown.current.average_value.as_ref().map(|value| &*value.0);
    assert_eq!((shown.current.average_utilization, value), (Some(150), Some("300m")));
}

#[tokio::test]
async fn a_containers_average_asks_without_any_request() {
    // `other` is in no Pod's spec, so it requests nothing.
    let source = json!({"name": "cpu", "container": "other", "target": average("100m")});
    let spec = spec(&json!({"type": "ContainerResource", "containerResource": source}), &Value::Null);
    let told = Told::new(&[("web-0/other", &[150]), ("web-1/other", &[250]), ("web-0", &[9000])]);
    let (asked, _) = asked_of(&told, &spec, &pods(2), (2, 2)).await;
    let proposal = asked.result.as_ref().expect("a proposal");
    assert_eq!((proposal.replicas, proposal.average, proposal.utilization), (4, 200, None));
    let row = words::reading(&asked);
    assert_eq!((&*row.target_type, row.target, row.current), ("AverageValue", 0.1, Some(0.2)));
}

#[tokio::test]
async fn a_pod_without_its_containers_figure_is_missing_whatever_the_pod_has() {
    let told = Told::new(&[("web-0/app", &[300]), ("web-1", &[9000])]);
    let (asked, _) = asked_of(&told, &of_app("cpu", &share()), &pods(2), (2, 2)).await;
    let proposal = asked.result.expect("a proposal");
    // Upwards it counts as nothing: 300 of 400 are on target.
    assert_eq!((proposal.replicas, proposal.counted, proposal.tolerated), (2, 1, true));
    assert_eq!(proposal.missing, ["web-1"]);
    // Downwards as the target: (3 * 50 + 100) / 4 of 100.
    let low: [i64; 1] = [50];
    let told = Told::new(&[("web-0/app", &low), ("web-1/app", &low), ("web-2/app", &low)]);
    let (asked, _) = asked_of(&told, &of_app("cpu", &average("100m")), &pods(4), (4, 4)).await;
    assert_eq!(asked.result.map(|proposal| proposal.replicas), Ok(3));
    let none = Told::new(&[("web-0", &[300])]);
    let (asked, newest) = asked_of(&none, &of_app("cpu", &share()), &pods(2), (2, 2)).await;
    let trouble = asked.result.expect_err("no figure of the container");
    assert_eq!((trouble.reason, newest), ("FailedGetContainerResourceMetric", 0));
    assert_eq!(
        trouble.wrapped,
        "failed to get app container metric value: failed to get cpu utilization: unable to get metrics for \
         resource cpu: no metrics returned from resource metrics API"
    );
}

#[tokio::test]
async fn a_container_that_starts_is_taken_with_care_for_its_cpu_only() {
    let starting = |number: usize| {
        let since = "2026-01-01T23:59:50Z";
        let status = json!({"phase": "Running", "startTime": since, "conditions":
            [{"type": "Ready", "status": "False", "lastTransitionTime": since}]});
        let containers = json!([{"name": "app"}]);
        let pod = json!({"metadata": {"name": format!("web-{number}"), "namespace": "shop"},
            "spec": {"containers": containers}, "status": status});
        Arc::new(serde_json::from_value::<LeanPod>(pod).expect("a Pod"))
    };
    let all = [pods(1), vec![starting(1)]].concat();
    let told = Told::new(&[("web-0/app", &[300]), ("web-1/app", &[300])]);
    let (asked, _) = asked_of(&told, &of_app("cpu", &average("150m")), &all, (2, 2)).await;
    let cpu = asked.result.expect("a proposal");
    // Upwards it counts as nothing: 300 / 2 is on target.
    assert_eq!((cpu.replicas, cpu.counted, cpu.unready), (2, 1, vec!["web-1".to_owned()]));
    let (asked, _) = asked_of(&told, &of_app("memory", &average("150m")), &all, (2, 2)).await;
    let memory = asked.result.expect("a proposal");
    assert_eq!((memory.replicas, memory.counted, memory.unready.len()), (4, 2, 0));
}

#[tokio::test]
async fn an_objects_figure_is_asked_for_by_all_that_names_it() {
    let described = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"});
    let hits = json!({"name": "hits", "selector": {"matchLabels": {"code": "200"}}});
    let source = json!({"describedObject": described, "metric": hits,
        "target": {"type": "Value", "value": "3"}});
    let spec = spec(&json!({"type": "Object", "object": source}), &Value::Null);
    let told = Told::new(&[("Ingress/front", &[6000])]);
    let (asked, newest) = asked_of(&told, &spec, &pods(2), (2, 2)).await;
    let object = Described {
        api_version: "networking.k8s.io/v1".into(),
        kind: "Ingress".into(),
        name: "front".into(),
    };
    let selector = tiphys_api::selector::LabelSelector::parse("code=200").expect("a selector");
    let series = Series { name: "hits".into(), selector };
    assert_eq!(*told.asked.lock(), [format!("{object:?} in shop: {series:?}")]);
    assert_eq!(newest, now());
    let row = words::reading(&asked);
    assert_eq!((&*row.name, &*row.target_type, row.target), ("hits of Ingress front", "Value", 3.0));
    assert_eq!((row.current, row.proposal, row.pods_counted), (Some(6.0), Some(4), 0));
    let shown = status::current_metrics(&[asked]);
    let shown = shown[0].object.as_ref().expect("an object's");
    let value = shown.current.value.as_ref().map(|value| &*value.0);
    assert_eq!((value, shown.current.average_value.is_none()), (Some("6"), true));
    let labels = shown.metric.selector.as_ref().and_then(|selector| selector.match_labels.clone());
    assert_eq!((&*shown.metric.name, labels.map(|labels| labels.len())), ("hits", Some(1)));
    assert_eq!((&*shown.described_object.kind, &*shown.described_object.name), ("Ingress", "front"));
}

#[tokio::test]
async fn an_objects_value_goes_by_the_replicas_wanted_and_its_average_by_those_that_are_there() {
    let value = spec(&object(&json!({"type": "Value", "value": "3"})), &Value::Null);
    let shared = spec(&object(&average("1500m")), &Value::Null);
    // Six are ready, three are wanted, five are there.
    let proposal = async |milli: i64, spec: &Spec| {
        let told = Told::new(&[("Service/desk", &[milli])]);
        asked_of(&told, spec, &pods(6), (3, 5)).await.0.result.expect("a proposal")
    };
    let doubled = proposal(6000, &value).await;
    assert_eq!((doubled.replicas, doubled.counted, doubled.tolerated), (12, 3, false));
    let on_target = proposal(3150, &value).await;
    assert_eq!((on_target.replicas, on_target.tolerated), (3, true));
    let fewer = proposal(6000, &shared).await;
    assert_eq!((fewer.replicas, fewer.average, fewer.counted), (4, 1200, 5));
    let on_target = proposal(7200, &shared).await;
    assert_eq!((on_target.replicas, on_target.tolerated), (5, true));
    let told = Told::new(&[("Service/desk", &[6000])]);
    let trouble = asked_of(&told, &value, &[], (3, 5)).await.0.result.expect_err("no Pods");
    assert_eq!(
        trouble.wrapped,
        "failed to get object metric value: unable to calculate ready pods: no pods returned by selector \
         while calculating replica count"
    );
}
