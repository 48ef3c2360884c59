//! The table, the local APIServices and the watched extension servers kept up with the
//! APIServices, definitions and mounted groups there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use tiphys_api::kinds::{api_service, custom_resource_definition as definition};
use tiphys_lifecycle::{BoxError, Tasks};
use tokio::sync::Mutex;

use super::{
    condition::{self, Verdict},
    register::{Registration, current},
    remote,
    table::{Service, Table},
};
use crate::{
    bootstrap::changes::{self, Name},
    cache::Selector,
    state::Core,
    status::Result,
};

const WATCHED: [Name; 2] =
    [(api_service::GROUP, api_service::PLURAL), (definition::GROUP, definition::PLURAL)];

/// Bounds the work for a burst: definitions come by the dozen.
const PAUSE: Duration = Duration::from_millis(20);

/// Settles it all once, then follows. What can't be written now is tried again beside the work
/// of the server: somebody's webhook may be in the way.
pub async fn start(core: &Arc<Core>) {
    let follower = Arc::new(Follower::default());
    if let Err(error) = follower.settle(core).await {
        tracing::warn!(%error, "API services can't be registered yet");
    }
    let shared = core.clone();
    core.tasks.spawn_restarting("API services", move || {
        let (core, follower) = (shared.clone(), follower.clone());
        async move { follower.follow(&core).await }
    });
}

#[derive(Default)]
struct Follower {
    registration: Mutex<Registration>,
    /// The extension servers that are watched, and the tasks that watch each.
    watched: parking_lot::Mutex<BTreeMap<String, (Arc<Service>, Tasks)>>,
}

impl Follower {
    async fn follow(&self, core: &Arc<Core>) -> std::result::Result<(), BoxError> {
        let mut changes = changes::of(core, &WATCHED, None, &Selector::default()).await?;
        loop {
            self.settle(core).await?;
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                change = changes.next() => { change.ok_or("the watch of API services ended")??; }
                () = core.aggregation.announced.notified() => {}
            }
            while let Some(change) = changes.next().now_or_never() {
                change.ok_or("the watch of API services ended")??;
            }
        }
    }

    /// Reading comes before writing: requests are led right whatever can't be written.
    async fn settle(&self, core: &Arc<Core>) -> Result<()> {
        let objects = current(core);
        let table = Table::of(&objects);
        let remote = table.remote.clone();
        core.aggregation.table.store(Arc::new(table));
        self.watch(core, &remote);
        self.registration.lock().await.settle(core, &objects).await?;
        for object in objects.iter().filter(|object| condition::is_stale_local(object)) {
            condition::write(core, &Service::of(object), &Verdict::local()).await?;
        }
        Ok(())
    }

    /// Watches the extension servers that there are, each anew when it is another one.
    fn watch(&self, core: &Arc<Core>, services: &[Arc<Service>]) {
        let mut watched = self.watched.lock();
        let names: BTreeSet<String> = services.iter().map(|service| service.name()).collect();
        let gone = |name: &String| !names.contains(name);
        for (name, (_, tasks)) in watched.extract_if(.., |name, _| gone(name)) {
            tasks.token().cancel();
            core.aggregation.forget(&name);
        }
        for service in services {
            let Some(remote) = service.remote.clone() else { continue };
            let name = service.name();
            if let Some((known, tasks)) = watched.get(&name) {
                if known.leads_as(service) {
                    continue;
                }
                tasks.token().cancel();
                core.aggregation.forget(&name);
            }
            let tasks = core.tasks.child();
            let (core, about) = (core.clone(), service.clone());
            tasks.spawn_restarting(format!("extension server of {name}"), move || {
                remote::follow(core.clone(), about.clone(), remote.clone())
            });
            watched.insert(name, (service.clone(), tasks));
        }
    }
}
