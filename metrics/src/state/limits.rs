//! How many series a namespace may have, where an annotation on it says so.

use std::sync::Arc;

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
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::InitApply(namespace) | Event::Apply(namespace)) => {
                let name = namespace.name_any();
                let most = limit(&namespace).unwrap_or_else(|mistake| {
                    tracing::warn!(namespace = name, mistake, "a limit of series can't be read");
                    None
                });
                store.limit_namespace(&name, most);
            }
            Ok(Event::Delete(namespace)) => store.limit_namespace(&namespace.name_any(), None),
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tracing::debug!(%error, "watch of namespaces broke and starts again"),
        }
    }
    Err("the watch ended".into())
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
    use serde_json::json;

    #[test]
    fn a_namespace_says_its_limit() {
        let of = |text: &str| {
            let namespace = json!({"metadata": {"name": "shop", "annotations": {ANNOTATION: text}}});
            limit(&serde_json::from_value(namespace).expect("a Namespace"))
        };
        assert_eq!((of("500000"), of(" 0 ")), (Ok(Some(500_000)), Ok(Some(0))));
        assert!(of("many").is_err_and(|mistake| mistake.contains("\"many\"")) && of("-1").is_err());
        assert_eq!(limit(&Namespace::default()), Ok(None));
    }
}
