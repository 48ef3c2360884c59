//! Removes bootstrap tokens that have expired.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, runtime::watcher};
use tiphys_client::Cache;

use crate::{
    context::Context,
    error::Error,
    expiry::remove_at,
    key::Key,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";

struct Tokens {
    client: Client,
    secrets: Watched<Secret>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let api = Api::namespaced(context.client.clone(), NAMESPACE);
    let only_tokens = watcher::Config::default().fields(&format!("type={TYPE}"));
    let cache = Cache::start(&context.tasks, api, only_tokens);
    let secrets = Watched::start(&context.tasks, cache, |_| None);
    let keys = queue.clone();
    secrets.subscribe(move |_, after| after.into_iter().for_each(|secret| keys.add(Key::of(&**secret))));
    context.run(Controller {
        name: "bootstrap-token",
        workers: 1,
        queue,
        synced: vec![secrets.synced()],
        reconciler: Arc::new(Tokens { client: context.client.clone(), secrets }),
    });
}

#[async_trait]
impl Reconciler for Tokens {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(secret) = self.secrets.get(key) else { return Ok(Requeue::No) };
        let api = Api::namespaced(self.client.clone(), NAMESPACE);
        remove_at(&api, &*secret, end(&secret)).await
    }
}

/// When the token ends; one without an end, or with one that can't be read, stays.
fn end(secret: &Secret) -> Option<Timestamp> {
    let text = secret.data.as_ref()?.get("expiration")?;
    std::str::from_utf8(&text.0).ok()?.parse().ok()
}
