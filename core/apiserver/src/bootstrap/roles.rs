//! The bootstrap roles and bindings, and the authorizer's table kept up with
//! all roles and bindings there are.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tiphys_api::names::FLIGHT_PATH;

use super::{
    changes::{self, Name},
    ensure,
};
use crate::{
    authz::{self, RBAC_GROUP},
    cache::{Freshness, ListQuery},
    server::StartError,
    state::Core,
    write::metadata,
};

const WATCHED: [Name; 4] = [
    (RBAC_GROUP, "roles"),
    (RBAC_GROUP, "clusterroles"),
    (RBAC_GROUP, "rolebindings"),
    (RBAC_GROUP, "clusterrolebindings"),
];

/// Writes what is missing, and waits until the authorizer knows it.
pub async fn write(core: &Arc<Core>) -> Result<(), StartError> {
    for wanted in authz::bootstrap::objects().into_iter().chain(own_paths()) {
        let name =
            format!("{} {}", wanted["kind"].as_str().unwrap_or_default(), metadata::text(&wanted, "name"));
        let reconcile = |stored: &Value| authz::bootstrap::reconcile(stored, &wanted);
        ensure(core, &wanted, &reconcile).await.map_err(StartError::bootstrap(name))?;
    }
    for (group, resource) in WATCHED {
        let found = core.registry.stored(group, resource);
        if let Some(Ok(cache)) = found.as_ref().map(|found| found.cache()) {
            let query =
                ListQuery { limit: Some(1), freshness: Freshness::MostRecent, ..ListQuery::default() };
            cache.list(&query).await?;
        }
    }
    core.rbac.rebuild();
    Ok(())
}

/// Every user may ask the parts that are mounted below `/tiphys/`, and the search of logs
/// by gRPC: each of them shows only what the user's rights on Pods and logs allow.
fn own_paths() -> [Value; 2] {
    let metadata =
        json!({ "name": "tiphys:user", "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" } });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": [
            {
                "nonResourceURLs": ["/tiphys/*", "/tiphys.logs.v1.Logs/*", format!("{FLIGHT_PATH}/*")],
                "verbs": ["get", "post"],
            },
            { "nonResourceURLs": ["/tiphys/v1/logs"], "verbs": ["delete"] },
        ],
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

/// Rebuilds the authorizer's table after each change.
pub fn follow(core: &Arc<Core>) {
    changes::follow(core, "authorizer", &WATCHED, Duration::from_millis(5), async |core: Arc<Core>| {
        core.rbac.rebuild();
        Ok(())
    });
}
