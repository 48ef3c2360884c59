//! Deployments and ReplicaSets for the tests of this folder.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Value, json};

use super::{
    View,
    rollout::{DESIRED, MAX},
};

pub fn deployment(replicas: i32, surge: Value, unavailable: Value) -> Arc<Deployment> {
    let deployment = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 2},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {
                "maxSurge": surge, "maxUnavailable": unavailable}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}},
        },
    });
    Arc::new(serde_json::from_value(deployment).unwrap())
}

/// A ReplicaSet by its figures.
pub struct Set {
    new: bool,
    set: Value,
}

impl Set {
    pub fn old(name: &str, replicas: i32, available: i32) -> Self {
        Self::make(name, replicas, available, false)
    }

    pub fn new(name: &str, replicas: i32, available: i32) -> Self {
        Self::make(name, replicas, available, true)
    }

    fn make(name: &str, replicas: i32, available: i32, new: bool) -> Self {
        let set = json!({
            "metadata": {"name": name, "uid": name, "annotations": {}, "generation": 1,
                "creationTimestamp": if new { "2026-01-02T00:00:00Z" } else { "2026-01-01T00:00:00Z" }},
            "spec": {"replicas": replicas, "selector": {}},
            "status": {"replicas": replicas, "readyReplicas": available,
                "availableReplicas": available, "observedGeneration": 1},
        });
        Self { new, set }
    }

    /// The annotations of the last scaling.
    pub fn sized_for(mut self, desired: i32, max: i32) -> Self {
        let annotations = &mut self.set["metadata"]["annotations"];
        annotations[DESIRED] = desired.to_string().into();
        annotations[MAX] = max.to_string().into();
        self
    }
}

pub fn view(deployment: &Arc<Deployment>, sets: &[Set]) -> View {
    let parse = |set: &Set| -> Arc<ReplicaSet> { serde_json::from_value(set.set.clone()).unwrap() };
    View {
        deployment: deployment.clone(),
        new: sets.iter().find(|set| set.new).map(parse),
        old: sets.iter().filter(|set| !set.new).map(parse).collect(),
    }
}
