//! CertificateSubjectRestriction: no client certificate makes its holder a member of `system:masters`.

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::{
    Cluster, Plugin, Request,
    certificate_approval::{GROUP, RESOURCE},
};
use crate::authz::Refusal;

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &str = "system:masters";

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
        let subject = subject(spec).map_err(|why| request.forbid(&format!("failed to parse CSR: {why}")))?;
        if subject.organizations.iter().any(|organization| organization == MASTERS) {
            return Err(
                request.forbid(&format!("use of {SIGNER} signer with {MASTERS} group is not allowed"))
            );
        }
        Ok(())
    }
}

/// Whom a certificate is wanted for.
pub struct Subject {
    pub common_name: String,
    pub organizations: Vec<String>,
}

/// Out of `spec.request`: base64 of a PEM block.
pub fn subject(spec: &Value) -> Result<Subject, String> {
    let text = spec["request"].as_str().unwrap_or_default();
    let pem = BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).map_err(|error| error.to_string())?;
    if block.label != "CERTIFICATE REQUEST" {
        return Err("PEM block type must be CERTIFICATE REQUEST".into());
    }
    let (_, request) =
        X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
    let subject = &request.certification_request_info.subject;
    let texts = |attributes: Vec<&str>| attributes.into_iter().map(String::from).collect::<Vec<_>>();
    let names = texts(subject.iter_common_name().filter_map(|name| name.as_str().ok()).collect());
    Ok(Subject {
        common_name: names.into_iter().next().unwrap_or_default(),
        organizations: texts(subject.iter_organization().filter_map(|name| name.as_str().ok()).collect()),
    })
}
