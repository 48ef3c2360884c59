//! The watched copies that targets are found in.
//!
//! A change of any of them finds all targets anew, at most twice a second: finding is
//! cheap, and Pods change in bursts.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::BoxStream};
use k8s_openapi::api::{
    core::v1::{Namespace, Node, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, runtime::watcher};
use parking_lot::Mutex;
use tiphys_client::{Cache, Held, LeanPod, Shared};
use tiphys_lifecycle::{OnError, Tasks};

use super::{
    Found, World, find,
    own::Own,
    spec::{PodMonitor, ServiceMonitor},
};
use crate::{prometheus_operator::install, scrape::pool::Pool};

/// Changes that come so close together are one.
const TOGETHER: Duration = Duration::from_millis(500);

/// The copies. Clones share them.
#[derive(Clone)]
struct Copies {
    pods: Cache<LeanPod>,
    nodes: Cache<Node>,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    namespaces: Cache<Namespace>,
    service_monitors: Cache<ServiceMonitor>,
    pod_monitors: Cache<PodMonitor>,
}

impl Copies {
    fn start(client: &Client, shared: &Shared, tasks: &Tasks) -> Self {
        fn all<V: Held>(client: &Client, tasks: &Tasks) -> Cache<V> {
            Cache::start(tasks, Api::all(client.clone()), watcher::Config::default())
        }
        Self {
            pods: shared.pods.clone(),
            nodes: shared.nodes.clone(),
            services: all(client, tasks),
            slices: all(client, tasks),
            namespaces: all(client, tasks),
            service_monitors: all(client, tasks),
            pod_monitors: all(client, tasks),
        }
    }

    fn world(&self) -> World {
        World {
            pods: self.pods.list(),
            services: self.services.list(),
            slices: self.slices.list(),
            namespaces: self.namespaces.list(),
            nodes: self.nodes.list(),
            service_monitors: self.service_monitors.list(),
            pod_monitors: self.pod_monitors.list(),
        }
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        fn of<V: Held>(cache: &Cache<V>) -> BoxStream<'static, ()> {
            cache.changes().map(drop).boxed()
        }
        futures::stream::select_all([
            of(&self.pods),
            of(&self.nodes),
            of(&self.services),
            of(&self.slices),
            of(&self.namespaces),
            of(&self.service_monitors),
            of(&self.pod_monitors),
        ])
        .boxed()
    }
}

/// Starts finding targets for the pool; gives what was found last, without its targets.
pub fn start(client: &Client, shared: &Shared, own: Own, pool: Pool, tasks: &Tasks) -> Arc<Mutex<Found>> {
    let found: Arc<Mutex<Found>> = Arc::default();
    let (told, client, shared, group) = (found.clone(), client.clone(), shared.clone(), tasks.clone());
    tasks.spawn("find targets", OnError::Log, async move {
        install(&client, "ServiceMonitor", "servicemonitors", "smon").await;
        install(&client, "PodMonitor", "podmonitors", "pmon").await;
        let copies = Copies::start(&client, &shared, &group);
        let mut changes = copies.changes();
        // What isn't listed yet would look like targets that are gone.
        copies.pods.ready().await;
        copies.nodes.ready().await;
        copies.services.ready().await;
        copies.slices.ready().await;
        copies.namespaces.ready().await;
        loop {
            let mut now = find(&copies.world(), &own);
            pool.sync(std::mem::take(&mut now.targets));
            *told.lock() = now;
            if changes.next().await.is_none() {
                return Ok::<(), std::convert::Infallible>(());
            }
            tokio::time::sleep(TOGETHER).await;
            while changes.next().now_or_never().flatten().is_some() {}
        }
    });
    found
}
