//! Nodes.

use k8s_openapi::api::core::v1::Node;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

/// Labels that say what a node is for.
const ROLE: &str = "node-role.kubernetes.io/";

pub const NAMES: &[Name] = &[
    ("kube_node_info", Gauge, "A node, with what runs on it"),
    ("kube_node_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_node_deletion_timestamp", Gauge, "When its end was ordered, since the Unix epoch"),
    ("kube_node_role", Gauge, "What it is for"),
    ("kube_node_spec_unschedulable", Gauge, "Whether it takes no new Pods"),
    ("kube_node_spec_pod_cidrs", Gauge, "A range of its Pods' addresses"),
    ("kube_node_spec_taint", Gauge, "What keeps Pods away"),
    ("kube_node_status_addresses", Gauge, "An address"),
    ("kube_node_status_capacity", Gauge, "What it has"),
    ("kube_node_status_allocatable", Gauge, "What it has for Pods"),
    ("kube_node_status_condition", Gauge, "A condition in each of its states"),
];

pub fn tell(object: &Node) -> Rows {
    let meta = &object.metadata;
    let mut rows = Rows::of("node", meta);
    rows.time("kube_node_created", meta.creation_timestamp.as_ref());
    rows.time("kube_node_deletion_timestamp", meta.deletion_timestamp.as_ref());
    for role in meta.labels.iter().flatten().filter_map(|(name, _)| name.strip_prefix(ROLE)) {
        rows.with("kube_node_role", &[("role", role)], 1.0);
    }
    let spec = object.spec.as_ref();
    rows.flag("kube_node_spec_unschedulable", spec.is_some_and(|spec| spec.unschedulable == Some(true)));
    for taint in spec.into_iter().flat_map(|spec| spec.taints.iter().flatten()) {
        let value = taint.value.as_deref().unwrap_or_default();
        let labels = [("key", taint.key.as_str()), ("value", value), ("effect", &taint.effect)];
        rows.with("kube_node_spec_taint", &labels, 1.0);
    }
    for range in spec.into_iter().flat_map(|spec| spec.pod_cidrs.iter().flatten()) {
        rows.with("kube_node_spec_pod_cidrs", &[("pod_cidr", range)], 1.0);
    }
    let Some(status) = &object.status else { return rows };
    let addresses = status.addresses.as_deref().unwrap_or_default();
    let internal = addresses.iter().find(|address| address.type_ == "InternalIP");
    let (pods, provider) =
        (spec.and_then(|spec| spec.pod_cidr.as_deref()), spec.and_then(|spec| spec.provider_id.as_deref()));
    if let Some(info) = &status.node_info {
        let labels = [
            ("kernel_version", info.kernel_version.as_str()),
            ("os_image", &info.os_image),
            ("container_runtime_version", &info.container_runtime_version),
            ("kubelet_version", &info.kubelet_version),
            ("pod_cidr", pods.unwrap_or_default()),
            ("provider_id", provider.unwrap_or_default()),
            ("system_uuid", &info.system_uuid),
            ("internal_ip", internal.map_or("", |address| &address.address)),
        ];
        rows.with("kube_node_info", &labels, 1.0);
    }
    for address in addresses {
        let labels = [("type", address.type_.as_str()), ("address", &address.address)];
        rows.with("kube_node_status_addresses", &labels, 1.0);
    }
    rows.amounts("kube_node_status_capacity", &[], status.capacity.as_ref());
    rows.amounts("kube_node_status_allocatable", &[], status.allocatable.as_ref());
    for condition in status.conditions.iter().flatten() {
        rows.condition("kube_node_status_condition", &[("condition", &condition.type_)], &condition.status);
    }
    rows
}
