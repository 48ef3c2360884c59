//! Pods: their number and what they request, while they have not ended.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::has_ended;
use crate::{
    access::{list, text},
    amounts::{self, Amounts},
    quantity::Quantity,
    resource_names::is_extended,
};

const NAMES: &[&str] = &[
    "pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];

/// A quota of one of these obliges every container to say an amount.
const OBLIGING: &[&str] =
    &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

const HUGE_PAGES: &str = "hugepages-";

pub fn counts(name: &str) -> bool {
    NAMES.contains(&name)
        || name.starts_with(HUGE_PAGES)
        || name.strip_prefix("requests.").is_some_and(|of| of.starts_with(HUGE_PAGES) || is_extended(of))
}

pub fn add(pod: &Value, now: Timestamp, usage: &mut Amounts) {
    if has_ended(pod, now) {
        return;
    }
    usage.insert("pods".into(), Quantity::from_units(1));
    let (requests, limits) = (amounts::of_pod(pod, "requests"), amounts::of_pod(pod, "limits"));
    amounts::add(usage, &named(&requests, &limits));
}

/// Requests and limits by the names that quotas have for them.
fn named(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut named = Amounts::new();
    for (name, amount) in requests {
        let plain = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
        if plain || name.starts_with(HUGE_PAGES) {
            named.insert(name.clone(), *amount);
        }
        if plain || name.starts_with(HUGE_PAGES) || is_extended(name) {
            named.insert(format!("requests.{name}"), *amount);
        }
    }
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(amount) = limits.get(name) {
            named.insert(format!("limits.{name}"), *amount);
        }
    }
    named
}

/// `must specify cpu for: a,b; memory for: b`
pub fn missing(names: &[String], pod: &Value) -> Option<String> {
    let obliging: Vec<&String> = names.iter().filter(|name| OBLIGING.contains(&name.as_str())).collect();
    let mut lacking: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for container in list(pod, "/spec/containers").iter().chain(list(pod, "/spec/initContainers")) {
        let said = named(
            &amounts::read(container, "/resources/requests"),
            &amounts::read(container, "/resources/limits"),
        );
        for name in obliging.iter().filter(|name| !said.contains_key(**name)) {
            lacking.entry(name).or_default().insert(text(container, "/name"));
        }
    }
    let parts: Vec<String> = lacking
        .into_iter()
        .map(|(name, containers)| {
            format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("must specify {}", parts.join("; ")))
}
