//! Each type of metric from its spec to what it proposes, over figures as a test tells them.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::ways::Way;
use tokio::sync::watch;

use super::*;
use crate::{
    decide::{Look, Memory, decide},
    source::{Described, Series},
    status,
};

const SECOND: i64 = 1_000_000;

mod evaluated;

/// Figures in thousandths: of `pod`, `pod/container`, `Kind/object`, or of the outside by name.
#[derive(Default)]
struct Told {
    figures: BTreeMap<String, Vec<i64>>,
    /// What it was asked, in order.
    asked: Mutex<Vec<String>>,
}

impl Told {
    fn new(figures: &[(&str, &[i64])]) -> Self {
        let figures = figures.iter().map(|(name, milli)| ((*name).to_owned(), milli.to_vec()));
        Self { figures: figures.collect(), asked: Mutex::default() }
    }

    fn readings(&self, name: &str) -> Vec<Reading> {
        let told = self.figures.get(name).into_iter().flatten();
        // The first of a name is scraped, others are sent.
        let ways = std::iter::once(Way::Scraped).chain(std::iter::repeat(Way::Otlp));
        let reading = |(milli, way): (&i64, Way)| Reading {
            milli: *milli,
            time: now(),
            window: SECOND,
            ways: way.into(),
        };
        told.zip(ways).map(reading).collect()
    }

    fn of_pods(&self, pods: &[&str], behind: &str) -> HashMap<String, Reading> {
        let first = |pod: &&str| self.readings(&format!("{pod}{behind}")).first().copied();
        pods.iter().filter_map(|pod| Some(((*pod).to_owned(), first(pod)?))).collect()
    }
}

#[async_trait::async_trait]
impl MetricSource for Told {
    async fn resource(
        &self,
        namespace: &str,
        pods: &[&str],
        resource: &str,
        container: Option<&str>,
        window: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        let asked = format!("{resource} of {container:?} in {namespace} {pods:?} over {window}");
        self.asked.lock().push(asked);
        let behind = container.map(|container| format!("/{container}")).unwrap_or_default();
        Ok(self.of_pods(pods, &behind))
    }

    async fn pods(
        &self,
        _: &str,
        pods: &[&str],
        _: &Series,
        _: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        Ok(self.of_pods(pods, ""))
    }

    async fn object(&self, namespace: &str, object: &Described, series: &Series) -> Result<Reading, String> {
        self.asked.lock().push(format!("{object:?} in {namespace}: {series:?}"));
        let found = self.readings(&format!("{}/{}", object.kind, object.name));
        found.first().copied().ok_or_else(|| "there is none".to_owned())
    }

    async fn external(&self, _: &str, series: &Series) -> Result<Vec<Reading>, String> {
        Ok(self.readings(&series.name))
    }

    fn fresh(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }
}

/// A day after the Pods have started.
fn now() -> i64 {
    "2026-01-02T00:00:00Z".parse::<Timestamp>().expect("a time").as_microsecond()
}

/// `web-0` and on: ready, each with a container that requests 200m and one that requests a core.
fn pods(count: usize) -> Vec<Arc<LeanPod>> {
    let container = |name: &str, cpu: &str| json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
    let pod = |number: usize| {
        let since = "2026-01-01T00:00:00Z";
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        serde_json::from_value::<LeanPod>(json!({
            "metadata": {"name": format!("web-{number}"), "namespace": "shop"},
            "spec": {"containers": [container("app", "200m"), container("proxy", "1")]},
            "status": {"phase": "Running", "startTime": since, "conditions": ready},
        }))
        .expect("a Pod")
    };
    (0..count).map(|number| Arc::new(pod(number))).collect()
}

fn spec(metric: &Value, behavior: &Value) -> Spec {
    let spec = json!({
        "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 0, "maxReplicas": 50,
        "metrics": [metric], "behavior": behavior,
    });
    Spec::of(&serde_json::from_value(spec).expect("a spec"), &Config::default())
}

fn object(target: &Value) -> Value {
    let described = json!({"apiVersion": "v1", "kind": "Service", "name": "desk"});
    json!({"type": "Object", "object":
        {"describedObject": described, "metric": {"name": "orders"}, "target": target}})
}

fn external(average: &str) -> Value {
    let target = json!({"type": "AverageValue", "averageValue": average});
    json!({"type": "External", "external": {"metric": {"name": "backlog"}, "target": target}})
}

/// What the only metric proposes where there are so many replicas.
async fn ask(told: &Told, spec: &Spec, replicas: usize) -> Asked {
    let pods = pods(replicas);
    let replicas = i32::try_from(replicas).expect("few");
    let asking = Asking {
        source: told,
        config: Config::default(),
        spec,
        namespace: "shop",
        pods: &pods,
        current: replicas,
        status: replicas,
        window: 2 * SECOND,
        now: now(),
    };
    let (mut asked, _) = asking.all().await;
    asked.pop().expect("one metric")
}

async fn proposed(told: &Told, spec: &Spec, replicas: usize) -> Proposal {
    ask(told, spec, replicas).await.result.expect("a proposal")
}

#[tokio::test]
async fn a_containers_resource_is_measured_against_its_own_request() {
    let target = json!({"type": "Utilization", "averageUtilization": 75});
    let of = |container: &str| {
        let source = json!({"name": "cpu", "container": container, "target": target});
        spec(&json!({"type": "ContainerResource", "containerResource": source}), &Value::Null)
    };
    // The Pods as a whole would be far below their requests.
    let told = Told::new(&[
        ("web-0", &[400]),
        ("web-0/app", &[300]),
        ("web-1", &[400]),
        ("web-1/app", &[300]),
        ("web-0/other", &[1]),
    ]);
    let asked = ask(&told, &of("app"), 2).await;
    let proposal = asked.result.as_ref().expect("a proposal");
    assert_eq!((proposal.replicas, proposal.utilization, proposal.counted), (4, Some(150), 2));
    let shown = status::current_metrics(&[asked]);
    let shown = shown[0].container_resource.as_ref().expect("a container's");
    assert_eq!((&*shown.container, shown.current.average_utilization), ("app", Some(150)));
    let trouble = ask(&told, &of("other"), 2).await.result.expect_err("no such container");
    assert_eq!(trouble.reason, "FailedGetContainerResourceMetric");
    assert_eq!(trouble.message, "failed to get cpu utilization: container other not found in Pod web-0");
}

#[tokio::test]
async fn an_object_counts_as_a_whole_or_shared_by_the_replicas() {
    let told = Told::new(&[("Service/desk", &[6000])]);
    let value = spec(&object(&json!({"type": "Value", "value": "3"})), &Value::Null);
    let proposal = proposed(&told, &value, 2).await;
    assert_eq!((proposal.replicas, proposal.value, proposal.ratio), (4, Some(6000), 2.0));
    let average = spec(&object(&json!({"type": "AverageValue", "averageValue": "1500m"})), &Value::Null);
    let asked = ask(&told, &average, 2).await;
    let proposal = asked.result.as_ref().expect("a proposal");
    assert_eq!((proposal.replicas, proposal.average), (4, 3000));
    let shown = status::current_metrics(&[asked]);
    let shown = shown[0].object.as_ref().expect("an object's");
    assert_eq!(shown.described_object.api_version.as_deref(), Some("v1"));
    assert_eq!(shown.current.average_value.as_ref().map(|value| &*value.0), Some("3"));
    let trouble = ask(&Told::default(), &average, 2).await.result.expect_err("no figure");
    assert_eq!(trouble.reason, "FailedGetObjectMetric");
    assert_eq!(
        trouble.message,
        "unable to get metric orders on Service shop/desk: unable to fetch metrics from custom metrics API: \
         there is none"
    );
}

#[tokio::test]
async fn what_series_of_the_outside_tell_is_added_up() {
    let told = Told::new(&[("backlog", &[1000, 2500])]);
    assert_eq!(proposed(&told, &spec(&external("500m"), &Value::Null), 3).await.replicas, 7);
    let trouble = ask(&Told::default(), &spec(&external("1"), &Value::Null), 3).await.result;
    let trouble = trouble.expect_err("no series");
    assert_eq!(trouble.reason, "FailedGetExternalMetric");
    assert_eq!(
        trouble.message,
        "unable to get external metric shop/backlog/nil: no metrics returned from external metrics API"
    );
}

#[tokio::test]
async fn a_row_says_by_which_ways_the_figures_came() {
    let told = Told::new(&[
        ("web-0", &[400]),
        ("web-1", &[300]),
        ("Service/desk", &[6000]),
        ("backlog", &[1000, 2500]),
    ]);
    let target = json!({"type": "AverageValue", "averageValue": "1"});
    let of_pods = json!({"type": "Pods", "pods": {"metric": {"name": "orders"}, "target": target}});
    let resource = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
    for (metric, sources) in [
        (of_pods, &["scraped"][..]),
        (resource, &["scraped"]),
        (object(&target), &["scraped"]),
        (object(&json!({"type": "Value", "value": "3"})), &["scraped"]),
        (external("1"), &["scraped", "otlp"]),
    ] {
        let row = crate::words::reading(&ask(&told, &spec(&metric, &Value::Null), 2).await);
        assert_eq!(row.sources, sources, "{metric}: {row:?}");
    }
    let none = crate::words::reading(&ask(&Told::default(), &spec(&external("1"), &Value::Null), 2).await);
    assert!(none.sources.is_empty() && !none.error.is_empty());
}

#[tokio::test]
async fn an_autoscaler_may_have_tolerances_of_its_own() {
    let own = json!({"scaleUp": {"tolerance": "0.5"}, "scaleDown": {"tolerance": "0.02"}});
    let (own, usual) = (spec(&external("1"), &own), spec(&external("1"), &Value::Null));
    for (total, with_own, with_usual) in [
        (20_000, (20, true), (20, true)),
        (21_500, (20, true), (20, true)),
        (28_000, (20, true), (28, false)),
        (31_000, (31, false), (31, false)),
        (19_700, (20, true), (20, true)),
        (19_000, (19, false), (20, true)),
        (17_000, (17, false), (17, false)),
    ] {
        let told = Told::new(&[("backlog", &[total])]);
        for (spec, expected) in [(&own, with_own), (&usual, with_usual)] {
            let proposal = proposed(&told, spec, 20).await;
            assert_eq!((proposal.replicas, proposal.tolerated), expected, "{total}");
        }
    }
}

#[tokio::test]
async fn who_has_nothing_to_do_goes_to_zero_and_comes_back_with_work() {
    let at_once = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    let value = object(&json!({"type": "Value", "value": "2"}));
    let average = object(&json!({"type": "AverageValue", "averageValue": "2"}));
    for metric in [value, average] {
        let (spec, mut memory, mut replicas) = (spec(&metric, &at_once), Memory::default(), 2);
        // What there is to do at each look, and how many are to do it then.
        for (look, total, expected) in [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 5000, 3), (4, 0, 0)] {
            let asked = [ask(&Told::new(&[("Service/desk", &[total])]), &spec, replicas).await];
            let current = i32::try_from(replicas).expect("few");
            let now = now() + look * 15 * SECOND;
            let slow = Some(asked.as_slice());
            let look = Look {
                spec: &spec,
                current,
                asked: &asked,
                slow,
                blocked: None,
                forecast: None,
                scaled_to_zero: current == 0,
                now,
            };
            let decision = decide(&look, &mut memory).decision;
            assert_eq!(decision.desired_replicas, expected, "{total}: {}", decision.reason);
            memory.events.record(current, decision.desired_replicas, now);
            replicas = usize::try_from(decision.desired_replicas).expect("none is fewer than none");
        }
    }
}
