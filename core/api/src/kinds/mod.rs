//! Every built-in kind, in one list. A kind is one file here and one line below.
//!
//! Kinds that belong together (Role and ClusterRole, the two versions of an
//! autoscaler, the review kinds) share a file. A kind may be served without a
//! controller that acts on it: its file says so.

use crate::kind::Kind;

mod admission_policies;
mod admission_rules;
pub mod api_service;
mod certificate_signing_request;
pub(crate) mod claim;
mod classes;
mod cluster_trust_bundle;
mod component_status;
mod config_map;
mod controller_revision;
mod cron_job;
mod csi_driver;
mod csi_node;
mod csi_storage_capacity;
pub mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod devices;
mod endpoint_slice;
mod endpoints;
mod event;
mod flow_control;
mod horizontal_pod_autoscaler;
mod ingress;
mod ip_address;
mod job;
mod lease;
mod limit_range;
mod namespace;
mod network_policy;
mod node;
mod pod;
mod pod_certificate_request;
mod pod_disruption_budget;
mod pod_template;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod reviews;
mod role;
mod role_binding;
mod secret;
mod service;
mod service_account;
mod service_cidr;
mod stateful_set;
mod storage_version_migration;
#[cfg(test)]
mod tests;
mod volume;
mod volume_attachment;
mod volume_attributes_class;
mod webhooks;

/// All kinds served, in the order in which discovery names groups and resources. Of several
/// versions of a group, the first is preferred.
pub fn all() -> &'static [&'static Kind] {
    ALL
}

/// The kind at `/apis/{group}/{version}/{plural}`; the core group is empty.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    ALL.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind that an object names by `apiVersion` and `kind`.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ALL.iter().copied().find(|k| k.group == group && k.version == version && k.kind == kind)
}

static ALL: &[&Kind] = &[
    &reviews::BINDING,
    &component_status::KIND,
    &config_map::KIND,
    &endpoints::KIND,
    &event::KIND,
    &limit_range::KIND,
    &namespace::KIND,
    &node::KIND,
    &claim::KIND,
    &volume::KIND,
    &pod::KIND,
    &pod_template::KIND,
    &replication_controller::KIND,
    &resource_quota::KIND,
    &secret::KIND,
    &service_account::KIND,
    &service::KIND,
    &webhooks::MUTATING,
    &webhooks::VALIDATING,
    &admission_policies::MUTATING,
    &admission_policies::MUTATING_BINDING,
    &admission_policies::VALIDATING,
    &admission_policies::VALIDATING_BINDING,
    &admission_policies::MUTATING_BETA,
    &admission_policies::MUTATING_BINDING_BETA,
    &controller_revision::KIND,
    &daemon_set::KIND,
    &deployment::KIND,
    &replica_set::KIND,
    &stateful_set::KIND,
    &event::KIND_NEW,
    &reviews::TOKEN_REVIEW,
    &reviews::SELF_SUBJECT_REVIEW,
    &reviews::LOCAL_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_ACCESS_REVIEW,
    &reviews::SELF_SUBJECT_RULES_REVIEW,
    &reviews::SUBJECT_ACCESS_REVIEW,
    &horizontal_pod_autoscaler::V2,
    &horizontal_pod_autoscaler::V1,
    &cron_job::KIND,
    &job::KIND,
    &certificate_signing_request::KIND,
    &cluster_trust_bundle::KIND,
    &pod_certificate_request::KIND,
    &ingress::INGRESS_CLASS,
    &ingress::INGRESS,
    &ip_address::KIND,
    &network_policy::KIND,
    &service_cidr::KIND,
    &pod_disruption_budget::KIND,
    &role_binding::CLUSTER_ROLE_BINDING,
    &role::CLUSTER_ROLE,
    &role_binding::ROLE_BINDING,
    &role::ROLE,
    &csi_driver::KIND,
    &csi_node::KIND,
    &csi_storage_capacity::KIND,
    &classes::STORAGE_CLASS,
    &volume_attachment::KIND,
    &volume_attributes_class::KIND,
    &classes::RUNTIME_CLASS,
    &classes::PRIORITY_CLASS,
    &lease::KIND,
    &endpoint_slice::KIND,
    &flow_control::FLOW_SCHEMA,
    &flow_control::PRIORITY_LEVEL,
    &devices::DEVICE_CLASS,
    &devices::taint::RULE,
    &devices::claim::CLAIM,
    &devices::claim::TEMPLATE,
    &devices::slice::KIND,
    &storage_version_migration::KIND,
    &custom_resource_definition::KIND,
    &api_service::KIND,
];
