//! StatefulSets and their Pods for the tests of this folder.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};
use tiphys_client::LeanPod;

use super::{
    identity::{self, POD_NAME},
    plan::View,
};
use crate::history::REVISION;

/// The second in which the tests take place.
const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

/// `n/web` with this spec.
pub fn set(spec: Value) -> StatefulSet {
    let mut set = json!({
        "metadata": {"name": "web", "namespace": "n", "uid": "web-uid", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": []}}},
    });
    let all = set["spec"].as_object_mut().expect("a spec");
    all.extend(spec.as_object().expect("an object").clone());
    serde_json::from_value(set).expect("a StatefulSet")
}

/// How far a Pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Pending,
    Running,
    /// Ready for so many seconds.
    Ready(i64),
    Failed,
    Succeeded,
}

pub fn pod(name: &str, revision: &str, stage: Stage, terminating: bool) -> Arc<LeanPod> {
    let phase = match stage {
        Stage::Pending => "Pending",
        Stage::Running | Stage::Ready(_) => "Running",
        Stage::Failed => "Failed",
        Stage::Succeeded => "Succeeded",
    };
    let since = |ago: i64| Timestamp::from_second(NOW - ago).expect("a time").to_string();
    let ready = match stage {
        Stage::Ready(ago) => json!({"type": "Ready", "status": "True", "lastTransitionTime": since(ago)}),
        _ => json!({"type": "Ready", "status": "False"}),
    };
    let pod = json!({
        "metadata": {
            "name": name, "namespace": "n", "uid": format!("{name}-uid"),
            "labels": {"app": "web", POD_NAME: name, REVISION: revision},
            "deletionTimestamp": terminating.then(|| since(0)),
        },
        "spec": {"containers": []},
        "status": {"phase": phase, "conditions": [ready]},
    });
    Arc::new(serde_json::from_value(pod).expect("a Pod"))
}

/// The set with these Pods; its current revision is `old`, its newest `new`.
pub fn view(set: &StatefulSet, pods: Vec<Arc<LeanPod>>) -> View<'_> {
    let pods = pods.into_iter().filter_map(|pod| Some((identity::ordinal(set, &pod.name)?, pod)));
    View { set, current: "old", newest: "new", pods: pods.collect(), claims: BTreeMap::new(), now: now() }
}
