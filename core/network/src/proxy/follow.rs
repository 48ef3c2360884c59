//! Follows Services and EndpointSlices and keeps the kernel's table with them.
//!
//! ```text
//! changes ──> dirty Services (20 ms) ──> ports (pure) ──> difference (pure) ──> nft ──> conntrack
//! ```
//!
//! A transaction that nft refuses is followed by one that writes the whole table;
//! when that fails too, the task ends with the error and is started anew.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::{
    api::{core::v1::Service, discovery::v1::EndpointSlice},
    jiff::Timestamp,
};
use tiphys_api::slices::{ServiceKey, SliceIndex};
use tiphys_client::{Cache, Change};

use crate::{Error, coalesce::next_burst, nft};

use super::{
    ProxyConfig, conntrack,
    metrics::Metrics,
    model::ports,
    pending::Triggers,
    table::{Changes, Table},
};

const WINDOW: Duration = Duration::from_millis(20);

enum Event {
    Service(Change<Service>),
    Slice(Change<EndpointSlice>),
}

/// Which Services to look at again.
#[derive(Default)]
struct Dirty {
    services: BTreeSet<ServiceKey>,
    all: bool,
    triggers: Triggers,
}

struct Follower<'a> {
    config: &'a ProxyConfig,
    services: &'a Cache<Service>,
    slices: &'a Cache<EndpointSlice>,
    index: SliceIndex,
    table: Table,
    metrics: &'a Metrics,
    /// What was caused before is there already, and would only tell how long nobody looked.
    since: Timestamp,
}

/// Runs until the caches' watches end, or with an error.
pub(crate) async fn follow(
    config: Arc<ProxyConfig>,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    metrics: Metrics,
) -> Result<(), Error> {
    let events = stream::select(services.changes().map(Event::Service), slices.changes().map(Event::Slice));
    let mut events = std::pin::pin!(events);
    services.ready().await;
    slices.ready().await;
    let mut follower = Follower {
        config: &config,
        services: &services,
        slices: &slices,
        index: SliceIndex::new(slices.list()),
        table: Table::new(&config),
        metrics: &metrics,
        since: Timestamp::now(),
    };
    follower.write_all().await?;
    loop {
        let mut dirty = Dirty::default();
        let goes_on = next_burst(&mut events, WINDOW, |event| follower.take(event, &mut dirty)).await;
        if !goes_on {
            return Ok(());
        }
        follower.write_changes(dirty).await?;
    }
}

impl Follower<'_> {
    fn take(&mut self, event: Event, dirty: &mut Dirty) {
        match event {
            Event::Service(Change::Applied(service) | Change::Deleted(service)) => {
                self.metrics.pending.service_changed(Timestamp::now());
                dirty.services.insert(ServiceKey::of(&service));
            }
            Event::Slice(Change::Applied(slice)) => {
                self.metrics.pending.endpoints_changed(Timestamp::now());
                dirty.triggers.applied(&slice, self.since);
                dirty.services.extend(self.index.apply(slice));
            }
            Event::Slice(Change::Deleted(slice)) => {
                self.metrics.pending.endpoints_changed(Timestamp::now());
                dirty.triggers.removed(&slice);
                dirty.services.extend(self.index.remove(&slice));
            }
            Event::Service(Change::Resync) => dirty.all = true,
            Event::Slice(Change::Resync) => {
                self.index = SliceIndex::new(self.slices.list());
                dirty.all = true;
            }
        }
    }

    /// The table anew, with every Service there is.
    async fn write_all(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        self.table = Table::new(self.config);
        let changes =
            self.services.list().iter().map(|service| self.ports(ServiceKey::of(service))).collect();
        self.table.update(changes);
        self.write_whole(started).await
    }

    async fn write_changes(&mut self, dirty: Dirty) -> Result<(), Error> {
        let started = Instant::now();
        let mut keys = dirty.services;
        if dirty.all {
            keys.extend(self.services.list().iter().map(|service| ServiceKey::of(service)));
            keys.extend(self.table.services());
        }
        let changes: Changes = keys.into_iter().map(|key| self.ports(key)).collect();
        let stale =
            changes.iter().flat_map(|(key, ports)| conntrack::stale(self.table.ports(key), ports)).collect();
        let is_changed =
            |key: &ServiceKey| changes.get(key).is_some_and(|ports| self.table.ports(key) != ports);
        let triggers = dirty.triggers.of(is_changed);
        let Some(text) = self.table.update(changes) else {
            self.metrics.pending.in_step();
            return Ok(());
        };
        match nft::apply(&text).await {
            Ok(()) => self.synced(started, false),
            Err(error) => {
                self.metrics.failed();
                tracing::warn!(%error, "a change of the proxy's rules was refused, writing all of them");
                self.write_whole(started).await?;
            }
        }
        self.metrics.pending.programmed(triggers, Timestamp::now());
        conntrack::delete(stale).await;
        Ok(())
    }

    async fn write_whole(&self, started: Instant) -> Result<(), Error> {
        nft::apply(&self.table.whole()).await.inspect_err(|_| self.metrics.failed())?;
        self.synced(started, true);
        Ok(())
    }

    fn synced(&self, started: Instant, is_full: bool) {
        self.metrics.synced(started.elapsed(), is_full, self.table.size());
        let (internal, external) = self.table.without_local_endpoints();
        self.metrics.without_local_endpoints(internal, external);
    }

    /// A Service's ports as its objects are now; none when it is gone.
    fn ports(&self, key: ServiceKey) -> (ServiceKey, Vec<super::model::ServicePort>) {
        let service = self.services.get(&key.namespace, &key.name);
        let slices = self.index.of(&key);
        let ports = service
            .map(|service| ports(&service, &slices, &self.config.node, &self.config.answered_here))
            .unwrap_or_default();
        (key, ports)
    }
}
