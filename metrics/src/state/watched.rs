//! A kind's watch: each object is read, told of, and let go.

use std::{fmt::Debug, sync::Arc};

use futures::{Stream, StreamExt};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use serde::de::DeserializeOwned;
use tiphys_lifecycle::{BoxError, Tasks};

use super::{rows::Rows, told::Told, words::WordsOf};
use crate::{scrape::counts::Counts, series::Store};

/// What a kind is watched with.
pub struct Watch<'a> {
    pub client: &'a Client,
    pub tasks: &'a Tasks,
    pub store: &'a Arc<Store>,
    /// Where it is told what the store refuses.
    pub counts: &'a Counts,
    pub words: Arc<WordsOf>,
}

impl Watch<'_> {
    /// Watches objects; without their content where `K` has none. What is told of them is to be
    /// repeated.
    pub fn objects<K>(&self, tell: fn(&K) -> Rows) -> Vec<Arc<Told>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (name, words) = (format!("state of {}", K::plural(&())), self.words.clone());
        let tell = move |object: &K| words.rows(tell, object);
        vec![self.begin::<K>(name, watcher::Config::default(), tell)]
    }

    /// The same of those that a selector of fields chooses; nothing is told but what is asked for here.
    pub fn chosen<K>(&self, selector: &str, tell: impl Fn(&K) -> Rows + Clone + Send + 'static) -> Arc<Told>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let name = format!("state of {} with {selector}", K::plural(&()));
        self.begin::<K>(name, watcher::Config::default().fields(selector), tell)
    }

    fn begin<K>(
        &self,
        name: String,
        config: watcher::Config,
        tell: impl Fn(&K) -> Rows + Clone + Send + 'static,
    ) -> Arc<Told>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        // Of its own: what a list has not is gone, and each watch has its list.
        let told = Arc::new(Told::new(self.store.clone()).counting(self.counts.clone()));
        let (client, telling) = (self.client.clone(), told.clone());
        self.tasks.spawn_restarting(name, move || {
            let events = watcher(Api::<K>::all(client.clone()), config.clone()).default_backoff();
            follow(events, telling.clone(), tell.clone())
        });
        told
    }
}

/// Ends only to begin anew.
async fn follow<K: Resource<DynamicType = ()>>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    told: Arc<Told>,
    tell: impl Fn(&K) -> Rows + Send,
) -> Result<(), BoxError> {
    let mut events = std::pin::pin!(events);
    let key = |object: &K| format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
    // A list makes good what was lost before it, and its first event is its begin.
    let mut next = events.next().await;
    while let Some(event) = next {
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
        // A kind of which nothing changes is told of its loss, too.
        next = tokio::select! {
            biased;
            () = told.lost() => return Err("series that still hold are gone, or were refused".into()),
            event = events.next() => event,
        };
    }
    Err("the watch ended".into())
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, stream};
    use k8s_openapi::api::core::v1::ConfigMap;
    use tiphys_telemetry::Component;

    use super::*;
    use crate::{live::AGAIN, series::Limits};

    /// One row.
    fn tell(object: &ConfigMap) -> Rows {
        let mut rows = Rows::of("configmap", &object.metadata);
        rows.put("kube_configmap_info", 1);
        rows
    }

    /// A list of so many objects, each of its own namespace, after which nothing changes.
    fn listed(count: usize) -> impl Stream<Item = watcher::Result<Event<ConfigMap>>> + Send {
        let object = |n: usize| -> watcher::Result<Event<ConfigMap>> {
            let mut object = ConfigMap::default();
            object.metadata.namespace = Some(format!("n{n}"));
            object.metadata.name = Some("c".into());
            Ok(Event::InitApply(object))
        };
        let all = [Ok(Event::Init)].into_iter().chain((0..count).map(object)).chain([Ok(Event::InitDone)]);
        stream::iter(all).chain(stream::pending())
    }

    #[tokio::test]
    async fn what_is_refused_is_counted_and_listed_again_in_a_while() {
        let store = Arc::new(Store::in_memory(Limits { series: 2, ..Limits::default() }));
        let (counts, component) = (Counts::default(), Component::new("test"));
        counts.register(&component);
        let told = Arc::new(Told::new(store.clone()).counting(counts));
        let mut following = Box::pin(follow(listed(3), told.clone(), tell));
        assert!(following.as_mut().now_or_never().is_none(), "it waits for changes");
        assert_eq!(store.series_count(), 2);
        let text = component.render();
        let line = text.lines().find(|line| line.contains("series_refused_total{")).unwrap_or_default();
        assert!(line.contains("namespace=\"n2\"") && line.ends_with(" 1"), "{text}");
        let now = jiff::Timestamp::now().as_millisecond();
        for round in 1..AGAIN.cast_signed() {
            told.repeat(now + round);
            assert!(following.as_mut().now_or_never().is_none(), "round {round}");
        }
        told.repeat(now + AGAIN.cast_signed());
        assert!(following.now_or_never().expect("a new list is wanted").is_err());
        // There is room, and the list that comes makes good what was lost before it.
        store.drop_before(i64::MAX);
        let mut following = Box::pin(follow(listed(2), told.clone(), tell));
        assert!(following.as_mut().now_or_never().is_none(), "it waits for changes");
        assert_eq!(store.series_count(), 2);
    }
}
