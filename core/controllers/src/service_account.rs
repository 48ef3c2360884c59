//! The ServiceAccount `default` in every namespace.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};

use crate::{
    context::{Context, DEFAULT_ACCOUNT},
    error::{Error, code, namespace_terminating},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

struct Accounts {
    client: Client,
    namespaces: Watched<Namespace>,
    accounts: Watched<ServiceAccount>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (namespaces, accounts) = (context.caches.namespaces.clone(), context.caches.accounts.clone());
    let keys = queue.clone();
    namespaces
        .subscribe(move |_, after| after.into_iter().for_each(|namespace| keys.add(Key::of(&**namespace))));
    let keys = queue.clone();
    accounts.subscribe(move |before, after| {
        if let (Some(gone), None) = (before, after) {
            keys.add(Key::cluster(object::namespace(&**gone)));
        }
    });
    context.run(Controller {
        name: "service-account",
        workers: 1,
        queue,
        synced: vec![namespaces.synced(), accounts.synced()],
        reconciler: Arc::new(Accounts { client: context.client.clone(), namespaces, accounts }),
    });
}

#[async_trait]
impl Reconciler for Accounts {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(namespace) = self.namespaces.get(key) else { return Ok(Requeue::No) };
        let there = self.accounts.get(&Key::new(&key.name, DEFAULT_ACCOUNT)).is_some();
        if there || object::deleting(&*namespace) {
            return Ok(Requeue::No);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(DEFAULT_ACCOUNT.to_owned()),
                namespace: Some(key.name.clone()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &key.name);
        match api.create(&PostParams::default(), &account).await {
            Ok(_) => Ok(Requeue::No),
            Err(error) if code(&error) == 409 || namespace_terminating(&error) => Ok(Requeue::No),
            Err(error) => Err(error.into()),
        }
    }
}
