//! In what the kinds of this controller differ: how the selector is written, and
//! how much the status can say. A ReplicationController's status is a
//! ReplicaSet's without the terminating Pods, so the controller thinks in the
//! younger kind's words.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::{
            PodTemplateSpec, ReplicationController, ReplicationControllerCondition,
            ReplicationControllerStatus,
        },
    },
};
use kube::Resource;
use serde::Serialize;

use crate::{
    context::Caches,
    error::Error,
    selector::Matcher,
    watched::{Kind, Watched},
};

/// A kind that wants a number of Pods of one template.
pub trait Replicated: Kind + Resource<Scope = NamespaceResourceScope> + Serialize + Debug {
    const CONTROLLER: &str;
    /// Who its events are from.
    const REPORTER: &str;

    fn watched(caches: &Caches) -> &Watched<Self>;

    /// # Errors
    /// An operator that isn't In, NotIn, Exists or DoesNotExist.
    fn selector(&self) -> Result<Matcher, Error>;

    fn wanted(&self) -> i32;

    fn min_ready_seconds(&self) -> i32;

    fn template(&self) -> Option<&PodTemplateSpec>;

    fn status(&self) -> Option<ReplicaSetStatus>;

    /// The object with this status, as far as its kind can say it.
    #[must_use]
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicated for ReplicaSet {
    const CONTROLLER: &str = "replicaset";
    const REPORTER: &str = "replicaset-controller";

    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.replica_sets
    }

    fn selector(&self) -> Result<Matcher, Error> {
        Matcher::workload(&self.spec.selector)
    }

    fn wanted(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn status(&self) -> Option<ReplicaSetStatus> {
        self.status.clone()
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

impl Replicated for ReplicationController {
    const CONTROLLER: &str = "replicationcontroller";
    const REPORTER: &str = "replication-controller";

    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.replication_controllers
    }

    fn selector(&self) -> Result<Matcher, Error> {
        Ok(Matcher::equality(self.spec.as_ref().and_then(|spec| spec.selector.as_ref())))
    }

    fn wanted(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn status(&self) -> Option<ReplicaSetStatus> {
        let status = self.status.as_ref()?;
        let condition = |condition: &ReplicationControllerCondition| ReplicaSetCondition {
            type_: Some(condition.type_.clone()),
            status: Some(condition.status.clone()),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            last_transition_time: condition.last_transition_time.clone(),
        };
        Some(ReplicaSetStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            terminating_replicas: None,
            observed_generation: status.observed_generation,
            conditions: status.conditions.as_ref().map(|all| all.iter().map(condition).collect()),
        })
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        let condition = |condition: ReplicaSetCondition| ReplicationControllerCondition {
            type_: condition.type_.unwrap_or_default(),
            status: condition.status.unwrap_or_default(),
            reason: condition.reason,
            message: condition.message,
            last_transition_time: condition.last_transition_time,
        };
        let status = ReplicationControllerStatus {
            replicas: status.replicas,
            fully_labeled_replicas: status.fully_labeled_replicas,
            ready_replicas: status.ready_replicas,
            available_replicas: status.available_replicas,
            observed_generation: status.observed_generation,
            conditions: status.conditions.map(|all| all.into_iter().map(condition).collect()),
        };
        Self { status: Some(status), ..self.clone() }
    }
}
