//! The autoscaler against a whole API server, in memory: what it writes to its targets and which
//! rows it gives away. Figures, and what past days asked for, are as a test tells them; a test may
//! stand between the autoscaler and the API.

mod gate;
mod targets;
mod writes;

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition},
    core::v1::Event,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tiphys_api::{auth::UserInfo, decisions::Decision, ways::Way};
use tiphys_apiserver::{
    ApiServer,
    pki::{ClusterPki, FrontProxy},
};
use tiphys_client::in_memory;
use tiphys_lifecycle::Tasks;
use tiphys_store::Embedded;
use tiphys_telemetry::Component;
use tokio::sync::watch;

use self::gate::Gate;
use super::Config;
use crate::{DecisionSink, Described, MetricSource, Reading, Series, start};

/// An upper bound: a test that waits that long fails.
const LIMIT: Duration = Duration::from_secs(120);
const SECOND: i64 = 1_000_000;

/// Tells how many orders wait at the Service `desk`, and nothing else.
struct Desk {
    orders: Mutex<Reading>,
    fresh: watch::Sender<u64>,
}

impl Desk {
    fn new() -> Self {
        Self { orders: Mutex::new(reading(0)), fresh: watch::Sender::new(0) }
    }

    /// So many thousandths of an order wait from now on.
    fn tell(&self, milli: i64) {
        *self.orders.lock() = reading(milli);
        self.fresh.send_modify(|count| *count += 1);
    }
}

fn reading(milli: i64) -> Reading {
    Reading { milli, time: jiff::Timestamp::now().as_microsecond(), window: 0, ways: Way::Scraped.into() }
}

fn none<T>() -> Result<T, String> {
    Err("only orders are told".to_owned())
}

#[async_trait]
impl MetricSource for Desk {
    async fn resource(
        &self,
        _: &str,
        _: &[&str],
        _: &str,
        _: Option<&str>,
        _: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        none()
    }

    async fn pods(
        &self,
        _: &str,
        _: &[&str],
        _: &Series,
        _: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        none()
    }

    async fn object(&self, namespace: &str, object: &Described, series: &Series) -> Result<Reading, String> {
        let of = (object.api_version.as_str(), object.kind.as_str(), object.name.as_str());
        match (namespace, of, series.name.as_str()) {
            ("default", ("v1", "Service", "desk"), "orders") => Ok(*self.orders.lock()),
            _ => none(),
        }
    }

    async fn external(&self, _: &str, _: &Series) -> Result<Vec<Reading>, String> {
        none()
    }

    fn fresh(&self) -> watch::Receiver<u64> {
        self.fresh.subscribe()
    }
}

/// The rows that came, and what each of the past days asked for.
struct Rows {
    rows: watch::Sender<Vec<Decision>>,
    past: Option<i32>,
    /// Of which times it was asked, each time.
    ranges: Mutex<Vec<Vec<Range<i64>>>>,
}

#[async_trait]
impl DecisionSink for Rows {
    fn record(&self, decision: Decision) {
        self.rows.send_modify(|rows| rows.push(decision));
    }

    async fn asked(&self, _: &str, _: &str, ranges: &[Range<i64>]) -> Vec<Option<i32>> {
        self.ranges.lock().push(ranges.to_vec());
        vec![self.past; ranges.len()]
    }
}

struct Plane {
    client: Client,
    desk: Arc<Desk>,
    rows: Arc<Rows>,
    tasks: Tasks,
    _server: ApiServer,
    _folder: TempDir,
}

impl Plane {
    /// API server and autoscaler; `past` is what each past day asked for.
    async fn start(past: Option<i32>) -> Self {
        Self::behind(None, past).await
    }

    /// The same where the autoscaler's requests go through a gate.
    async fn behind(gate: Option<Gate>, past: Option<i32>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (folder, tasks) = (tempfile::tempdir().expect("a folder"), Tasks::new());
        let store = Embedded::open(folder.path().join("store"), &tasks).await.expect("a store");
        let pki = ClusterPki::load_or_create(&folder.path().join("pki")).expect("an authority");
        let front = FrontProxy::load_or_create(&folder.path().join("pki")).expect("an authority");
        let config = tiphys_apiserver::Config::standard(&pki, front).expect("a configuration");
        let server = ApiServer::start(config, store, &tasks).await.expect("a server");
        let client = in_memory(server.handler(), UserInfo::master("system:test"));
        let handler = match gate {
            Some(gate) => gate::before(server.handler(), client.clone(), gate),
            None => server.handler(),
        };
        let desk = Arc::new(Desk::new());
        let rows = Arc::new(Rows { rows: watch::Sender::new(Vec::new()), past, ranges: Mutex::default() });
        start(
            Config::default(),
            in_memory(handler, UserInfo::master("system:test")),
            tiphys_client::Shared::start(&client, &tasks).pods,
            desk.clone(),
            rows.clone(),
            &tasks,
            &Component::new("autoscaler"),
        );
        Self { client, desk, rows, tasks, _server: server, _folder: folder }
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), "default")
    }

    /// A Deployment `worker`; no controller acts on it.
    async fn deploy(&self, replicas: i32) {
        let labels = json!({"app": "worker"});
        let containers = json!([{"name": "main", "image": "worker:1"}]);
        let deployment = json!({"metadata": {"name": "worker"}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        }});
        let deployment = serde_json::from_value(deployment).expect("a Deployment");
        self.deployments().create(&PostParams::default(), &deployment).await.expect("created");
        self.has(replicas).await;
    }

    /// So many replicas of `worker` are there.
    async fn has(&self, replicas: i32) {
        let status = Patch::Merge(json!({"status": {"replicas": replicas}}));
        self.deployments().patch_status("worker", &PatchParams::default(), &status).await.expect("written");
    }

    async fn wanted(&self) -> Option<i32> {
        self.deployments().get("worker").await.expect("a Deployment").spec.replicas
    }

    /// An autoscaler of `worker` with an order a replica, of the Service `of`.
    async fn autoscale(&self, of: &str, least: i32, annotations: Value) {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"});
        self.autoscale_target(target, of, least, annotations).await;
    }

    /// An autoscaler `worker` of this target.
    async fn autoscale_target(&self, target: Value, of: &str, least: i32, annotations: Value) {
        let metric = json!({"type": "Object", "object": {
            "describedObject": {"apiVersion": "v1", "kind": "Service", "name": of},
            "metric": {"name": "orders"}, "target": {"type": "AverageValue", "averageValue": "1"},
        }});
        let scaler = json!({"metadata": {"name": "worker", "annotations": annotations}, "spec": {
            "scaleTargetRef": target,
            "minReplicas": least, "maxReplicas": 5, "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        }});
        let scaler = serde_json::from_value(scaler).expect("an autoscaler");
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), "default");
        api.create(&PostParams::default(), &scaler).await.expect("created");
    }

    /// Waits until a condition of the autoscaler `worker` has this reason; its message.
    async fn says(&self, kind: &str, reason: &str) -> String {
        let is_the_one = |one: &HorizontalPodAutoscalerCondition| {
            one.type_ == kind && one.reason.as_deref() == Some(reason)
        };
        let conditions = |scaler: &HorizontalPodAutoscaler| {
            scaler.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default()
        };
        let scaler = self.until(|scaler| conditions(scaler).iter().any(is_the_one)).await;
        let said = conditions(&scaler).into_iter().find(is_the_one).expect("it is the one");
        said.message.unwrap_or_default()
    }

    /// Waits until the autoscaler `worker` is so, and how it is then.
    async fn until(&self, is_so: impl Fn(&HorizontalPodAutoscaler) -> bool) -> HorizontalPodAutoscaler {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(self.client.clone(), "default");
        let holds = |scaler: Option<&HorizontalPodAutoscaler>| scaler.is_some_and(&is_so);
        let found = kube::runtime::wait::await_condition(api, "worker", holds);
        let found = tokio::time::timeout(LIMIT, found).await.expect("so in time").expect("watched");
        found.expect("an autoscaler")
    }

    /// The message of the first event with this reason, once there is one.
    async fn event(&self, reason: &str) -> String {
        let api: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let events = watcher(api, watcher::Config::default()).applied_objects();
        let mut said = Box::pin(events.filter_map(|event| {
            let event = event.expect("watched");
            std::future::ready(event.message.filter(|_| event.reason.as_deref() == Some(reason)))
        }));
        let first = tokio::time::timeout(LIMIT, said.next()).await.expect("said in time");
        first.expect("the watch goes on")
    }

    /// The first row that is as wanted, once there is one.
    async fn row(&self, wanted: impl Fn(&Decision) -> bool) -> Decision {
        let mut rows = self.rows.rows.subscribe();
        let found = rows.wait_for(|rows| rows.iter().any(&wanted));
        let found = tokio::time::timeout(LIMIT, found).await.expect("such a row in time").expect("rows");
        found.iter().find(|row| wanted(row)).cloned().expect("it was there")
    }

    async fn stop(self) {
        let left = self.tasks.shutdown(LIMIT).await;
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_without_work_goes_to_zero_and_comes_back_with_it() {
    let plane = Plane::start(None).await;
    plane.deploy(2).await;
    plane.autoscale("desk", 0, json!({})).await;
    let down = plane.row(|row| row.scaled).await;
    assert_eq!((down.current_replicas, down.desired_replicas), (2, 0), "{}", down.reason);
    assert_eq!(down.reason, "scale down from 2 to 0: orders of Service desk is at 0 a replica, target 1");
    assert_eq!(plane.wanted().await, Some(0));
    plane.says("ScaledToZero", "ScaledToZero").await;
    plane.has(0).await;
    plane.desk.tell(2500);
    let up = plane.row(|row| row.scaled && row.current_replicas == 0).await;
    assert_eq!(up.desired_replicas, 3, "{}", up.reason);
    assert_eq!(up.reason, "scale up from 0 to 3: orders of Service desk is at 2500m a replica, target 1");
    assert_eq!(plane.wanted().await, Some(3));
    plane.says("ScaledToZero", "NotScaledToZero").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_the_last_replica_by_hand_switches_the_autoscaler_off() {
    let plane = Plane::start(None).await;
    plane.desk.tell(2500);
    plane.deploy(0).await;
    plane.autoscale("desk", 0, json!({})).await;
    let off = plane.row(|row| row.limited_by == "disabled").await;
    assert_eq!((off.current_replicas, off.desired_replicas, off.scaled), (0, 0, false), "{}", off.reason);
    plane.says("ScalingActive", "ScalingDisabled").await;
    assert_eq!(plane.wanted().await, Some(0));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_without_a_figure_changes_nothing() {
    let plane = Plane::start(None).await;
    plane.deploy(2).await;
    plane.autoscale("elsewhere", 0, json!({})).await;
    let row = plane.row(|row| !row.failure.is_empty()).await;
    assert_eq!((row.current_replicas, row.desired_replicas, &*row.limited_by), (2, 2, "failure"));
    let why = "unable to get metric orders on Service default/elsewhere: unable to fetch metrics from custom \
               metrics API: only orders are told";
    assert_eq!(row.metrics[0].error, why);
    assert_eq!(plane.wanted().await, Some(2));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_days_are_asked_where_the_annotation_says_so_and_stand_in_the_row() {
    let plane = Plane::start(Some(4)).await;
    plane.desk.tell(1000);
    plane.deploy(1).await;
    plane.autoscale("desk", 1, json!({"autoscaling.tiphys.io/predict": "2d"})).await;
    let row = plane.row(|row| row.scaled).await;
    assert_eq!((row.current_replicas, row.desired_replicas, row.forecast), (1, 4, Some(4)));
    let words =
        "scale up from 1 to 4: the same hours of past days asked for 4; now orders of Service desk is at";
    assert!(row.reason.starts_with(words), "{}", row.reason);
    assert_eq!(row.metrics[0].proposal, Some(1));
    let ranges = plane.rows.ranges.lock().clone();
    let [yesterday, before] = &ranges[0][..] else { panic!("not two days: {ranges:?}") };
    assert_eq!(yesterday.start - before.start, 24 * 3600 * SECOND);
    assert_eq!(yesterday.end - yesterday.start, 300 * SECOND);
    plane.stop().await;
}
