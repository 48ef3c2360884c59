//! A kind's watch: each object is read, told of, and let go.

use std::{fmt::Debug, sync::Arc};

use futures::{Stream, StreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tiphys_lifecycle::{BoxError, Tasks};

use super::{rows::Rows, told::Told};

/// Watches objects; without their content where `K` has none.
pub fn objects<K>(client: &Client, told: Arc<Told>, tasks: &Tasks, tell: fn(&K) -> Rows)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let client = client.clone();
    tasks.spawn_restarting(format!("state of {}", K::plural(&())), move || {
        let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff();
        follow(events, told.clone(), tell)
    });
}

/// Ends only to begin anew.
async fn follow<K: Resource<DynamicType = ()>>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    told: Arc<Told>,
    tell: fn(&K) -> Rows,
) -> Result<(), BoxError> {
    let mut events = std::pin::pin!(events);
    let key = |object: &K| format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => told.begin(),
            Ok(Event::InitDone) => told.complete(),
            Ok(Event::InitApply(object) | Event::Apply(object)) => told.applied(&key(&object), tell(&object)),
            Ok(Event::Delete(object)) => told.deleted(&key(&object)),
            Err(error) => {
                let kind = K::kind(&());
                tracing::debug!(%kind, %error, "watch broke and starts again");
            }
        }
        if told.is_lost() {
            return Err("the store let series go that still hold".into());
        }
    }
    Err("the watch ended".into())
}
