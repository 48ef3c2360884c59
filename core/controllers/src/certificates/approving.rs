//! Approves the client certificates that kubelets ask for, when whoever asks may:
//! a bootstrap token for a new node (`nodeclient`), a kubelet for its own (`selfnodeclient`).

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    certificates::v1::CertificateSigningRequest,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tiphys_api::certificate_request;

use super::{
    condition,
    rules::{self, KUBELET_CLIENT},
};
use crate::{
    context::Context,
    error::{Error, found},
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

/// The right that is asked for (a subresource that nothing serves), and what an approval by it says.
const SELF: (&str, &str) =
    ("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.");
const ANY: (&str, &str) =
    ("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.");

struct Approving {
    client: Client,
    requests: Watched<CertificateSigningRequest>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let requests = context.caches.certificate_requests.clone();
    let keys = queue.clone();
    requests.subscribe(move |_, after| {
        after
            .filter(|request| is_open(request))
            .into_iter()
            .for_each(|request| keys.add(Key::of(&**request)));
    });
    context.run(Controller {
        name: "certificate-approving",
        workers: 1,
        queue,
        synced: vec![requests.synced()],
        reconciler: Arc::new(Approving { client: context.client.clone(), requests }),
    });
}

fn is_open(request: &CertificateSigningRequest) -> bool {
    request.spec.signer_name == KUBELET_CLIENT
        && ["Approved", "Denied"].iter().all(|decision| condition(request, decision).is_none())
}

/// The rights by which the request could be approved, the narrower one first.
fn rights(request: &CertificateSigningRequest) -> Vec<(&'static str, &'static str)> {
    let Ok(asked) = certificate_request::read(&request.spec.request.0) else { return Vec::new() };
    if rules::kubelet_client(&asked, request.spec.usages.as_deref().unwrap_or_default()).is_err() {
        return Vec::new();
    }
    let own = request.spec.username.as_deref() == Some(&*asked.common_name);
    own.then_some(SELF).into_iter().chain([ANY]).collect()
}

#[async_trait]
impl Reconciler for Approving {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(request) = self.requests.get(key).filter(|request| is_open(request)) else {
            return Ok(Requeue::No);
        };
        let rights = rights(&request);
        for (right, message) in &rights {
            if self.may(&request, right).await? {
                self.approve(&request, message).await?;
                return Ok(Requeue::No);
            }
        }
        if rights.is_empty() {
            return Ok(Requeue::No);
        }
        // The right may come yet; until then, somebody may approve it by hand.
        Err(Error::NotYet("whoever asks has no right to an approval without a look at it".into()))
    }
}

impl Approving {
    async fn may(&self, request: &CertificateSigningRequest, right: &str) -> Result<bool, Error> {
        let spec = &request.spec;
        let extra: Option<BTreeMap<_, _>> = spec.extra.clone();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: spec.username.clone(),
                uid: spec.uid.clone(),
                groups: spec.groups.clone(),
                extra,
                resource_attributes: Some(ResourceAttributes {
                    group: Some("certificates.k8s.io".into()),
                    version: Some("*".into()),
                    resource: Some("certificatesigningrequests".into()),
                    verb: Some("create".into()),
                    subresource: Some(right.into()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    async fn approve(&self, request: &CertificateSigningRequest, message: &str) -> Result<(), Error> {
        let before = request.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        let mut conditions = serde_json::to_value(before)?;
        if let Some(conditions) = conditions.as_array_mut() {
            conditions.push(json!({
                "type": "Approved", "status": "True", "reason": "AutoApproved", "message": message,
            }));
        }
        let patch = json!({
            "metadata": {"resourceVersion": request.metadata.resource_version},
            "status": {"conditions": conditions},
        });
        let api: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        let name = object::name(request);
        found(api.patch_subresource("approval", name, &PatchParams::default(), &Patch::Merge(patch)).await)?;
        Ok(())
    }
}
