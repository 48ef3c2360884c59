//! CertificateSubjectRestriction: no client certificate makes its holder a member of `system:masters`.

use async_trait::async_trait;
use tiphys_api::{auth::MASTERS, certificate_request};

use super::{
    Cluster, Plugin, Request,
    certificate_approval::{GROUP, RESOURCE},
};
use crate::authz::Refusal;

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

pub struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    async fn validate(&self, _: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        let spec = &request.new_object()["spec"];
        if !request.is(GROUP, RESOURCE) || !request.creates() || spec["signerName"] != SIGNER {
            return Ok(());
        }
        let asked = certificate_request::read_spec(spec)
            .map_err(|why| request.forbid(&format!("failed to parse CSR: {why}")))?;
        if asked.organizations.iter().any(|organization| organization == MASTERS) {
            return Err(
                request.forbid(&format!("use of {SIGNER} signer with {MASTERS} group is not allowed"))
            );
        }
        Ok(())
    }
}
