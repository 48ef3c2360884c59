//! Keeps the pools as the Services are: other servers write Services too.

use std::sync::Arc;

use tiphys_lifecycle::BoxError;

use crate::{
    authz::Objects,
    cache::{EventKind, Selector, WatchQuery, WatchStart},
    state::Core,
};

/// Follows the Services until the server stops.
pub fn follow(core: &Arc<Core>) {
    let shared = core.clone();
    core.tasks.spawn_restarting("service pools", move || {
        let core = shared.clone();
        async move {
            let services = core.registry.stored("", "services").ok_or("services are not served")?;
            let query = WatchQuery {
                start: WatchStart::Any,
                namespace: None,
                selector: Selector::default(),
                bookmarks: false,
            };
            let mut changes = services.cache()?.watch(query).await?;
            while let Some(change) = changes.next().await {
                let change = change?;
                let Some(object) = change.object.as_ref() else { continue };
                let told: serde_json::Value = serde_json::from_slice(&object.json)?;
                // The newest state counts, not the one that was told: nothing that was
                // claimed since is given back.
                let now = core.registry.get("", "services", object.namespace(), object.name());
                let same = |now: &serde_json::Value| now["metadata"]["uid"] == told["metadata"]["uid"];
                match now.filter(|now| same(now)) {
                    Some(now) => core.service_pools.show(&now),
                    None if change.kind == EventKind::Deleted => core.service_pools.gone(&told),
                    None => {}
                }
            }
            Err::<(), BoxError>("a watch on services ended".into())
        }
    });
}
