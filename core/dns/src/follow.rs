//! Keeps the zone with the Services and EndpointSlices of the cluster.

use std::sync::Arc;

use futures::{StreamExt, stream};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use parking_lot::RwLock;
use tiphys_api::slices::{ServiceKey, SliceIndex};
use tiphys_client::{Cache, Change};

use crate::{records::ServiceRecords, zone::Zone};

enum Event {
    Service(Change<Service>),
    Slice(Change<EndpointSlice>),
}

/// Runs until the caches' watches end.
pub(crate) async fn follow(zone: Arc<RwLock<Zone>>, services: Cache<Service>, slices: Cache<EndpointSlice>) {
    let events = stream::select(services.changes().map(Event::Service), slices.changes().map(Event::Slice));
    let mut events = std::pin::pin!(events);
    services.ready().await;
    slices.ready().await;
    let mut index = SliceIndex::new(slices.list());
    refresh_all(&zone, &services, &index);
    zone.write().complete();
    while let Some(event) = events.next().await {
        match event {
            Event::Service(Change::Applied(service) | Change::Deleted(service)) => {
                refresh(&zone, &services, &index, &ServiceKey::of(&service));
            }
            Event::Slice(Change::Applied(slice)) => {
                for key in index.apply(slice) {
                    refresh(&zone, &services, &index, &key);
                }
            }
            Event::Slice(Change::Deleted(slice)) => {
                if let Some(key) = index.remove(&slice) {
                    refresh(&zone, &services, &index, &key);
                }
            }
            Event::Service(Change::Resync) => refresh_all(&zone, &services, &index),
            Event::Slice(Change::Resync) => {
                index = SliceIndex::new(slices.list());
                refresh_all(&zone, &services, &index);
            }
        }
    }
}

fn refresh(zone: &RwLock<Zone>, services: &Cache<Service>, index: &SliceIndex, key: &ServiceKey) {
    let service = services.get(&key.namespace, &key.name);
    let records = service.and_then(|service| ServiceRecords::of(&service, &index.of(key)));
    zone.write().set(key, records);
}

fn refresh_all(zone: &RwLock<Zone>, services: &Cache<Service>, index: &SliceIndex) {
    let mut keys = zone.read().services();
    keys.extend(services.list().iter().map(|service| ServiceKey::of(service)));
    for key in keys {
        refresh(zone, services, index, &key);
    }
}
