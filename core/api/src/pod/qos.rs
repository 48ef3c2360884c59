//! The quality-of-service class of a Pod, from its requests and limits.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>

use serde_json::Value;

use crate::{
    access::{entries, list},
    quantity::Quantity,
};

/// `Guaranteed`, `Burstable` or `BestEffort`. Only CPU and memory count; what the Pod bounds or asks for
/// as a whole takes the place of what its containers do.
pub fn class(spec: &Value) -> &'static str {
    let all = || list(spec, "/initContainers").iter().chain(list(spec, "/containers"));
    let states = |which: &str| entries(spec, &format!("/resources/{which}")).next().is_some();
    let bounded: Vec<&Value> =
        if states("requests") || states("limits") { vec![spec] } else { all().collect() };
    let containers = || bounded.iter().copied();
    let amounts = |container: &Value, which: &str| -> Vec<(String, Quantity)> {
        entries(container, &format!("/resources/{which}"))
            .filter(|(name, _)| ["cpu", "memory"].contains(&name.as_str()))
            .filter_map(|(name, amount)| Some((name.clone(), amount.as_str()?.parse().ok()?)))
            .filter(|(_, amount): &(String, Quantity)| amount.units() > 0)
            .collect()
    };
    if containers().all(|c| amounts(c, "requests").is_empty() && amounts(c, "limits").is_empty()) {
        return "BestEffort";
    }
    let guaranteed = containers().all(|container| {
        let limits = amounts(container, "limits");
        let requests = amounts(container, "requests");
        limits.len() == 2 && requests.iter().all(|request| limits.contains(request))
    });
    if guaranteed { "Guaranteed" } else { "Burstable" }
}
