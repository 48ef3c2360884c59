//! Makes and deletes the Pods of an owner, and says so in events.

use std::fmt::Display;

use futures::future::join_all;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{Pod, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, PostParams, Preconditions},
};
use tiphys_api::names::TRACEPARENT;
use tiphys_client::{Events, LeanPod};
use tracing::Span;

use crate::{
    error::{Error, found, namespace_terminating, reason},
    expectations::Expectations,
    key::Key,
    object,
    owner::{self, still_there},
    watched::Kind,
};

/// Pods that one reconcile makes or deletes at most; the next one goes on.
pub const BURST: usize = 500;

pub struct PodWriter {
    pub client: Client,
    pub events: Events,
    pub expectations: Expectations,
    wording: Wording,
}

/// How events tell what was done to a Pod.
#[derive(Debug, Clone, Copy)]
pub enum Wording {
    /// `Created pod: web-x7k2v`
    Short,
    /// `create Pod web-0 in StatefulSet web successful`
    Long,
}

/// What is done to a Pod.
#[derive(Debug, Clone, Copy)]
pub enum Verb {
    Create,
    Update,
    Delete,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The same without its last letter, as a sentence or the end of a reason begins.
    fn stem(self) -> &'static str {
        match self {
            Self::Create => "Creat",
            Self::Update => "Updat",
            Self::Delete => "Delet",
        }
    }
}

impl PodWriter {
    pub fn new(client: Client, events: Events, wording: Wording) -> Self {
        Self { client, events, expectations: Expectations::default(), wording }
    }

    /// An event about what was done to a Pod of `owner`, or why it failed.
    pub fn tell<O: Kind>(&self, owner: &O, verb: Verb, pod: &str, failure: Option<&dyn Display>) {
        let (stem, word) = (verb.stem(), verb.word());
        let long = || format!("{word} Pod {pod} in {} {}", O::kind(&()), object::name(owner));
        match (failure, self.wording) {
            (None, Wording::Short) => {
                self.events.normal(owner, &format!("Successful{stem}e"), format!("{stem}ed pod: {pod}"));
            }
            (None, Wording::Long) => {
                self.events.normal(owner, &format!("Successful{stem}e"), format!("{} successful", long()));
            }
            (Some(error), Wording::Short) => {
                let message = format!("Error {}ing: {error}", stem.to_lowercase());
                self.events.warning(owner, &format!("Failed{stem}e"), message);
            }
            (Some(error), Wording::Long) => {
                let message = format!("{} failed error: {error}", long());
                self.events.warning(owner, &format!("Failed{stem}e"), message);
            }
        }
    }

    /// Creates these Pods in batches of 1, 2, 4, ...: when creating fails (a
    /// quota, a webhook), one try was spent and not five hundred. An owner that is
    /// being deleted gets none: its Pods go before the cache tells why.
    ///
    /// # Errors
    /// The first failure; nothing of the later batches was tried.
    pub async fn create_all<O>(&self, owner: &O, pods: Vec<Pod>) -> Result<(), Error>
    where
        O: Kind + Resource<Scope = NamespaceResourceScope> + Sync,
    {
        if !still_there(&self.client, owner).await? {
            return Ok(());
        }
        let key = Key::of(owner);
        self.expectations.expect_creates(&key, pods.len());
        let mut left = pods.as_slice();
        let mut size = 1;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(size.min(left.len()));
            let results = join_all(batch.iter().map(|pod| self.create(owner, &key, pod))).await;
            left = rest;
            if let Some(error) = results.into_iter().find_map(Result::err) {
                self.expectations.not_sent(&key, left.len());
                return Err(error);
            }
            size *= 2;
        }
        Ok(())
    }

    async fn create<O>(&self, owner: &O, key: &Key, pod: &Pod) -> Result<(), Error>
    where
        O: Kind + Sync,
    {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        match api.create(&PostParams::default(), pod).await {
            Ok(pod) => {
                self.tell(owner, Verb::Create, object::name(&pod), None);
                Ok(())
            }
            Err(error) => {
                self.expectations.created(key);
                // A name that is taken is most often the owner's own Pod, not seen yet.
                if !namespace_terminating(&error) && reason(&error) != "AlreadyExists" {
                    self.tell(owner, Verb::Create, object::name(pod), Some(&error));
                }
                Err(error.into())
            }
        }
    }

    /// Deletes these Pods, all at the same time.
    ///
    /// # Errors
    /// One of the failures; the others were tried.
    pub async fn delete_all<O>(&self, owner: &O, pods: &[&LeanPod]) -> Result<(), Error>
    where
        O: Kind + Sync,
    {
        let key = Key::of(owner);
        self.expectations.expect_deletes(&key, pods.iter().map(|pod| object::uid(*pod).to_owned()));
        let results = join_all(pods.iter().map(|pod| self.delete(owner, &key, pod))).await;
        results.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    async fn delete<O>(&self, owner: &O, key: &Key, pod: &LeanPod) -> Result<(), Error>
    where
        O: Kind + Sync,
    {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let (name, uid) = (object::name(pod), object::uid(pod));
        let only_this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let result = api.delete(name, &DeleteParams::default().preconditions(only_this)).await;
        match found(result.map(|_| ())) {
            Ok(Some(())) => {
                self.tell(owner, Verb::Delete, name, None);
                Ok(())
            }
            Ok(None) => {
                self.expectations.deleted(key, uid);
                Ok(())
            }
            Err(error) => {
                self.expectations.deleted(key, uid);
                self.tell(owner, Verb::Delete, name, Some(&error));
                Err(error.into())
            }
        }
    }

    /// Ticks off what a change of a Pod shows. Call it for every change of Pods
    /// whose controller is of kind `O`, before the owner is queued.
    pub fn seen<O: Resource<DynamicType = ()>>(&self, before: Option<&LeanPod>, after: Option<&LeanPod>) {
        let same = before.is_some() && before.map(object::uid) == after.map(object::uid);
        if let Some(before) = before
            && (!same || after.is_some_and(object::deleting))
            && let Some(owner) = owner::controller_key::<O, _>(before)
        {
            self.expectations.deleted(&owner, object::uid(before));
        }
        if let Some(after) = after
            && !same
            && let Some(owner) = owner::controller_key::<O, _>(after)
        {
            self.expectations.created(&owner);
        }
    }
}

/// A Pod as the owner's template says, named by the API server.
pub fn from_template<O: Resource<DynamicType = ()>>(owner: &O, template: &PodTemplateSpec) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    let parent = tiphys_telemetry::trace::inject(&Span::current()).or_else(|| object::traceparent(owner));
    if let Some(parent) = parent {
        annotations.insert(TRACEPARENT.to_owned(), parent);
    }
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", object::name(owner))),
            namespace: owner.meta().namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            finalizers: meta.finalizers,
            owner_references: Some(vec![owner::reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}
