//! CertificateApproval: who approves or denies a certificate must be allowed to for its signer.

use async_trait::async_trait;
use tiphys_api::auth::Attributes;

use super::{Cluster, Operation, Plugin, Request};
use crate::authz::Refusal;

pub const GROUP: &str = "certificates.k8s.io";
pub const RESOURCE: &str = "certificatesigningrequests";

pub struct CertificateApproval;

#[async_trait]
impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !is_update_of(request, "approval") || may(cluster, request, "approve") {
            return Ok(());
        }
        let signer = signer(request);
        Err(request.forbid(&format!("user not permitted to approve requests with signerName {signer:?}")))
    }
}

pub fn is_update_of(request: &Request<'_>, subresource: &str) -> bool {
    (request.group, request.resource, request.subresource) == (GROUP, RESOURCE, subresource)
        && request.operation == Operation::Update
}

/// The signer of the stored request.
pub fn signer<'a>(request: &'a Request<'_>) -> &'a str {
    request.old_object()["spec"]["signerName"].as_str().unwrap_or_default()
}

/// Whether the user has the verb on the signer, by its name or as one of its domain.
pub fn may(cluster: &Cluster, request: &Request<'_>, verb: &str) -> bool {
    let signer = signer(request);
    let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, &domain].iter().any(|name| {
        let question = Attributes::Resource {
            verb: verb.into(),
            group: GROUP.into(),
            version: "*".into(),
            resource: "signers".into(),
            subresource: String::new(),
            namespace: String::new(),
            name: (*name).to_owned(),
        };
        cluster.authorizer.authorize(request.user, &question).is_ok()
    })
}
