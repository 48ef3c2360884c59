//! Which kinds of objects metrics describe: how a path asks for them, and by which label series
//! name them.
//!
//! A series is of an object where it has a label that is called as the object's kind, in lower
//! case: so kube-state-metrics and the operator's targets have it, and so prometheus-adapter
//! finds it. Built-in kinds are known; of the others the API's discovery tells.

use std::collections::{BTreeMap, HashSet};

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
    core::GroupVersionKind,
    discovery::{Discovery, Scope, verbs},
};
use tiphys_api::{kind::Kind, kinds};

/// A kind whose objects may have metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    pub resource: ApiResource,
    pub namespaced: bool,
}

impl Described {
    fn built_in(kind: &Kind) -> Self {
        let resource = ApiResource {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            api_version: kind.api_version(),
            kind: kind.kind.to_owned(),
            plural: kind.plural.to_owned(),
        };
        Self { resource, namespaced: kind.is_namespaced() }
    }

    /// The kind that an autoscaler's spec calls so. One that isn't built in is taken to have
    /// namespaces, as most kinds do.
    pub fn called(kind: &str) -> Self {
        match stored().find(|one| one.kind.eq_ignore_ascii_case(kind)) {
            Some(known) => Self::built_in(known),
            None => {
                let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
                Self { resource, namespaced: true }
            }
        }
    }

    /// Whether it is the core's kind of this name.
    pub fn is_core(&self, kind: &str) -> bool {
        self.resource.group.is_empty() && self.resource.kind == kind
    }

    /// The label by which series name its objects.
    pub fn label(&self) -> String {
        let label = self.resource.kind.to_lowercase();
        // `job` says who was scraped; kube-state-metrics has the other.
        if label == "job" { "job_name".to_owned() } else { label }
    }

    /// As paths and rights have it: `services`, `ingresses.networking.k8s.io`.
    pub fn path(&self) -> String {
        match self.resource.group.as_str() {
            "" => self.resource.plural.clone(),
            group => format!("{}.{group}", self.resource.plural),
        }
    }

    /// The names of the objects that a selector chooses.
    ///
    /// # Errors
    /// The API did not list them.
    pub async fn chosen(
        &self,
        client: &Client,
        namespace: &str,
        selector: &str,
    ) -> Result<HashSet<String>, kube::Error> {
        let api: Api<DynamicObject> = match self.namespaced {
            true => Api::namespaced_with(client.clone(), namespace, &self.resource),
            false => Api::all_with(client.clone(), &self.resource),
        };
        let found = api.list_metadata(&ListParams::default().labels(selector)).await?;
        Ok(found.items.into_iter().filter_map(|one| one.metadata.name).collect())
    }
}

/// Built-in kinds that have objects, each in one version.
fn stored() -> impl Iterator<Item = &'static Kind> {
    kinds::all().iter().copied().filter(|kind| kind.is_stored() && kind.stored_as.is_none())
}

/// The kind that a path's resource means, by its plural and its group; without a group the first
/// that has the plural, which is the core's if that has one.
///
/// # Errors
/// The API did not tell which kinds there are.
pub async fn find(client: &Client, resource: &str) -> Result<Option<Described>, kube::Error> {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let means = |other: &str, of: &str| other == plural && (group.is_empty() || of == group);
    if let Some(known) = stored().find(|kind| means(kind.plural, kind.group)) {
        return Ok(Some(Described::built_in(known)));
    }
    let others = served(client).await?;
    Ok(others.into_iter().find(|kind| means(&kind.resource.plural, &kind.resource.group)))
}

/// All kinds by their labels; of several with the same, the built-in one.
pub async fn by_label(client: &Client) -> BTreeMap<String, Described> {
    let others = served(client).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "which kinds there are beside the built-in ones is not known");
        Vec::new()
    });
    let mut all = BTreeMap::new();
    for kind in stored().map(Described::built_in).chain(others) {
        all.entry(kind.label()).or_insert(kind);
    }
    all
}

async fn served(client: &Client) -> Result<Vec<Described>, kube::Error> {
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let groups = discovery.groups_alphabetical().into_iter();
    let listed = groups
        .flat_map(|group| group.recommended_resources())
        .filter(|(_, about)| about.supports_operation(verbs::LIST));
    let described =
        listed.map(|(resource, about)| Described { resource, namespaced: about.scope == Scope::Namespaced });
    Ok(described.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_their_paths_and_labels() {
        for (kind, path, label, version, namespaced) in [
            ("Pod", "pods", "pod", "v1", true),
            ("Node", "nodes", "node", "v1", false),
            ("ingress", "ingresses.networking.k8s.io", "ingress", "networking.k8s.io/v1", true),
            ("Job", "jobs.batch", "job_name", "batch/v1", true),
            (
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers.autoscaling",
                "horizontalpodautoscaler",
                "autoscaling/v2",
                true,
            ),
        ] {
            let found = Described::called(kind);
            assert_eq!((found.path(), found.label()), (path.to_owned(), label.to_owned()), "{kind}");
            assert_eq!((&*found.resource.api_version, found.namespaced), (version, namespaced), "{kind}");
        }
        let other = Described::called("Widget");
        assert_eq!((&*other.resource.kind, &*other.label(), other.namespaced), ("Widget", "widget", true));
    }
}
