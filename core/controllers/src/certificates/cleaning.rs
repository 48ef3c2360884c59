//! Removes old requests: an hour after they were issued, denied or failed, a day
//! when nobody decided, and when the issued certificate has ended.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{Api, Client};
use x509_parser::pem::Pem;

use super::{condition, issued};
use crate::{
    context::Context,
    error::Error,
    expiry::remove_at,
    key::Key,
    object,
    queue::Queue,
    runtime::{Controller, Reconciler, Requeue},
    watched::Watched,
};

const AFTER_DECISION: Duration = Duration::from_secs(60 * 60);
const WITHOUT_DECISION: Duration = Duration::from_secs(24 * 60 * 60);

struct Cleaning {
    client: Client,
    requests: Watched<CertificateSigningRequest>,
}

pub fn start(context: &Context) {
    let queue = Arc::new(Queue::default());
    let requests = context.caches.certificate_requests.clone();
    let keys = queue.clone();
    requests.subscribe(move |_, after| after.into_iter().for_each(|request| keys.add(Key::of(&**request))));
    context.run(Controller {
        name: "certificate-cleaning",
        workers: 1,
        queue,
        synced: vec![requests.synced()],
        reconciler: Arc::new(Cleaning { client: context.client.clone(), requests }),
    });
}

#[async_trait]
impl Reconciler for Cleaning {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, Error> {
        let Some(request) = self.requests.get(key) else { return Ok(Requeue::No) };
        let api = Api::all(self.client.clone());
        remove_at(&api, &*request, end(&request)).await
    }
}

/// When the request has served its time; `None` while another signer has yet to act.
fn end(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let decided = |kind: &str| {
        let condition = condition(request, kind)?;
        Some(condition.last_update_time.as_ref()?.0 + AFTER_DECISION)
    };
    let undecided =
        request.status.as_ref().and_then(|status| status.conditions.as_ref()).is_none_or(Vec::is_empty);
    let certificate = issued(request);
    [
        certificate.and_then(|_| decided("Approved")),
        certificate.and_then(ends),
        decided("Denied"),
        decided("Failed"),
        undecided.then(|| object::created(request) + WITHOUT_DECISION),
    ]
    .into_iter()
    .flatten()
    .min()
}

/// When the certificate ends.
fn ends(pem: &[u8]) -> Option<Timestamp> {
    let block = Pem::iter_from_buffer(pem).next()?.ok()?;
    let seconds = block.parse_x509().ok()?.validity().not_after.timestamp();
    Timestamp::from_second(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(status: Value, expected: Option<&str>) {
        let request: CertificateSigningRequest = serde_json::from_value(json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"request": "", "signerName": "a.b/c"},
            "status": status,
        }))
        .unwrap();
        assert_eq!(end(&request).map(|end| end.to_string()), expected.map(String::from), "{status}");
    }

    #[test]
    fn a_request_ends_after_its_decision_or_its_certificate() {
        let decided = |kind: &str, certificate: &str| {
            let condition = json!({"type": kind, "status": "True", "lastUpdateTime": "2026-01-01T10:00:00Z"});
            json!({"conditions": [condition], "certificate": certificate})
        };
        check(json!({}), Some("2026-01-02T00:00:00Z"));
        check(decided("Denied", ""), Some("2026-01-01T11:00:00Z"));
        check(decided("Failed", ""), Some("2026-01-01T11:00:00Z"));
        check(decided("Approved", ""), None);
        check(decided("Approved", "eA=="), Some("2026-01-01T11:00:00Z"));
    }
}
