//! Requests for certificates.

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;

use super::{Name, rows::Rows};
use crate::series::MetricKind::Gauge;

pub const NAMES: &[Name] = &[
    ("kube_certificatesigningrequest_created", Gauge, "When it was made, since the Unix epoch"),
    ("kube_certificatesigningrequest_condition", Gauge, "How often it was approved, denied, or failed"),
    ("kube_certificatesigningrequest_cert_length", Gauge, "Bytes of the certificate that was issued"),
];

pub fn tell(object: &CertificateSigningRequest) -> Rows {
    let mut rows = Rows::of("certificatesigningrequest", &object.metadata);
    rows.own("signer_name", Some(object.spec.signer_name.as_str()));
    rows.time("kube_certificatesigningrequest_created", object.metadata.creation_timestamp.as_ref());
    let status = object.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    for (kind, shown) in [("Approved", "approved"), ("Denied", "denied"), ("Failed", "failed")] {
        let count = conditions.iter().filter(|condition| condition.type_ == kind).count();
        rows.with("kube_certificatesigningrequest_condition", &[("condition", shown)], count as f64);
    }
    let certificate = status.and_then(|status| status.certificate.as_ref());
    let length = certificate.map_or(0, |certificate| certificate.0.len());
    rows.with("kube_certificatesigningrequest_cert_length", &[], length as f64);
    rows
}
