//! Who a client is, by its certificate, and whether it may.

use tiphys_api::auth::MASTERS;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The user that the API server shows to kubelets.
const API_SERVER: &str = "kube-apiserver-kubelet-client";

/// Whether the owner of this certificate (DER, verified by TLS) may ask the kubelet.
pub(super) fn may_ask(certificate: &[u8]) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    let subject = certificate.subject();
    let named =
        subject.iter_common_name().filter_map(|name| name.as_str().ok()).any(|name| name == API_SERVER);
    let master =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).any(|group| group == MASTERS);
    named || master
}
