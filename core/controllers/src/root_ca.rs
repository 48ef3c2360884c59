//! The ConfigMap `kube-root-ca.crt` in every namespace: the CA by which Pods
//! know the API server. It is projected into every service account volume.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};

use crate::{
    context::{Context, ROOT_CA},
    error::{Error, code, found, namespace_terminating},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const CA_KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str =
    "The CA bundle that Pods of this cluster verify the API server's certificate with.";

struct RootCas {
    client: Client,
    pem: String,
    namespaces: Watched<Namespace>,
    maps: Watched<ConfigMap>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let (namespaces, maps) = (context.caches.namespaces.clone(), context.caches.root_cas.clone());
    let keys = queue.clone();
    namespaces
        .subscribe(move |_, after| after.into_iter().for_each(|namespace| keys.add(Key::of(&**namespace))));
    let keys = queue.clone();
    maps.subscribe(move |before, after| {
        let map = after.or(before).expect("a change has a side");
        keys.add(Key::cluster(object::namespace(&**map)));
    });
    let pem = context.config.root_ca_pem.clone();
    context.run(Controller {
        name: "root-ca",
        workers: 1,
        queue,
        synced: vec![namespaces.synced(), maps.synced()],
        reconciler: Arc::new(RootCas { client: context.client.clone(), pem, namespaces, maps }),
    });
}

#[async_trait]
impl Reconciler for RootCas {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(namespace) = self.namespaces.get(key) else { return Ok(Requeue::No) };
        if object::deleting(&*namespace) {
            return Ok(Requeue::No);
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &key.name);
        let data = BTreeMap::from([(CA_KEY.to_owned(), self.pem.clone())]);
        if let Some(map) = self.maps.get(&Key::new(&key.name, ROOT_CA)) {
            let told = object::annotation(&*map, DESCRIPTION).is_some_and(|text| !text.is_empty());
            if !told || map.data.as_ref() != Some(&data) {
                let mut right = (*map).clone();
                right.data = Some(data);
                let annotations = right.metadata.annotations.get_or_insert_default();
                annotations.insert(DESCRIPTION.to_owned(), DESCRIPTION_TEXT.to_owned());
                found(api.replace(ROOT_CA, &PostParams::default(), &right).await)?;
            }
            return Ok(Requeue::No);
        }
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(ROOT_CA.to_owned()),
                namespace: Some(key.name.clone()),
                annotations: Some(BTreeMap::from([(DESCRIPTION.to_owned(), DESCRIPTION_TEXT.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..ConfigMap::default()
        };
        match api.create(&PostParams::default(), &map).await {
            Ok(_) => Ok(Requeue::No),
            Err(error) if code(&error) == 409 || namespace_terminating(&error) => Ok(Requeue::No),
            Err(error) => Err(error.into()),
        }
    }
}
