//! Taints NoSchedule and NoExecute that the Pod doesn't tolerate.

use tiphys_api::placement::untolerated;

use super::{Check, Filter, Refusal};
use crate::{change::Changes, pod_info::PodInfo, snapshot::Snapshot};

pub const FILTER: Filter = Filter { name: "TaintToleration", changes: Changes::NODE_TAINTS, prepare };

fn prepare<'a>(pod: &'a PodInfo, _: &'a Snapshot) -> Option<Check<'a>> {
    Some(Box::new(|node| {
        let Some(taint) = untolerated(node.taints(), pod.tolerations(), &["NoSchedule", "NoExecute"]) else {
            return Ok(());
        };
        let value = taint.value.as_deref().unwrap_or_default();
        let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
        Err(Refusal { reasons: vec![reason.into()], by_pods: false })
    }))
}
