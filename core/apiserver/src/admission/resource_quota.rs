//! ResourceQuota: what is made in a namespace stays within its quotas.
//!
//! The plug-in decides by `status.used` of the quotas and gives their next state, to be
//! stored in one transaction with the object. Whoever charges a namespace waits for
//! its turn, so that transactions rarely lose.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use tiphys_api::{
    amounts::{self, Amounts},
    quota::{self, Counted, Write},
};

use super::{Charge, Charges, Cluster, Operation, Plugin, Request};
use crate::authz::Refusal;

/// Resources that are not counted: there are too many, or they are nobody's.
const UNCOUNTED: &[(&str, &str)] = &[("", "events"), ("events.k8s.io", "events"), ("", "bindings")];

pub struct ResourceQuota;

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    async fn charge(&self, cluster: &Cluster, request: &Request<'_>) -> Result<Charges, Refusal> {
        let counted = Counted { group: request.group, resource: request.resource };
        let write = Write { subresource: request.subresource, new: request.new_object(), old: request.old };
        let ignored = UNCOUNTED.contains(&(request.group, request.resource));
        if request.namespace.is_empty() || ignored || !request.writes() || !counted.is_charged(write) {
            return Ok(Charges::default());
        }
        if !quotas(cluster, request).iter().any(|quota| is_about(counted, quota, request.new_object())) {
            return Ok(Charges::default());
        }
        let turn = cluster.turn(request.namespace).await;
        let now = Timestamp::now();
        let charges: Result<Vec<_>, Refusal> = quotas(cluster, request)
            .iter()
            .map(|quota| charged(quota, counted, request, now).map_err(|why| request.forbid(&why)))
            .collect();
        let list = charges?.into_iter().flatten();
        let charge = |object| Charge { group: "", resource: "resourcequotas", object };
        Ok(Charges::new(list.map(charge).collect(), turn))
    }
}

fn quotas(cluster: &Cluster, request: &Request<'_>) -> Vec<Arc<Value>> {
    let mut quotas = cluster.objects.list("", "resourcequotas", request.namespace, &[]);
    quotas.sort_by(|a, b| a["metadata"]["name"].as_str().cmp(&b["metadata"]["name"].as_str()));
    quotas
}

fn is_about(counted: Counted<'_>, quota: &Value, object: &Value) -> bool {
    !quota::bounded(counted, quota).is_empty() && counted.is_in_scope(quota, object)
}

/// The quota with the write added to its use; `None` when it adds nothing. Pure.
fn charged(
    quota: &Value,
    counted: Counted<'_>,
    request: &Request<'_>,
    now: Timestamp,
) -> Result<Option<Value>, String> {
    let (new, old) = (request.new_object(), request.old_object());
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    if !is_about(counted, quota, new) {
        return Ok(None);
    }
    let bounded = quota::bounded(counted, quota);
    if let Some(missing) = counted.missing(&bounded, new) {
        return Err(format!("failed quota: {name}: {missing}"));
    }
    let (hard, mut used) = (amounts::read(quota, "/status/hard"), amounts::read(quota, "/status/used"));
    if bounded.iter().any(|name| !used.contains_key(name)) {
        return Err(format!("status unknown for quota: {name}, resources: {}", bounded.join(",")));
    }
    let mut delta = counted.usage(new, now);
    let negative: Vec<&str> =
        delta.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
    }
    if request.operation == Operation::Update && is_about(counted, quota, old) {
        let before = counted.usage(old, now);
        for (name, amount) in &mut delta {
            if let Some(before) = before.get(name) {
                *amount = (*amount - *before).max(tiphys_api::quantity::Quantity::ZERO);
            }
        }
    }
    delta.retain(|name, amount| hard.contains_key(name) && !amount.is_zero());
    if delta.is_empty() {
        return Ok(None);
    }
    let before = used.clone();
    amounts::add(&mut used, &delta);
    if request.subresource != "status"
        && let Some(why) = exceeded(name, &delta, &before, &used, &hard)
    {
        return Err(why);
    }
    let mut quota = quota.clone();
    quota["status"]["used"] = amounts::to_value(&used);
    Ok(Some(quota))
}

fn exceeded(
    quota: &str,
    delta: &Amounts,
    before: &Amounts,
    after: &Amounts,
    hard: &Amounts,
) -> Option<String> {
    let over = |name: &String| after.get(name) > hard.get(name);
    let names: Vec<&String> = delta.keys().filter(|name| over(name)).collect();
    if names.is_empty() {
        return None;
    }
    let only = |all: &Amounts| -> String {
        let some = names.iter().filter_map(|name| Some(((*name).clone(), *all.get(*name)?)));
        amounts::shown(&some.collect())
    };
    Some(format!(
        "exceeded quota: {quota}, requested: {}, used: {}, limited: {}",
        only(delta),
        only(before),
        only(hard)
    ))
}

#[cfg(test)]
mod tests;
