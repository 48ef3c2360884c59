//! EndpointSlices of Services with a selector, and the older Endpoints object.
//!
//! ```text
//! desired   endpoints by ports and family, out of Service and Pods (pure)
//! slices    from the slices that are there to the wanted ones (pure)
//! subsets   the Endpoints object (pure)
//! trigger   since when a change waits for being written (pure)
//! ```

mod desired;
mod slices;
mod subsets;
mod trigger;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{Endpoints, Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};

use tiphys_client::LeanPod;

use self::trigger::Triggers;
use crate::{
    context::Context,
    error::{Error, code, found, namespace_terminating},
    key::Key,
    object, pod,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    selector::Matcher,
    watched::Watched,
};

struct ServiceEndpoints {
    client: Client,
    services: Watched<Service>,
    pods: Watched<LeanPod>,
    nodes: Watched<Node>,
    slices: Watched<EndpointSlice>,
    endpoints: Watched<Endpoints>,
    triggers: Triggers,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let caches = &context.caches;
    let keys = queue.clone();
    caches.services.subscribe(move |before, after| {
        keys.add(Key::of(&**after.or(before).expect("a change has a side")));
    });
    let (keys, services) = (queue.clone(), caches.services.clone());
    caches.pods.subscribe(move |before, after| {
        if before.map(|pod| facts(pod)) == after.map(|pod| facts(pod)) {
            return;
        }
        for pod in before.into_iter().chain(after) {
            let services = services.in_namespace(object::namespace(&**pod));
            let selecting =
                services.iter().filter(|service| selector(service).matches(object::labels(&**pod)));
            selecting.for_each(|service| keys.add(Key::of(&**service)));
        }
    });
    let keys = queue.clone();
    caches.slices.subscribe(move |before, after| {
        let slice = after.or(before).expect("a change has a side");
        let service = object::labels(&**slice).get(slices::SERVICE_NAME).filter(|_| managed(slice));
        service.into_iter().for_each(|name| keys.add(Key::new(object::namespace(&**slice), name)));
    });
    let (keys, services) = (queue.clone(), caches.services.clone());
    caches.endpoints.subscribe(move |before, after| {
        let key = Key::of(&**after.or(before).expect("a change has a side"));
        services.get(&key).into_iter().for_each(|_| keys.add(key.clone()));
    });
    context.run(Controller {
        name: "endpoints",
        workers: 4,
        queue,
        synced: vec![
            caches.services.synced(),
            caches.pods.synced(),
            caches.nodes.synced(),
            caches.slices.synced(),
            caches.endpoints.synced(),
        ],
        reconciler: Arc::new(ServiceEndpoints {
            client: context.client.clone(),
            services: caches.services.clone(),
            pods: caches.pods.clone(),
            nodes: caches.nodes.clone(),
            slices: caches.slices.clone(),
            endpoints: caches.endpoints.clone(),
            triggers: Triggers::default(),
        }),
    });
}

/// What of a Pod matters to its endpoints.
fn facts(pod: &LeanPod) -> impl PartialEq + use<> {
    (
        (pod.labels.clone(), pod.status.ips.clone()),
        (pod::ready(pod), pod.finished(), object::deleting(pod)),
        (pod.node.clone(), pod.uid.clone()),
    )
}

fn selector(service: &Service) -> Matcher {
    Matcher::equality(service.spec.as_ref().and_then(|spec| spec.selector.as_ref()))
}

fn managed(slice: &EndpointSlice) -> bool {
    object::labels(slice).get(slices::MANAGED_BY).is_some_and(|manager| manager == slices::MANAGER)
}

#[async_trait]
impl Reconciler for ServiceEndpoints {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.remove_endpoints(key).await?;
            return Ok(Requeue::No);
        };
        let selector = selector(&service);
        let external = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName");
        if selector.is_empty() || external || object::deleting(&*service) {
            return Ok(Requeue::No);
        }
        let pods = self.pods.in_namespace(&key.namespace);
        let selected = pods.iter().map(|pod| &**pod).filter(|pod| selector.matches(object::labels(*pod)));
        let (seen, trigger) = self.triggers.look(key, &service, selected.clone());
        let wanted = desired::endpoints(&service, selected, |name| self.nodes.get(&Key::cluster(name)));
        let mut mirror = subsets::endpoints(&service, &wanted);
        trigger::annotate(&mut mirror.metadata, trigger);
        let mut existing = self.slices.in_namespace(&key.namespace);
        existing.retain(|slice| {
            managed(slice) && object::labels(&**slice).get(slices::SERVICE_NAME) == Some(&key.name)
        });
        let mut changes = slices::changes(&service, &existing, wanted, &desired::families(&service));
        changes.annotate(trigger);
        self.write_slices(key, changes).await?;
        self.write_endpoints(key, mirror).await?;
        self.triggers.keep(key, seen);
        Ok(Requeue::No)
    }

    fn traceparent(&self, key: &Key) -> Option<String> {
        object::traceparent(&*self.services.get(key)?)
    }
}

impl ServiceEndpoints {
    async fn write_slices(&self, key: &Key, changes: slices::Changes) -> Result<(), Error> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &key.namespace);
        for slice in changes.create {
            match api.create(&PostParams::default(), &slice).await {
                Ok(_) => {}
                Err(error) if namespace_terminating(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        for slice in changes.replace {
            found(api.replace(object::name(&slice), &PostParams::default(), &slice).await)?;
        }
        for name in changes.delete {
            found(api.delete(&name, &DeleteParams::default()).await.map(|_| ()))?;
        }
        Ok(())
    }

    async fn write_endpoints(&self, key: &Key, mut wanted: Endpoints) -> Result<(), Error> {
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &key.namespace);
        if let Some(old) = self.endpoints.get(key) {
            if subsets::differs(&old, &wanted) {
                wanted.metadata.resource_version.clone_from(&old.metadata.resource_version);
                found(api.replace(&key.name, &PostParams::default(), &wanted).await)?;
            }
            return Ok(());
        }
        match api.create(&PostParams::default(), &wanted).await {
            Err(error) if !namespace_terminating(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Endpoints have no owner reference: they go with their Service here, unless somebody else made them.
    async fn remove_endpoints(&self, key: &Key) -> Result<(), Error> {
        let own = self.endpoints.get(key).filter(|endpoints| {
            object::labels(&**endpoints)
                .get(subsets::MANAGED_BY)
                .is_some_and(|manager| manager == subsets::MANAGER)
        });
        if own.is_none() {
            return Ok(());
        }
        let api: Api<Endpoints> = Api::namespaced(self.client.clone(), &key.namespace);
        match api.delete(&key.name, &DeleteParams::default()).await {
            Err(error) if code(&error) != 404 => Err(error.into()),
            _ => Ok(()),
        }
    }
}
