//! Advice over samples in memory and in a store: who sees it, and whose Pods count.

use std::collections::BTreeSet;

use datafusion::{
    arrow::util::display::array_value_to_string,
    common::DataFusionError,
    execution::{memory_pool::GreedyMemoryPool, runtime_env::RuntimeEnvBuilder},
    prelude::{SessionConfig, col, lit},
    scalar::ScalarValue,
};
use serde_json::{Value as Json, json};
use tiphys_api::{
    auth::UserInfo,
    samples::{ContainerSample, NodeSamples, PodSample, Usage},
};

use super::*;
use crate::{
    series::{Labels, Limits, NAME, Sample, Value},
    sql::{Batches, tests::ByName},
};

const SECOND: i64 = 1_000_000;
const MIB: u64 = 1 << 20;
/// The labels by which a node's own series are known.
const OWN: [(&str, &str); 4] =
    [("job", "kubelet"), ("metrics_path", "/metrics/cadvisor"), ("node", "n1"), ("instance", "n1")];

fn pod(namespace: &str, name: &str, owner: &Json) -> Arc<LeanPod> {
    let sidecar = json!({"name": "proxy", "restartPolicy": "Always",
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}}});
    let app = json!({"name": "app", "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "256Mi"}}});
    let pod = json!({
        "metadata": {"namespace": namespace, "name": name, "labels": {"pod-template-hash": "5f7"},
            "ownerReferences": owner},
        "spec": {"containers": [app], "initContainers": [sidecar]},
    });
    Arc::new(serde_json::from_value(pod).expect("a Pod"))
}

fn owned(kind: &str, name: &str) -> Json {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true}])
}

fn pods() -> Vec<Arc<LeanPod>> {
    let set = owned("ReplicaSet", "web-5f7");
    vec![pod("shop", "web-5f7-a", &set), pod("shop", "web-5f7-b", &set), pod("bank", "teller", &json!([]))]
}

fn container(name: &str, id: &str, second: i64) -> ContainerSample {
    let usage = Usage {
        cpu_usage_nanos_total: second.cast_unsigned() * 100_000_000,
        memory_working_set_bytes: 100 * MIB,
        ..Usage::default()
    };
    ContainerSample { container: name.into(), container_id: id.into(), usage, ..ContainerSample::default() }
}

/// Twenty seconds until now; `app` of the first Pod is restarted in the middle.
fn memory(now: i64) -> Memory {
    let memory = Memory::begun_at(0);
    for second in 0..20 {
        let of = |namespace: &str, pod: &str, containers| PodSample {
            namespace: namespace.into(),
            pod: pod.into(),
            uid: pod.into(),
            containers,
            ..PodSample::default()
        };
        let id = if second < 10 { "a1" } else { "a2" };
        memory.ingest(&NodeSamples {
            time: now - (20 - second) * SECOND,
            node: "n1".into(),
            pods: vec![
                of("shop", "web-5f7-a", vec![container("app", id, second), container("proxy", "p", second)]),
                of("shop", "web-5f7-b", vec![container("app", "b", second)]),
                of("bank", "teller", vec![container("app", "t", second)]),
            ],
            ..NodeSamples::default()
        });
    }
    memory
}

fn put(store: &Store, name: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]) {
    let labels = labels.iter().copied().chain([(NAME, name), ("namespace", "shop")]);
    let series = store.resolve(&Labels::new(labels)).expect("taken");
    for (time, value) in samples {
        store.append(&[Sample { series, time: *time / 1000, value: Value::Number(*value) }]);
    }
}

/// A Pod of an older ReplicaSet that used a core and 300 Mi two days ago, and why the first one's
/// container ended.
fn store(now: i64) -> Arc<Store> {
    let store = Store::in_memory(Limits::default());
    let then = now - 2 * 24 * 3600 * SECOND;
    let gone = [("pod", "web-4d2-z"), ("container", "app"), ("id", "/podz/c"), ("name", "c")];
    let own = [&OWN[..], &gone[..]].concat();
    let minutes = |each: fn(i64) -> f64| (0..40).map(move |at| (then + at * 15 * SECOND, each(at)));
    put(
        &store,
        "container_cpu_usage_seconds_total",
        &own,
        &minutes(|at| at as f64 * 15.0).collect::<Vec<_>>(),
    );
    put(&store, "container_memory_working_set_bytes", &own, &[(then, (300 * MIB) as f64)]);
    let by = |kind, name| [("owner_is_controller", "true"), ("owner_kind", kind), ("owner_name", name)];
    let of_pod = [&by("ReplicaSet", "web-4d2")[..], &[("pod", "web-4d2-z")]].concat();
    put(&store, "kube_pod_owner", &of_pod, &[(then, 1.0)]);
    let of_set = [&by("Deployment", "web")[..], &[("replicaset", "web-4d2")]].concat();
    put(&store, "kube_replicaset_owner", &of_set, &[(then, 1.0)]);
    let ended = [("pod", "web-5f7-a"), ("container", "app"), ("reason", "OOMKilled")];
    put(&store, "kube_pod_container_status_last_terminated_reason", &ended, &[(now - 9 * SECOND, 1.0)]);
    Arc::new(store)
}

fn empty() -> Arc<Store> {
    Arc::new(Store::in_memory(Limits::default()))
}

/// What a user sees, by a statement that may hold so many bytes.
fn asked(user: &str, store: &Arc<Store>, wanted: &Wanted, most: usize) -> Result<Vec<RecordBatch>> {
    let now = Timestamp::now().as_microsecond();
    let (memory, store, wanted) = (memory(now), store.clone(), wanted.clone());
    let scope = Scope::of(UserInfo::named(user, &[]), Arc::new(ByName));
    let table = counted(schema(), move |_: Wanted, share: Share| -> Result<Batches> {
        let sources = Sources { memory: &memory, series: &store, pods: pods(), share: &share };
        let rows = rows(&sources, &scope, &wanted, &Notes::default(), now)?;
        Ok(Box::new(std::iter::once(Ok(rows))))
    });
    let pool = Arc::new(GreedyMemoryPool::new(most));
    let environment = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc()?;
    let session = SessionContext::new_with_config_rt(SessionConfig::new(), environment);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
    runtime.block_on(async { session.read_table(table)?.collect().await })
}

/// These columns of the rows that a user sees.
fn shown(user: &str, store: &Arc<Store>, wanted: &Wanted, columns: &[&str]) -> Vec<String> {
    let cell = |batch: &RecordBatch, name: &str, row| {
        array_value_to_string(batch.column_by_name(name).expect("a column"), row).expect("shown")
    };
    let mut all = Vec::new();
    for batch in asked(user, store, wanted, 1 << 20).expect("rows") {
        let row = |row| columns.iter().map(|name| cell(&batch, name, row)).collect::<Vec<_>>().join(" ");
        all.extend((0..batch.num_rows()).map(row));
    }
    all
}

#[test]
fn what_is_kept_of_pods_that_are_gone_counts_as_memory_of_the_statement() {
    let now = Timestamp::now().as_microsecond();
    let store = store(now);
    for pod in 0..1000 {
        let pod = format!("web-4d2-{pod}");
        let labels = [("owner_is_controller", "true"), ("owner_kind", "ReplicaSet"), ("pod", pod.as_str())];
        put(&store, "kube_pod_owner", &labels, &[(now - 3600 * SECOND, 1.0)]);
    }
    let little = |wanted: &Wanted| asked("admin", &store, wanted, 64 << 10);
    let error = little(&Wanted::default()).expect_err("too much");
    assert!(matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)), "{error}");
    // Those of other namespaces are not kept.
    let of_bank = Wanted::among("namespace", BTreeSet::from(["bank".to_owned()]));
    assert_eq!(little(&of_bank).expect("rows").iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[test]
fn a_pod_counts_once_however_often_its_container_was_restarted() {
    let none = empty();
    let columns = ["workload", "container", "pods", "seconds", "cpu_advice", "memory_advice", "oom_kills"];
    let expected =
        ["Deployment/web app 2 37.0 0.12 120586240 0", "Deployment/web proxy 1 19.0 0.12 120586240 0"];
    assert_eq!(shown("shop", &none, &Wanted::default(), &columns), expected);
}

#[test]
fn sidecars_have_their_requests() {
    let none = empty();
    let columns = ["container", "cpu_request", "memory_request"];
    let expected = ["app 1.0 ", "proxy 0.05 33554432"];
    assert_eq!(shown("shop", &none, &Wanted::default(), &columns), expected);
}

#[test]
fn abuse_29_advice_is_of_the_namespaces_that_a_user_sees() {
    let now = Timestamp::now().as_microsecond();
    let store = store(now);
    let seen = |user| shown(user, &store, &Wanted::default(), &["namespace", "workload", "container"]);
    assert_eq!(seen("bank"), ["bank Pod/teller app"]);
    assert_eq!(seen("admin").len(), 3);
    assert!(seen("otto").is_empty());
}

#[test]
fn pods_that_are_gone_and_kills_count_within_the_time_that_is_asked_for() {
    let now = Timestamp::now().as_microsecond();
    let store = store(now);
    let columns = ["container", "pods", "cpu_p95", "memory_max", "memory_advice", "oom_kills"];
    let all = shown("shop", &store, &Wanted::default(), &columns);
    let max = 300 * MIB;
    // 356 Mi after the kill at the limit of 256, and the margin.
    let (most, advised) = (max.to_string(), (410 * MIB).to_string());
    assert!(all[0].starts_with("app 3 1.0") && all[0].ends_with(&format!(" {most} {advised} 1")), "{all:?}");
    let since = ScalarValue::TimestampMicrosecond(Some(now - 3600 * SECOND), Some("UTC".into()));
    let hour = Wanted::of(&[col("time").gt_eq(lit(since))]);
    let recent = shown("shop", &store, &hour, &columns);
    assert!(recent[0].starts_with("app 2 0.10"), "{recent:?}");
    assert!(recent[0].ends_with(&format!(" {} {advised} 1", 100 * MIB)), "{recent:?}");
    let why = shown("shop", &store, &hour, &["why"]);
    assert_eq!(why, ["killed once for lack of memory at 256 Mi: a fifth more, 100 Mi at least", ""]);
}

#[test]
fn a_container_that_was_killed_and_not_restarted_counts() {
    let now = Timestamp::now().as_microsecond();
    let columns = ["container", "memory_advice", "oom_kills"];
    // 356 Mi after the kill at the limit of 256, and the margin.
    let expected = format!("app {} 1", 410 * MIB);
    let of = [("pod", "web-5f7-a"), ("container", "app")];
    let told = empty();
    let ended = [&of[..], &[("reason", "OOMKilled")]].concat();
    put(&told, "kube_pod_container_status_terminated_reason", &ended, &[(now - 9 * SECOND, 1.0)]);
    assert_eq!(shown("shop", &told, &Wanted::default(), &columns)[0], expected);
    // Killed before its counter was read for the first time.
    let counted = empty();
    let own = [&OWN[..], &of[..], &[("id", "/podp/a1"), ("name", "a1")]].concat();
    let samples = [(now - 9 * SECOND, 1.0), (now - 5 * SECOND, 1.0)];
    put(&counted, "container_oom_events_total", &own, &samples);
    assert_eq!(shown("shop", &counted, &Wanted::default(), &columns)[0], expected);
    // One that was there before the time that is asked for was killed before it.
    let earlier = empty();
    let samples = [(now - 3700 * SECOND, 1.0), (now - 5 * SECOND, 1.0)];
    put(&earlier, "container_oom_events_total", &own, &samples);
    let since = ScalarValue::TimestampMicrosecond(Some(now - 3600 * SECOND), Some("UTC".into()));
    let hour = Wanted::of(&[col("time").gt_eq(lit(since))]);
    assert!(shown("shop", &earlier, &hour, &columns)[0].ends_with(" 0"), "it is not of this hour");
}

#[test]
fn pods_of_a_deployment_are_one_workload() {
    let of = |kind, name| gathered::workload(&pod("shop", "web-5f7-x", &owned(kind, name)));
    assert_eq!(of("ReplicaSet", "web-5f7"), "Deployment/web");
    assert_eq!(of("StatefulSet", "db"), "StatefulSet/db");
}
