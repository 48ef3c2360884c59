//! The bootstrap roles and bindings, and the authorizer's table kept up with
//! all roles and bindings there are.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, stream::SelectAll};
use serde_json::{Value, json};
use tiphys_lifecycle::BoxError;

use super::ensure;
use crate::{
    authz::{self, RBAC_GROUP},
    cache::{CacheWatch, Freshness, ListQuery, Selector, WatchQuery, WatchStart},
    server::StartError,
    state::Core,
    write::metadata,
};

const RESOURCES: [&str; 4] = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"];

/// Writes what is missing, and waits until the authorizer knows it.
pub async fn write(core: &Arc<Core>) -> Result<(), StartError> {
    for wanted in authz::bootstrap::objects().into_iter().chain(own_paths()) {
        let name =
            format!("{} {}", wanted["kind"].as_str().unwrap_or_default(), metadata::text(&wanted, "name"));
        let reconcile = |stored: &Value| authz::bootstrap::reconcile(stored, &wanted);
        ensure(core, &wanted, &reconcile).await.map_err(StartError::bootstrap(name))?;
    }
    for resource in RESOURCES {
        if let Some(cache) = core.registry.stored(RBAC_GROUP, resource).and_then(|found| found.cache().ok()) {
            let query =
                ListQuery { limit: Some(1), freshness: Freshness::MostRecent, ..ListQuery::default() };
            cache.list(&query).await?;
        }
    }
    core.rbac.rebuild();
    Ok(())
}

/// Every user may ask the parts that are mounted below `/tiphys/`: each of them
/// shows only what the user's rights on Pods and logs allow.
fn own_paths() -> [Value; 2] {
    let metadata =
        json!({ "name": "tiphys:user", "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": [{ "nonResourceURLs": ["/tiphys/*"], "verbs": ["get", "post"] }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": metadata,
        "roleRef": { "apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "tiphys:user" },
        "subjects": [{ "apiGroup": RBAC_GROUP, "kind": "Group", "name": "system:authenticated" }],
    });
    [role, binding]
}

/// Rebuilds the authorizer's table after each change, many changes at once in one go.
pub fn follow(core: &Arc<Core>) {
    let shared = core.clone();
    core.tasks.spawn_restarting("authorizer", move || {
        let core = shared.clone();
        async move {
            let mut changes = changes(&core).await?;
            core.rbac.rebuild();
            while let Some(change) = changes.next().await {
                change?;
                while let Some(Some(change)) = changes.next().now_or_never() {
                    change?;
                }
                core.rbac.rebuild();
                // A bound on the work for a burst of changes.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err::<(), BoxError>("a watch on roles or bindings ended".into())
        }
    });
}

async fn changes(core: &Core) -> Result<SelectAll<CacheWatch>, BoxError> {
    let mut all = SelectAll::new();
    for resource in RESOURCES {
        let found = core.registry.stored(RBAC_GROUP, resource).ok_or("roles are not served")?;
        let query = WatchQuery {
            start: WatchStart::Any,
            namespace: None,
            selector: Selector::default(),
            bookmarks: false,
        };
        all.push(found.cache()?.watch(query).await?);
    }
    Ok(all)
}
