//! Empties a namespace that is being deleted, then lets it go.
//!
//! Every namespaced resource that discovery knows is deleted as a collection;
//! when nothing is left, the finalizer `kubernetes` is taken off. What holds
//! the namespace back stands in its conditions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{Namespace, NamespaceCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_client::LeanPod;

use crate::{
    context::Context,
    error::{Error, code, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    served::{Served, served},
    watched::Watched,
};

/// Finalizers of the content are taken off by others; nothing but time tells here.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

struct Namespaces {
    client: Client,
    namespaces: Watched<Namespace>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let namespaces = context.caches.namespaces.clone();
    let keys = queue.clone();
    namespaces.subscribe(move |_, after| {
        after
            .filter(|namespace| object::deleting(&***namespace))
            .into_iter()
            .for_each(|found| keys.add(Key::of(&**found)));
    });
    let (keys, known) = (queue.clone(), namespaces.clone());
    context.caches.pods.subscribe(move |before: Option<&Arc<LeanPod>>, after| {
        if let (Some(gone), None) = (before, after) {
            let key = Key::cluster(object::namespace(&**gone));
            if known.get(&key).is_some_and(|namespace| object::deleting(&*namespace)) {
                keys.add(key);
            }
        }
    });
    context.run(Controller {
        name: "namespace",
        workers: 4,
        queue,
        synced: vec![namespaces.synced()],
        reconciler: Arc::new(Namespaces { client: context.client.clone(), namespaces }),
    });
}

/// What is still in a namespace, and what could not be found out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Content {
    discovery_failed: Option<String>,
    delete_failed: Vec<String>,
    /// Objects by resource.
    remaining: BTreeMap<String, usize>,
    /// Objects by finalizer.
    finalizers: BTreeMap<String, usize>,
}

#[async_trait]
impl Reconciler for Namespaces {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(namespace) = self.namespaces.get(key).filter(|found| object::deleting(&**found)) else {
            return Ok(Requeue::No);
        };
        let finalizers =
            namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
            return Ok(Requeue::No);
        }
        let content = self.empty(&key.name).await;
        self.write_conditions(&namespace, &content).await?;
        if content != Content::default() {
            return Ok(Requeue::After(LOOK_AGAIN));
        }
        self.finalize(&key.name).await?;
        Ok(Requeue::No)
    }
}

impl Namespaces {
    async fn empty(&self, namespace: &str) -> Content {
        let mut content = Content::default();
        let resources = match served(&self.client).await {
            Ok(resources) => resources,
            Err(error) => {
                content.discovery_failed = Some(error.to_string());
                return content;
            }
        };
        for resource in resources.iter().filter(|resource| resource.namespaced) {
            if let Err(error) = self.empty_of(namespace, resource, &mut content).await {
                content.delete_failed.push(format!("{}: {error}", resource.resource.plural));
            }
        }
        content
    }

    async fn empty_of(
        &self,
        namespace: &str,
        resource: &Served,
        content: &mut Content,
    ) -> Result<(), kube::Error> {
        let api = resource.within(&self.client, namespace);
        let (all, params) = (ListParams::default(), DeleteParams::background());
        let before = api.list(&all).await?;
        if before.items.is_empty() {
            return Ok(());
        }
        if resource.can("deletecollection") {
            api.delete_collection(&params, &all).await?;
        } else {
            for object in &before.items {
                found(api.delete(object::name(object), &params).await.map(|_| ()))?;
            }
        }
        let left = api.list(&all).await?.items;
        if left.is_empty() {
            return Ok(());
        }
        let name = match resource.resource.group.as_str() {
            "" => resource.resource.plural.clone(),
            group => format!("{}.{group}", resource.resource.plural),
        };
        content.remaining.insert(name, left.len());
        for finalizer in left.iter().filter_map(|object| object.metadata.finalizers.as_ref()).flatten() {
            *content.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        Ok(())
    }

    async fn write_conditions(&self, namespace: &Namespace, content: &Content) -> Result<(), Error> {
        let old = namespace.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        let new = conditions(&old, content, object::now());
        // An empty namespace goes away at once; nobody would read that it is empty.
        if old == new || (old.is_empty() && *content == Content::default()) {
            return Ok(());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        let patch = json!({"status": {"conditions": new}});
        found(
            api.patch_status(object::name(namespace), &PatchParams::default(), &Patch::Merge(patch)).await,
        )?;
        Ok(())
    }

    async fn finalize(&self, name: &str) -> Result<(), Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let Some(mut live) = found(api.get(name).await)?.filter(object::deleting) else { return Ok(()) };
        if let Some(finalizers) = live.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
        match api.replace_subresource("finalize", name, &PostParams::default(), &live).await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The five conditions of a namespace that is being deleted.
fn conditions(old: &[NamespaceCondition], content: &Content, now: Time) -> Vec<NamespaceCondition> {
    let list = |counts: &BTreeMap<String, usize>, text: fn(&str, usize) -> String| {
        counts.iter().map(|(name, count)| text(name, *count)).collect::<Vec<_>>().join(", ")
    };
    let remaining = list(&content.remaining, |name, count| format!("{name} has {count} resource instances"));
    let finalizers = list(&content.finalizers, |name, count| format!("{name} in {count} resource instances"));
    let failed = content.delete_failed.join("; ");
    let rows = [
        (
            "NamespaceDeletionDiscoveryFailure",
            ("DiscoveryFailed", content.discovery_failed.clone().unwrap_or_default()),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            ("GroupVersionParsingFailed", String::new()),
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        (
            "NamespaceDeletionContentFailure",
            (
                "ContentDeletionFailed",
                if failed.is_empty() {
                    failed
                } else {
                    format!("Failed to delete all resource types: {failed}")
                },
            ),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        (
            "NamespaceContentRemaining",
            (
                "SomeResourcesRemain",
                if remaining.is_empty() {
                    remaining
                } else {
                    format!("Some resources are remaining: {remaining}")
                },
            ),
            ("ContentRemoved", "All content successfully removed"),
        ),
        (
            "NamespaceFinalizersRemaining",
            (
                "SomeFinalizersRemain",
                if finalizers.is_empty() {
                    finalizers
                } else {
                    format!("Some content in the namespace has finalizers remaining: {finalizers}")
                },
            ),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ];
    rows.into_iter()
        .map(|(kind, (bad, problem), (good, fine))| {
            let wrong = !problem.is_empty();
            let status = if wrong { "True" } else { "False" };
            let before = old.iter().find(|before| before.type_ == kind && before.status == status);
            NamespaceCondition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: Some(if wrong { bad } else { good }.to_owned()),
                message: Some(if wrong { problem } else { fine.to_owned() }),
                last_transition_time: before
                    .and_then(|before| before.last_transition_time.clone())
                    .or_else(|| Some(now.clone())),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_say_what_holds_the_namespace_back() {
        let content = Content {
            remaining: BTreeMap::from([("pods".to_owned(), 2)]),
            finalizers: BTreeMap::from([("example.com/hold".to_owned(), 1)]),
            ..Content::default()
        };
        let all = conditions(&[], &content, object::now());
        let states: Vec<_> = all.iter().map(|condition| condition.status.as_str()).collect();
        assert_eq!(states, ["False", "False", "False", "True", "True"]);
        assert!(all[3].message.as_ref().unwrap().contains("pods has 2 resource instances"));
        let later = Time(jiff::Timestamp::from_second(5).unwrap());
        assert_eq!(conditions(&all, &content, later), all, "nothing changed, so no time does");
    }
}
