//! Keeps `status.used` of ResourceQuotas true.
//!
//! ```text
//! a quota is made or changed ──────────────────────────> its key
//! something that a quota counts goes or shrinks (watch) ─> keys of its namespace
//! here  one quota: read it, list what it counts no older than it, add up, write
//! ```
//!
//! What is made is charged by the API server, in one transaction with the object: so a
//! quota at revision R knows of every object made until R. A sum over objects no older than
//! R that is written only if the quota is still at R is therefore exact, and no
//! new object can slip between. Nothing is added up on a cache's word.
//!
//! A quota is charged from the moment its status says what it bounds. What was on its way
//! then is found a moment later: a quota with new bounds is summed twice.

mod sum;
mod watch;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, PostParams, VersionMatch},
};
use serde_json::{Value, json};

use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    served::Served,
};
use watch::Monitors;

/// How often a sum is made anew when writes come first.
const ATTEMPTS: usize = 8;

/// Writes that were on their way when a quota got its bounds have ended after this.
const SETTLED: Duration = Duration::from_secs(1);

struct Quotas {
    client: Client,
    monitors: Arc<Monitors>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let quotas = context.caches.quotas.clone();
    let monitors = Monitors::new(context, quotas.clone(), queue.clone());
    let keys = queue.clone();
    quotas.subscribe(move |before, after| {
        let Some(after) = after else { return };
        let same = before.is_some_and(|before| before.spec == after.spec);
        if !same || !is_summed(after) {
            keys.add(Key::of(&**after));
        }
    });
    monitors.follow(context);
    context.run(Controller {
        name: "resource-quota",
        workers: 4,
        queue,
        synced: vec![quotas.synced()],
        reconciler: Arc::new(Quotas { client: context.client.clone(), monitors }),
    });
}

/// Whether the status bounds what the spec says, and has a figure for each.
fn is_summed(quota: &ResourceQuota) -> bool {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    let status = quota.status.clone().unwrap_or_default();
    let used = status.used.unwrap_or_default();
    status.hard.unwrap_or_default() == hard && hard.keys().all(|name| used.contains_key(name))
}

#[async_trait]
impl Reconciler for Quotas {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let api: Api<ResourceQuota> = Api::namespaced(self.client.clone(), &key.namespace);
        for _ in 0..ATTEMPTS {
            let Some(mut quota) = found(api.get(&key.name).await)? else { return Ok(Requeue::No) };
            if object::deleting(&quota) {
                return Ok(Requeue::No);
            }
            let as_json = serde_json::to_value(&quota)?;
            let listed = self.listed(&quota, &as_json).await?;
            let now = Timestamp::now();
            let used = sum::used(&as_json, &listed, now);
            let again = sum::ends_next(&listed, now).map_or(Requeue::No, Requeue::After);
            let hard = as_json["spec"]["hard"].as_object().cloned().unwrap_or_default();
            let status = json!({ "hard": hard, "used": used });
            if as_json["status"] == status {
                return Ok(again);
            }
            let is_bounded_anew = as_json["status"]["hard"] != status["hard"];
            quota.status = serde_json::from_value(status)?;
            match api.replace_status(&key.name, &PostParams::default(), &quota).await {
                Ok(_) if is_bounded_anew => return Ok(Requeue::After(SETTLED)),
                Ok(_) => return Ok(again),
                Err(error) if crate::error::code(&error) == 409 => {}
                Err(error) if crate::error::code(&error) == 404 => return Ok(Requeue::No),
                Err(error) => return Err(error.into()),
            }
        }
        // Others write faster than this adds up: they will pause.
        Ok(Requeue::After(Duration::from_millis(100)))
    }
}

/// Objects by the resource (group, plural) they are of.
type Listed = BTreeMap<(String, String), Vec<Value>>;

impl Quotas {
    /// Everything the quota is about, no older than itself.
    async fn listed(&self, quota: &ResourceQuota, as_json: &Value) -> Result<Listed, Error> {
        let namespace = quota.namespace().unwrap_or_default();
        let at = ListParams {
            resource_version: quota.resource_version(),
            version_match: Some(VersionMatch::NotOlderThan),
            ..ListParams::default()
        };
        let mut listed = Listed::new();
        for (group, resource) in sum::resources(as_json) {
            let Some(served) = self.monitors.served(&group, &resource).await? else { continue };
            let objects = list(&self.client, &served, &namespace, &at).await?;
            listed.insert((group, resource), objects);
        }
        Ok(listed)
    }
}

/// Whole objects of those resources that count by more than their number, of others the metadata.
async fn list(
    client: &Client,
    served: &Served,
    namespace: &str,
    at: &ListParams,
) -> Result<Vec<Value>, Error> {
    if !sum::needs_whole(&served.resource.group, &served.resource.plural) {
        let found = served.writes(client, namespace).list_metadata(at).await?;
        return Ok(found.items.into_iter().map(|_| json!({})).collect());
    }
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &served.resource);
    let found = api.list(at).await?;
    found.items.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
}
