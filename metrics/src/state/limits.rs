//! How many series a namespace may have, where an annotation on it says so.

use std::{collections::HashSet, sync::Arc};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt,
    runtime::{WatchStreamExt, watcher, watcher::Event},
};
use tiphys_lifecycle::{BoxError, Tasks};

use crate::series::Store;

/// A whole number of series.
const ANNOTATION: &str = "metrics.tiphys.io/series-limit";

/// Follows Namespaces until `tasks` stops.
pub fn start(client: &Client, store: Arc<Store>, tasks: &Tasks) {
    let client = client.clone();
    tasks.spawn_restarting("limits of series", move || follow(client.clone(), store.clone()));
}

/// Ends only to begin anew.
async fn follow(client: Client, store: Arc<Store>) -> Result<(), BoxError> {
    let events = watcher(Api::<Namespace>::all(client), watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => take(event, &mut listed, &store),
            Err(error) => tracing::debug!(%error, "watch of namespaces broke and starts again"),
        }
    }
    Err("the watch ended".into())
}

/// `listed` are the names that a list has had so far. What it has not is gone, though nobody said so:
/// it went while the watch was broken.
fn take(event: Event<Namespace>, listed: &mut HashSet<String>, store: &Store) {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(namespace) => {
            set(&namespace, store);
            listed.insert(namespace.name_any());
        }
        Event::InitDone => store.keep_limits_of(&std::mem::take(listed)),
        Event::Apply(namespace) => set(&namespace, store),
        Event::Delete(namespace) => store.limit_namespace(&namespace.name_any(), None),
    }
}

fn set(namespace: &Namespace, store: &Store) {
    let name = namespace.name_any();
    let most = limit(namespace).unwrap_or_else(|mistake| {
        tracing::warn!(namespace = name, mistake, "a limit of series can't be read");
        None
    });
    store.limit_namespace(&name, most);
}

/// What a namespace says of itself.
///
/// # Errors
/// It is no number; the value.
fn limit(namespace: &Namespace) -> Result<Option<usize>, String> {
    let said = namespace.annotations().get(ANNOTATION);
    said.map(|text| text.trim().parse().map_err(|_| format!("{ANNOTATION}: {text:?}"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Labels, Limits, NAME, Refused};
    use serde_json::json;

    fn namespace(name: &str, most: &str) -> Namespace {
        let namespace = json!({"metadata": {"name": name, "annotations": {ANNOTATION: most}}});
        serde_json::from_value(namespace).expect("a Namespace")
    }

    #[test]
    fn a_namespace_that_went_unseen_has_no_limit_of_its_own() {
        let store = Store::in_memory(Limits { series_of_namespace: 1, ..Limits::default() });
        let mut listed = HashSet::new();
        let mut list = |all: &[&str]| {
            take(Event::Init, &mut listed, &store);
            all.iter().for_each(|name| take(Event::InitApply(namespace(name, "2")), &mut listed, &store));
            take(Event::InitDone, &mut listed, &store);
        };
        let add = |namespace: &str, pod: &str| {
            store.resolve(&Labels::new([(NAME, "up"), ("namespace", namespace), ("pod", pod)]))
        };
        list(&["shop", "bank"]);
        for namespace in ["shop", "bank"] {
            assert!(add(namespace, "a").is_ok() && add(namespace, "b").is_ok(), "{namespace}");
        }
        list(&["bank"]);
        assert!(matches!(add("shop", "c"), Err(Refused::NamespaceFull { limit: 1, .. })));
        assert!(matches!(add("bank", "c"), Err(Refused::NamespaceFull { limit: 2, .. })));
        // A list that broke off says nothing, and what it had is no part of the next.
        take(Event::Init, &mut listed, &store);
        take(Event::InitApply(namespace("bank", "2")), &mut listed, &store);
        assert!(matches!(add("bank", "c"), Err(Refused::NamespaceFull { limit: 2, .. })));
        take(Event::Init, &mut listed, &store);
        take(Event::InitDone, &mut listed, &store);
        assert!(matches!(add("bank", "c"), Err(Refused::NamespaceFull { limit: 1, .. })));
    }

    #[test]
    fn a_namespace_says_its_limit() {
        let of = |text: &str| limit(&namespace("shop", text));
        assert_eq!((of("500000"), of(" 0 ")), (Ok(Some(500_000)), Ok(Some(0))));
        assert!(of("many").is_err_and(|mistake| mistake.contains("\"many\"")) && of("-1").is_err());
        assert_eq!(limit(&Namespace::default()), Ok(None));
    }
}
