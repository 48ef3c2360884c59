//! Cordoned Nodes, unless the Pod tolerates the taint that stands for it.

use k8s_openapi::api::core::v1::Taint;
use tiphys_api::placement::tolerates;

use super::{Check, Filter, Refusal};
use crate::{change::Changes, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "NodeUnschedulable", changes: CHANGES, prepare };

const CHANGES: Changes = Changes::NODE_TAINTS;

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    let cordoned = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    if pod.tolerations().iter().any(|toleration| tolerates(toleration, &cordoned)) {
        return None;
    }
    Some(Box::new(|node| match node.unschedulable() {
        false => Ok(()),
        true => Err(Refusal::of_node("node(s) were unschedulable")),
    }))
}
