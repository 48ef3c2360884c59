//! Signs what is approved, for the signers that are built in. Other signers'
//! requests are left to whoever serves them.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tiphys_api::certificate_request;

use super::{
    Authority, condition, issued,
    rules::{self, SIGNERS},
    sign::Signer,
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

struct Signing {
    client: Client,
    requests: Watched<CertificateSigningRequest>,
    authority: Authority,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let requests = context.caches.certificate_requests.clone();
    let keys = queue.clone();
    requests.subscribe(move |_, after| {
        after.filter(|request| is_due(request)).into_iter().for_each(|request| keys.add(Key::of(&**request)));
    });
    let authority = context.config.authority.clone();
    context.run(Controller {
        name: "certificate-signing",
        workers: 2,
        queue,
        synced: vec![requests.synced()],
        reconciler: Arc::new(Signing { client: context.client.clone(), requests, authority }),
    });
}

/// Approved, of a built-in signer, and without an end so far.
fn is_due(request: &CertificateSigningRequest) -> bool {
    SIGNERS.contains(&request.spec.signer_name.as_str())
        && condition(request, "Approved").is_some()
        && ["Denied", "Failed"].iter().all(|end| condition(request, end).is_none())
        && issued(request).is_none()
}

#[async_trait]
impl Reconciler for Signing {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(request) = self.requests.get(key).filter(|request| is_due(request)) else {
            return Ok(Requeue::No);
        };
        let signer = Signer::new(&self.authority).map_err(Error::Invalid)?;
        let status = match certificate(&signer, &request) {
            Ok(pem) => json!({"certificate": k8s_openapi::ByteString(pem.into_bytes())}),
            Err(why) => failed(&request, &why)?,
        };
        let patch = json!({
            "metadata": {"resourceVersion": request.metadata.resource_version},
            "status": status,
        });
        let api: Api<CertificateSigningRequest> = Api::all(self.client.clone());
        found(
            api.patch_status(object::name(&*request), &PatchParams::default(), &Patch::Merge(patch)).await,
        )?;
        Ok(Requeue::No)
    }
}

fn certificate(signer: &Signer, request: &CertificateSigningRequest) -> Result<String, String> {
    let asked = certificate_request::read(&request.spec.request.0)?;
    let usages = request.spec.usages.as_deref().unwrap_or_default();
    rules::check(&request.spec.signer_name, &asked, usages)?;
    signer.sign(&asked, usages, request.spec.expiration_seconds, jiff::Timestamp::now())
}

/// The conditions with `Failed` among them: nobody tries again.
fn failed(request: &CertificateSigningRequest, why: &str) -> Result<Value, Error> {
    let before = request.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut conditions = serde_json::to_value(before)?;
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.push(json!({
            "type": "Failed", "status": "True", "reason": "SignerValidationFailed", "message": why,
            "lastUpdateTime": object::now(),
        }));
    }
    Ok(json!({"conditions": conditions}))
}
