//! CertificateSigning: who puts a certificate into a request must be allowed to sign for its signer.

use async_trait::async_trait;

use super::{
    Cluster, Plugin, Request,
    certificate_approval::{is_update_of, may, signer},
};
use crate::authz::Refusal;

pub struct CertificateSigning;

#[async_trait]
impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    async fn validate(&self, cluster: &Cluster, request: &Request<'_>) -> Result<(), Refusal> {
        if !is_update_of(request, "status") {
            return Ok(());
        }
        let (new, old) = (&request.new_object()["status"], &request.old_object()["status"]);
        let same = ["certificate", "conditions"].iter().all(|field| new[field] == old[field]);
        if same || may(cluster, request, "sign") {
            return Ok(());
        }
        let signer = signer(request);
        Err(request.forbid(&format!("user not permitted to sign requests with signerName {signer:?}")))
    }
}
