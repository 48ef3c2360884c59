//! Carries out the plan of a StatefulSet.
//!
//! A Pod is made after its claims and waits for nothing else of theirs. What fails ends
//! the step: what comes later in the plan may rely on it.

use futures::future::join_all;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus},
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_client::LeanPod;

use super::{
    StatefulSets, claims, identity,
    identity::Ordinal,
    plan::{New, Plan, View},
    status,
};
use crate::{
    error::{Error, code, found, namespace_terminating},
    history::{self, Revised},
    object,
    owner::still_there,
    pod_writer::{BURST, Verb},
};

impl StatefulSets {
    pub async fn carry_out(
        &self,
        view: &View<'_>,
        current: &ControllerRevision,
        plan: Plan,
    ) -> Result<(), Error> {
        for ordinal in plan.claims {
            self.make_claims(view, ordinal).await?;
        }
        for (claim, correction) in plan.own {
            self.own(view, &claim, correction).await?;
        }
        for (ordinal, pod) in plan.identify {
            self.identify(view.set, ordinal, &pod).await?;
        }
        self.create(view, current, &plan.create).await?;
        let gone: Vec<&LeanPod> = plan.delete.iter().take(BURST).map(|pod| &**pod).collect();
        self.writer.delete_all(view.set, &gone).await
    }

    /// Makes Pods in batches of 1, 2, 4, ..., each with its claims before it.
    async fn create(&self, view: &View<'_>, current: &ControllerRevision, new: &[New]) -> Result<(), Error> {
        let set = view.set;
        if new.is_empty() || !still_there(&self.writer.client, set).await? {
            return Ok(());
        }
        let former = history::template(current);
        let mut left = new;
        let mut size = 1;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(size.min(left.len()));
            let claims = join_all(batch.iter().map(|new| self.make_claims(view, new.ordinal))).await;
            for (new, result) in batch.iter().zip(claims) {
                if let Err(error) = result {
                    let pod = identity::pod_name(set, new.ordinal);
                    self.writer.tell(set, Verb::Create, &pod, Some(&error));
                    return Err(error);
                }
            }
            let pod = |new: &New| match &former {
                Some(former) if !new.newest => identity::pod_for(set, former, view.current, new.ordinal),
                _ => identity::pod_for(set, set.template(), view.newest, new.ordinal),
            };
            self.writer.create_all(set, batch.iter().map(pod).collect()).await?;
            left = rest;
            size *= 2;
        }
        Ok(())
    }

    /// Makes the claims that the Pod of an ordinal lacks.
    async fn make_claims(&self, view: &View<'_>, ordinal: Ordinal) -> Result<(), Error> {
        let set = view.set;
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.writer.client.clone(), object::namespace(set));
        let pod = identity::pod_name(set, ordinal);
        let mut failure = None;
        for claim in claims::wanted(set, ordinal) {
            let name = object::name(&claim);
            if let Some(there) = view.claims.get(name) {
                if object::deleting(&**there) {
                    failure = Some(Error::NotYet(format!("pvc {name} is being deleted")));
                }
                continue;
            }
            match api.create(&PostParams::default(), &claim).await {
                Ok(_) => {
                    let message =
                        format!("create Claim {name} Pod {pod} in StatefulSet {} success", object::name(set));
                    self.writer.events.normal(set, "SuccessfulCreate", message);
                }
                // Our own, which the cache doesn't show yet.
                Err(error) if code(&error) == 409 => {}
                Err(error) => {
                    if !namespace_terminating(&error) {
                        let message = format!(
                            "create Claim {name} for Pod {pod} in StatefulSet {} failed error: {error}",
                            object::name(set)
                        );
                        self.writer.events.warning(set, "FailedCreate", message);
                    }
                    failure = Some(error.into());
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn own(&self, view: &View<'_>, name: &str, correction: claims::Correction) -> Result<(), Error> {
        let set = view.set;
        let Some(claim) = view.claims.get(name) else { return Ok(()) };
        if correction.conflict {
            let message = format!(
                "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a managing \
                 controller, the retention policy is ignored for this claim"
            );
            self.writer.events.warning(set, "ConflictingController", message);
        }
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.writer.client.clone(), object::namespace(set));
        let patch = json!({"metadata": {
            "resourceVersion": claim.metadata.resource_version,
            "ownerReferences": correction.owners,
        }});
        found(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(())
    }

    /// Gives a Pod that lost them, or that was adopted, the labels of its ordinal; the
    /// API server refuses other volumes, and the event says so.
    async fn identify(&self, set: &StatefulSet, ordinal: Ordinal, pod: &LeanPod) -> Result<(), Error> {
        let api: Api<Pod> = Api::namespaced(self.writer.client.clone(), object::namespace(set));
        let Some(mut whole) = found(api.get(object::name(pod)).await)? else { return Ok(()) };
        if whole.metadata.uid.as_deref() != Some(object::uid(pod)) {
            return Ok(());
        }
        identity::identify(set, ordinal, &mut whole);
        let result = api.replace(object::name(pod), &PostParams::default(), &whole).await.map(drop);
        match found(result) {
            Ok(_) => self.writer.tell(set, Verb::Update, object::name(pod), None),
            Err(error) => {
                self.writer.tell(set, Verb::Update, object::name(pod), Some(&error));
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub async fn write_status(&self, set: &StatefulSet, status: StatefulSetStatus) -> Result<(), Error> {
        if !status::differs(set.status.as_ref(), &status) {
            return Ok(());
        }
        let api: Api<StatefulSet> = Api::namespaced(self.writer.client.clone(), object::namespace(set));
        let changed = StatefulSet { status: Some(status), ..set.clone() };
        found(api.replace_status(object::name(set), &PostParams::default(), &changed).await)?;
        Ok(())
    }
}
