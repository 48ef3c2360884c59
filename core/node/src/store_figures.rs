//! What the API server asks of its store, counted by resource: [`place`] is the layout in which it
//! keeps objects there.

use std::{collections::HashSet, sync::Arc, sync::LazyLock, time::Duration};

use tiphys_api::kinds;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_store::{Metered, Place, Store};
use tiphys_telemetry::Storage;

/// How often objects are counted, as kube-apiserver does it.
const EVERY: Duration = Duration::from_secs(60);
const ROOT: &str = "/registry/";

/// The store with its requests counted in `figures`, as are its objects until `tasks` stop.
pub fn count(store: Arc<dyn Store>, figures: &Storage, tasks: &Tasks) -> Arc<dyn Store> {
    let metered = Metered::new(store, figures.clone(), place);
    tasks.spawn("store figures", OnError::Log, metered.clone().tally(EVERY));
    metered
}

/// `/registry/pods/...` is of the core group, `/registry/apps/deployments/...` of any other.
fn place(key: &str) -> Option<Place<'_>> {
    static CORE: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        kinds::all().iter().filter(|kind| kind.group.is_empty()).map(|kind| kind.plural).collect()
    });
    let (first, behind) = key.strip_prefix(ROOT)?.split_once('/')?;
    if CORE.contains(first) {
        return Some(Place { group: "", resource: first, prefix: &key[..ROOT.len() + first.len() + 1] });
    }
    let (resource, _) = behind.split_once('/')?;
    let prefix = &key[..ROOT.len() + first.len() + resource.len() + 2];
    Some(Place { group: first, resource, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_its_resource_whatever_the_group() {
        for (key, group, resource, prefix) in [
            ("/registry/pods/default/web", "", "pods", "/registry/pods/"),
            ("/registry/nodes/node-1", "", "nodes", "/registry/nodes/"),
            ("/registry/pods/", "", "pods", "/registry/pods/"),
            ("/registry/apps/deployments/shop/web", "apps", "deployments", "/registry/apps/deployments/"),
            (
                "/registry/a.example.com/things/x",
                "a.example.com",
                "things",
                "/registry/a.example.com/things/",
            ),
        ] {
            assert_eq!(place(key), Some(Place { group, resource, prefix }), "{key}");
        }
        for key in ["/registry/", "/registry/apps/", "/other/pods/a", ""] {
            assert_eq!(place(key), None, "{key}");
        }
    }
}
