//! nodeSelector and required node affinity.

use tiphys_api::placement::{required_affinity, selects_node};

use super::{Check, Filter, Refusal};
use crate::{change::Changes, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "NodeAffinity", changes: Changes::NODE_LABELS, prepare };

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    let spec = &*pod.spec;
    if spec.node_selector.is_none() && required_affinity(spec).is_none() {
        return None;
    }
    Some(Box::new(move |node| match selects_node(spec, &node.name, node.labels()) {
        true => Ok(()),
        false => Err(Refusal::of_node("node(s) didn't match Pod's node affinity/selector")),
    }))
}
