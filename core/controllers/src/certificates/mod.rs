//! Certificate requests: approved when a kubelet asks for its own, signed when
//! approved, removed when old. One controller a file.
//!
//! ```text
//! request ──> approving (kubelets, after a SubjectAccessReview) ──> Approved
//!               or `kubectl certificate approve`                       │
//!                                                                  signing ──> status.certificate
//! rules (who may ask a signer for what) ──────────────────────────────┘       (or Failed)
//! cleaning: an hour after the decision, a day without one, or when the certificate ends
//! ```
//!
//! What they must not do: sign what nobody approved, or put anything into a
//! certificate that was not in the request or the signer's rules.

mod approving;
mod cleaning;
mod der;
mod rules;
mod sign;
mod signing;

use std::fmt;

use k8s_openapi::api::certificates::v1::{
    CertificateSigningRequest, CertificateSigningRequestCondition, CertificateSigningRequestStatus,
};

pub use approving::start as start_approving;
pub use cleaning::start as start_cleaning;
pub use signing::start as start_signing;

/// The certificate and key that signs what is approved, as PEM text.
#[derive(Clone, Default)]
pub struct Authority {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// Shows the certificate only: keys must not reach a log.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

fn condition<'a>(
    request: &'a CertificateSigningRequest,
    kind: &str,
) -> Option<&'a CertificateSigningRequestCondition> {
    status(request)?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

fn status(request: &CertificateSigningRequest) -> Option<&CertificateSigningRequestStatus> {
    request.status.as_ref()
}

/// The PEM text of the issued certificate.
fn issued(request: &CertificateSigningRequest) -> Option<&[u8]> {
    status(request)?.certificate.as_ref().map(|bytes| bytes.0.as_slice()).filter(|pem| !pem.is_empty())
}
