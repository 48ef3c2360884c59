//! A Pod that names its Node goes there only.

use super::{Check, Filter, Refusal};
use crate::{change::Changes, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "NodeName", changes: Changes::NODE_ADDED, prepare };

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    let wanted = Some(&*pod.node).filter(|name| !name.is_empty())?;
    Some(Box::new(move |node| match node.name == wanted {
        true => Ok(()),
        false => Err(Refusal::of_node("node(s) didn't match the requested node name")),
    }))
}
