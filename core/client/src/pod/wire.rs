//! A Pod as it is decoded on its way to a [`crate::LeanPod`]: what nobody there reads is skipped, not built.

use std::borrow::Cow;

use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, PodCondition, PodIP, PodSpec},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::Resource;
use serde::{Deserialize, de::IgnoredAny};

use crate::meta::without_managed_fields;

/// The kind is Pod, whatever else it lacks.
#[derive(Debug, Clone, Deserialize)]
pub struct WirePod {
    #[serde(deserialize_with = "without_managed_fields")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    pub(super) spec: Option<PodSpec>,
    #[serde(default)]
    pub(super) status: Option<WireStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireStatus {
    pub phase: Option<String>,
    pub conditions: Option<Vec<PodCondition>>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub pod_ips: Option<Vec<PodIP>>,
    pub start_time: Option<Time>,
    pub container_statuses: Option<Vec<WireContainer>>,
    pub init_container_statuses: Option<Vec<WireContainer>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireContainer {
    pub restart_count: i32,
    pub state: WireState,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WireState {
    pub running: Option<IgnoredAny>,
}

impl Resource for WirePod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Pod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        Pod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        Pod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        Pod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
