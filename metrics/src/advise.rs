//! The table `advise`: what containers request against what they use, and what they should
//! request. Like a VerticalPodAutoscaler that only recommends.
//!
//! A row is a container of a workload: what its Pods have in common is their owner. CPU is
//! the 95th percentile over time and Pods, memory the most that was seen; both with a margin.
//! What is looked at is the memory of the metrics server, an hour.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray, UInt64Array},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::Result,
    prelude::SessionContext,
};
use tiphys_api::quantity;
use tiphys_client::{Cache, LeanPod};

use crate::{
    figures::Figure,
    memory::{Level, Memory, Point, rate},
    scope::Scope,
    sql::{Asker, Extension, computed},
};

/// The share of time that CPU requested is to cover.
const QUANTILE: f64 = 0.95;
/// What is asked for beyond what was used.
const MARGIN: f64 = 1.15;
/// The least that is advised.
const LEAST_CORES: f64 = 0.01;
const LEAST_BYTES: f64 = (16 << 20) as f64;
/// What advice is rounded up to.
const CORES_STEP: f64 = 0.005;
const BYTES_STEP: f64 = (1 << 20) as f64;

/// The columns.
pub fn schema() -> SchemaRef {
    let field = |name: &str, kind, nullable, about: &str| {
        Field::new(name, kind, nullable)
            .with_metadata(HashMap::from([("description".to_owned(), about.to_owned())]))
    };
    let text = |name, about| field(name, DataType::Utf8, false, about);
    let cores = |name, about| field(name, DataType::Float64, true, about);
    let bytes = |name, about| field(name, DataType::UInt64, true, about);
    Arc::new(Schema::new(vec![
        text("namespace", "the Pods' namespace"),
        text("workload", "what owns the Pods, as Kind/name"),
        text("container", "the container"),
        field("pods", DataType::Int32, false, "Pods with figures"),
        cores("cpu_request", "cores requested now, absent when none are"),
        cores("cpu_p95", "cores used 95 % of the time at most"),
        cores("cpu_advice", "cores to request"),
        bytes("memory_request", "bytes requested now, absent when none are"),
        bytes("memory_max", "the largest working set, bytes"),
        bytes("memory_advice", "bytes to request"),
        field("seconds", DataType::Float64, false, "seconds of one Pod that it rests on"),
    ]))
}

/// Brings the table into SQL.
pub struct Advise {
    pub memory: Arc<Memory>,
    pub pods: Cache<LeanPod>,
}

impl Extension for Advise {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        let scope = Scope::of(asker.user.clone(), asker.authorizer.clone());
        let (memory, pods) = (self.memory.clone(), self.pods.clone());
        let table = computed(schema(), move || rows(&memory, &pods, &scope));
        session.register_table("advise", table).map(drop)
    }
}

/// What is known of one container of a workload.
#[derive(Debug, Default)]
struct Use {
    pods: i32,
    cpu_request: Option<f64>,
    memory_request: Option<u64>,
    /// Cores, and for how many seconds.
    cpu: Vec<(f64, f64)>,
    memory: u64,
}

/// The rows that a user sees.
///
/// # Errors
/// None in practice.
pub fn rows(memory: &Memory, pods: &Cache<LeanPod>, scope: &Scope) -> Result<Vec<RecordBatch>> {
    let cpu = Figure::named("cpu_cores").expect("in the list of figures");
    let mut found: BTreeMap<(String, String, String), Use> = BTreeMap::new();
    memory.visit(Level::Container, |key, ring| {
        if !scope.sees_namespace(&key.namespace) {
            return;
        }
        let Some(pod) = pods.get(&key.namespace, &key.pod) else { return };
        let one = found.entry((key.namespace.clone(), workload(&pod), key.container.clone())).or_default();
        one.pods += 1;
        let container = pod.spec.containers.iter().find(|container| container.name == key.container);
        let requests = container.and_then(|container| container.resources.as_ref()?.requests.as_ref());
        let requested = |name: &str| quantity::milli(&requests?.get(name)?.0);
        one.cpu_request = requested("cpu").map(|milli| milli as f64 / 1000.0);
        one.memory_request = requested("memory").and_then(|milli| u64::try_from(milli / 1000).ok());
        let mut before: Option<Point> = None;
        for point in ring.points() {
            one.memory = one.memory.max(point.usage.memory_working_set_bytes);
            if let Some(before) = &before {
                let seconds = (point.time - before.time) as f64 / 1e6;
                one.cpu.push((rate(cpu, before, &point) * 1e-9, seconds));
            }
            before = Some(point);
        }
    });
    if found.is_empty() { Ok(Vec::new()) } else { batch(&mut found).map(|batch| vec![batch]) }
}

/// What owns a Pod; of a Deployment's ReplicaSet the Deployment.
fn workload(pod: &LeanPod) -> String {
    let Some(owner) = pod.owners.iter().find(|owner| owner.controller == Some(true)) else {
        return format!("Pod/{}", pod.name);
    };
    let hash = tiphys_api::labels::LabelMap::value(&pod.labels, "pod-template-hash");
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
    match deployment {
        Some(name) if owner.kind == "ReplicaSet" => format!("Deployment/{name}"),
        _ => format!("{}/{}", owner.kind, owner.name),
    }
}

fn batch(found: &mut BTreeMap<(String, String, String), Use>) -> Result<RecordBatch> {
    for one in found.values_mut() {
        one.cpu.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    let all: Vec<_> = found.iter().collect();
    let text = |of: fn(&(String, String, String)) -> &String| -> ArrayRef {
        Arc::new(all.iter().map(|(key, _)| Some(of(key).as_str())).collect::<StringArray>())
    };
    let cores = |of: fn(&Use) -> Option<f64>| -> ArrayRef {
        Arc::new(all.iter().map(|(_, one)| of(one)).collect::<Float64Array>())
    };
    let bytes = |of: fn(&Use) -> Option<u64>| -> ArrayRef {
        Arc::new(all.iter().map(|(_, one)| of(one)).collect::<UInt64Array>())
    };
    let columns: Vec<ArrayRef> = vec![
        text(|key| &key.0),
        text(|key| &key.1),
        text(|key| &key.2),
        Arc::new(all.iter().map(|(_, one)| Some(one.pods)).collect::<Int32Array>()),
        cores(|one| one.cpu_request),
        cores(|one| quantile(&one.cpu, QUANTILE)),
        cores(|one| quantile(&one.cpu, QUANTILE).map(|used| advice(used, LEAST_CORES, CORES_STEP))),
        bytes(|one| one.memory_request),
        bytes(|one| Some(one.memory)),
        bytes(|one| Some(advice(one.memory as f64, LEAST_BYTES, BYTES_STEP) as u64)),
        cores(|one| Some(one.cpu.iter().map(|(_, seconds)| seconds).sum())),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// With the margin, rounded up, and no less than `least`.
fn advice(used: f64, least: f64, step: f64) -> f64 {
    let steps = (used * MARGIN / step - 1e-9).ceil();
    (steps * step).max(least)
}

/// The value below which sorted values stay for a share of their time.
fn quantile(sorted: &[(f64, f64)], share: f64) -> Option<f64> {
    let all: f64 = sorted.iter().map(|(_, seconds)| seconds).sum();
    let mut passed = 0.0;
    for (value, seconds) in sorted {
        passed += seconds;
        if passed >= all * share {
            return Some(*value);
        }
    }
    sorted.last().map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quantile_counts_time_and_not_samples() {
        assert_eq!(quantile(&[], 0.95), None);
        // One second at 3 cores among a hundred at a tenth.
        assert_eq!(quantile(&[(0.1, 100.0), (3.0, 1.0)], 0.95), Some(0.1));
        assert_eq!(quantile(&[(0.1, 1.0), (0.2, 1.0), (3.0, 15.0)], 0.95), Some(3.0));
    }

    #[test]
    fn advice_has_a_margin_and_a_least() {
        assert!((advice(0.1, LEAST_CORES, CORES_STEP) - 0.115).abs() < 1e-9);
        assert!((advice(0.0, LEAST_CORES, CORES_STEP) - LEAST_CORES).abs() < 1e-9);
        assert!((advice(100e6, LEAST_BYTES, BYTES_STEP) - 110.0 * BYTES_STEP).abs() < 1.0);
    }

    #[test]
    fn pods_of_a_deployment_are_one_workload() {
        let pod = |owner: serde_json::Value| -> LeanPod {
            serde_json::from_value(
                json!({"metadata": {"name": "web-5f7-x", "labels": {"pod-template-hash": "5f7"},
                "ownerReferences": [owner]}}),
            )
            .expect("a Pod")
        };
        let owner = |kind: &str, name: &str| json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true});
        assert_eq!(workload(&pod(owner("ReplicaSet", "web-5f7"))), "Deployment/web");
        assert_eq!(workload(&pod(owner("StatefulSet", "db"))), "StatefulSet/db");
    }
}
