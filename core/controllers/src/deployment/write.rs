//! The calls of the Deployment controller: create, annotate, scale and delete
//! ReplicaSets, write the status.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::json;

use super::{Deployments, View, progress, revision, rollout, rollout::Step, status_of};
use crate::{
    error::{Error, code, found, namespace_terminating},
    object,
    watched::controller_uid,
};

impl Deployments {
    fn sets_api(&self, deployment: &Deployment) -> Api<ReplicaSet> {
        Api::namespaced(self.client.clone(), object::namespace(deployment))
    }

    fn api(&self, deployment: &Deployment) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), object::namespace(deployment))
    }

    /// The ReplicaSet of the Deployment's template, created if it isn't there,
    /// with the annotations it should have.
    pub(super) async fn ensure_new(&self, view: &mut View) -> Result<(), Error> {
        let new = match &view.new {
            Some(new) => self.annotate(view, new).await?,
            None => self.create(view).await?,
        };
        if let Some(deployment) = self.copy_revision(&view.deployment, &new).await? {
            view.deployment = Arc::new(deployment);
        }
        view.new = Some(new);
        Ok(())
    }

    pub(super) async fn annotate(
        &self,
        view: &View,
        new: &Arc<ReplicaSet>,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let wanted = revision::annotations(view, new);
        let min_ready = view.deployment.spec.min_ready_seconds;
        let current = new.spec.min_ready_seconds;
        let same_min_ready = min_ready.unwrap_or(0) == current.unwrap_or(0);
        if new.metadata.annotations.as_ref() == Some(&wanted) && same_min_ready {
            return Ok(new.clone());
        }
        let patch = json!({
            "metadata": {"resourceVersion": new.metadata.resource_version, "annotations": wanted},
            "spec": {"minReadySeconds": min_ready},
        });
        let api = self.sets_api(&view.deployment);
        let params = PatchParams::default();
        Ok(Arc::new(api.patch(object::name(&**new), &params, &Patch::Merge(patch)).await?))
    }

    async fn create(&self, view: &View) -> Result<Arc<ReplicaSet>, Error> {
        let (deployment, set) = (&*view.deployment, revision::new_set(view));
        match self.sets_api(deployment).create(&PostParams::default(), &set).await {
            Ok(created) => {
                if rollout::size(&created) > 0 {
                    self.tell(deployment, &created, 0, rollout::size(&created));
                }
                Ok(Arc::new(created))
            }
            Err(error) if code(&error) == 409 => self.resolve_collision(deployment, &set).await,
            Err(error) if namespace_terminating(&error) => {
                Err(Error::NotYet("namespace is going away".into()))
            }
            Err(error) => {
                let message = format!("Failed to create new replica set \"{}\": {error}", object::name(&set));
                self.events.warning(deployment, "ReplicaSetCreateError", message);
                Err(error.into())
            }
        }
    }

    /// The name is taken: by this very ReplicaSet (the cache was behind), or by another template's.
    async fn resolve_collision(
        &self,
        deployment: &Deployment,
        set: &ReplicaSet,
    ) -> Result<Arc<ReplicaSet>, Error> {
        let Some(existing) = found(self.sets_api(deployment).get(object::name(set)).await)? else {
            return Err(Error::NotYet("the name of the new ReplicaSet was just taken".into()));
        };
        let own = controller_uid(&existing) == Some(object::uid(deployment));
        if own && revision::same_template(deployment, &existing) {
            return Ok(Arc::new(existing));
        }
        let mut status = status_of(deployment);
        let collisions = status.collision_count.unwrap_or(0) + 1;
        status.collision_count = Some(collisions);
        let changed = Deployment { status: Some(status), ..deployment.clone() };
        let api = self.api(deployment);
        api.replace_status(object::name(deployment), &PostParams::default(), &changed).await?;
        Err(Error::NotYet(format!("name of the new ReplicaSet is taken, collision {collisions}")))
    }

    /// The Deployment shows its ReplicaSet's revision. Gives it as changed, if it was.
    async fn copy_revision(
        &self,
        deployment: &Deployment,
        new: &ReplicaSet,
    ) -> Result<Option<Deployment>, Error> {
        let revision = revision::revision(new).to_string();
        if object::annotation(deployment, revision::REVISION) == Some(&revision) {
            return Ok(None);
        }
        let patch = json!({"metadata": {
            "resourceVersion": deployment.metadata.resource_version,
            "annotations": {revision::REVISION: revision},
        }});
        let api = self.api(deployment);
        Ok(found(api.patch(object::name(deployment), &PatchParams::default(), &Patch::Merge(patch)).await)?)
    }

    /// Gives each ReplicaSet its size, and notes what it was sized for.
    pub(super) async fn scale_all(&self, view: &View, steps: Vec<Step>) -> Result<(), Error> {
        let deployment = &*view.deployment;
        for Step { set, replicas } in steps {
            let before = rollout::size(&set);
            let sizes = revision::sizes(deployment);
            let noted = sizes.iter().all(|(key, value)| object::annotation(&*set, key) == Some(value));
            if before == replicas && noted {
                continue;
            }
            let patch = json!({
                "metadata": {
                    "resourceVersion": set.metadata.resource_version,
                    "annotations": sizes.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
                },
                "spec": {"replicas": replicas},
            });
            let api = self.sets_api(deployment);
            api.patch(object::name(&*set), &PatchParams::default(), &Patch::Merge(patch)).await?;
            if before != replicas {
                self.tell(deployment, &set, before, replicas);
            }
        }
        Ok(())
    }

    fn tell(&self, deployment: &Deployment, set: &ReplicaSet, from: i32, to: i32) {
        let direction = if to > from { "up" } else { "down" };
        let message = format!("Scaled {direction} replica set {} from {from} to {to}", object::name(set));
        self.events.normal(deployment, "ScalingReplicaSet", message);
    }

    pub(super) async fn clean_up(&self, view: &View) -> Result<(), Error> {
        let api = self.sets_api(&view.deployment);
        for set in revision::superfluous(view) {
            let uid = Some(object::uid(&*set).to_owned());
            let params =
                DeleteParams::background().preconditions(Preconditions { uid, resource_version: None });
            found(api.delete(object::name(&*set), &params).await.map(|_| ()))?;
        }
        Ok(())
    }

    pub(super) async fn write_status(
        &self,
        deployment: &Deployment,
        status: DeploymentStatus,
    ) -> Result<(), Error> {
        if !progress::differs(&status_of(deployment), &status) {
            return Ok(());
        }
        let changed = Deployment { status: Some(status), ..deployment.clone() };
        let api = self.api(deployment);
        found(api.replace_status(object::name(deployment), &PostParams::default(), &changed).await)?;
        Ok(())
    }
}
