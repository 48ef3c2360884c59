//! A user out of a client certificate: the common name, and organizations as groups.
//!
//! The listener has verified the certificate against the cluster's authority
//! before it puts a [`PeerCertificate`] into the request's extensions.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tiphys_api::auth::UserInfo;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::AUTHENTICATED;

/// The client's certificate of a TLS session (DER), verified by the listener.
#[derive(Debug, Clone)]
pub struct PeerCertificate(pub Vec<u8>);

/// The user of a verified certificate, or what it lacks.
pub fn user(certificate: &PeerCertificate) -> Result<UserInfo, String> {
    let (_, parsed) =
        X509Certificate::from_der(&certificate.0).map_err(|error| format!("not a certificate: {error}"))?;
    let subject = parsed.subject();
    let name = subject
        .iter_common_name()
        // The last one, as Go reads a subject with several.
        .last()
        .and_then(|name| name.as_str().ok())
        .filter(|name| !name.is_empty())
        .ok_or("the certificate has no common name")?
        .to_owned();
    let mut groups: Vec<String> =
        subject.iter_organization().filter_map(|group| group.as_str().ok()).map(String::from).collect();
    groups.push(AUTHENTICATED.into());
    let credential = format!("X509SHA256={}", hex(&Sha256::digest(&certificate.0)));
    let extra = BTreeMap::from([("authentication.kubernetes.io/credential-id".into(), vec![credential])]);
    Ok(UserInfo { name, uid: String::new(), groups, extra })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
