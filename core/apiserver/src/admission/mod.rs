//! What a write must pass before it is stored: one plug-in a file, one list.
//!
//! ```text
//! decoded and defaulted object ──> mutate: every plug-in in the order of all() ──> validation of the kind
//!                              ──> validate: every plug-in again ──> charge: quotas ──> store
//! ```
//!
//! A plug-in changes the object only in [`Plugin::mutate`], and must be content
//! with what it has made of it when it sees it again (retried writes, dry runs).
//! It reads the cluster through [`Cluster`] and has no state of its own. What is
//! counted (quotas) is stored in one transaction with the object: see [`Charge`].

mod again;
mod certificate_approval;
mod certificate_signing;
mod certificate_subject_restriction;
mod charge;
mod claim_resize;
mod cluster;
mod compile_errors;
mod compiled;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod deny_service_external_ips;
mod expressions;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_labels;
mod node_restriction;
mod pod_security;
mod pod_topology_labels;
mod policy;
mod priority;
mod request;
mod resource_quota;
mod review;
mod runtime_class;
mod service_account;
mod storage_object_in_use;
mod taint_nodes;
mod tolerations;
mod type_check;
mod versions;
mod webhook;

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

pub use again::Again;
pub use charge::{Charge, Charges};
pub use cluster::Cluster;
pub use compile_errors::compile_errors;
pub use priority::SYSTEM as SYSTEM_PRIORITIES;
pub use request::{Notes, Operation, Request};
pub use type_check::type_check;
pub use versions::{Version, Versions};

use crate::authz::Refusal;

/// Every plug-in that is on, in the order they run.
pub fn all() -> &'static [&'static dyn Plugin] {
    &[
        &namespace_lifecycle::NamespaceLifecycle,
        &limit_ranger::LimitRanger,
        &service_account::ServiceAccount,
        &node_restriction::NodeRestriction,
        &taint_nodes::TaintNodesByCondition,
        &pod_security::PodSecurity,
        &priority::Priority,
        &default_toleration_seconds::DefaultTolerationSeconds,
        &default_storage_class::DefaultStorageClass,
        &storage_object_in_use::StorageObjectInUseProtection,
        &claim_resize::PersistentVolumeClaimResize,
        &runtime_class::RuntimeClass,
        &certificate_approval::CertificateApproval,
        &certificate_signing::CertificateSigning,
        &certificate_subject_restriction::CertificateSubjectRestriction,
        &default_ingress_class::DefaultIngressClass,
        &pod_topology_labels::PodTopologyLabels,
        &policy::MutatingAdmissionPolicy,
        &webhook::MutatingAdmissionWebhook,
        &policy::ValidatingAdmissionPolicy,
        &webhook::ValidatingAdmissionWebhook,
        &resource_quota::ResourceQuota,
    ]
}

/// So many plug-ins stay behind all others: policies, webhooks and quotas.
const AT_THE_END: usize = 5;

/// Plug-ins that run only when they are asked for by name.
pub fn optional() -> &'static [&'static dyn Plugin] {
    &[&deny_service_external_ips::DenyServiceExternalIps]
}

/// A rule about writes.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Upstream's name of it.
    fn name(&self) -> &'static str;

    /// Fills in or refuses, before validation.
    async fn mutate(&self, _cluster: &Cluster, _request: &mut Request<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Refuses, after validation.
    async fn validate(&self, _cluster: &Cluster, _request: &Request<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// What else the write changes, when nothing is left that could refuse it.
    async fn charge(&self, _cluster: &Cluster, _request: &Request<'_>) -> Result<Charges, Refusal> {
        Ok(Charges::default())
    }
}

/// All plug-ins over one cluster.
pub struct Admission {
    cluster: Cluster,
    plugins: Vec<&'static dyn Plugin>,
}

/// A name that no plug-in has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown admission plug-in {0:?}; those that can be enabled are: {1}")]
pub struct UnknownPlugin(String, String);

impl Admission {
    /// With the plug-ins of [`all`], and those of [`optional`] that are named.
    ///
    /// # Errors
    /// A name that is not among [`optional`].
    pub fn new(cluster: Cluster, enabled: &[String]) -> Result<Self, UnknownPlugin> {
        let known = || optional().iter().chain(all());
        let mut plugins = Vec::new();
        for name in enabled {
            if !known().any(|plugin| plugin.name() == name) {
                let names: Vec<&str> = optional().iter().map(|plugin| plugin.name()).collect();
                return Err(UnknownPlugin(name.clone(), names.join(", ")));
            }
        }
        // Before those at the end, which look at what all others have made.
        let (first, last) = all().split_at(all().len() - AT_THE_END);
        plugins.extend(first);
        plugins.extend(optional().iter().filter(|plugin| enabled.iter().any(|name| name == plugin.name())));
        plugins.extend(last);
        Ok(Self { cluster, plugins })
    }

    /// Before validation: plug-ins fill in the object, or refuse.
    pub async fn mutate(&self, request: &mut Request<'_>) -> Result<(), Refusal> {
        self.round(request).await?;
        if request.again.wanted {
            request.again.second = true;
            self.round(request).await?;
        }
        Ok(())
    }

    async fn round(&self, request: &mut Request<'_>) -> Result<(), Refusal> {
        for plugin in &self.plugins {
            plugin.mutate(&self.cluster, request).await.inspect_err(|why| log(*plugin, why))?;
        }
        Ok(())
    }

    /// After validation: plug-ins refuse, or not.
    pub async fn validate(&self, request: &Request<'_>) -> Result<(), Refusal> {
        for plugin in &self.plugins {
            plugin.validate(&self.cluster, request).await.inspect_err(|why| log(*plugin, why))?;
        }
        Ok(())
    }

    /// At last: what has to be stored together with the object. To be kept until that is done.
    pub async fn charge(&self, request: &Request<'_>) -> Result<Charges, Refusal> {
        let mut charges = Charges::default();
        for plugin in &self.plugins {
            let more = plugin.charge(&self.cluster, request).await;
            charges.extend(more.inspect_err(|why| log(*plugin, why))?);
        }
        Ok(charges)
    }
}

fn log(plugin: &dyn Plugin, why: &Refusal) {
    tracing::debug!(plugin = plugin.name(), %why, "write refused");
}

/// The list `field` of an object, made when it is not there.
fn list_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    let list = &mut object[field];
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().expect("it was just made an array")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The class marked as default by one of these annotations; of several the newest, then the first by name.
fn newest_marked(classes: &[Arc<Value>], marks: &[&str]) -> Option<Arc<Value>> {
    let is_marked =
        |class: &&Arc<Value>| marks.iter().any(|mark| class["metadata"]["annotations"][mark] == "true");
    let age = |class: &Arc<Value>, key: &str| class["metadata"][key].as_str().unwrap_or_default().to_owned();
    let marked = classes.iter().filter(is_marked);
    let newest =
        marked.max_by_key(|class| (age(class, "creationTimestamp"), std::cmp::Reverse(age(class, "name"))));
    newest.cloned()
}

/// A mirror Pod: the API's picture of a static Pod, made by a kubelet.
fn is_mirror_pod(pod: &Value) -> bool {
    pod["metadata"]["annotations"][MIRROR].is_string()
}

const MIRROR: &str = "kubernetes.io/config.mirror";

#[cfg(test)]
mod tests;
