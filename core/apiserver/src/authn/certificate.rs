//! A user out of a client certificate: the common name, and organizations as groups.
//!
//! The listener has verified the certificate against the cluster's authority
//! before it puts a [`PeerCertificate`] into the request's extensions.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};
use tiphys_api::auth::UserInfo;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::AUTHENTICATED;

/// Whom the client's certificate of a TLS session names. It is read once a session, not once a request.
#[derive(Debug, Clone)]
pub struct PeerCertificate(Arc<Result<UserInfo, String>>);

impl PeerCertificate {
    /// Of a certificate (DER) that the listener has verified.
    pub fn read(der: &[u8]) -> Self {
        Self(Arc::new(user(der)))
    }

    /// The user, or what the certificate lacks.
    pub fn user(&self) -> Result<&UserInfo, &str> {
        (*self.0).as_ref().map_err(String::as_str)
    }
}

fn user(der: &[u8]) -> Result<UserInfo, String> {
    let (_, parsed) =
        X509Certificate::from_der(der).map_err(|error| format!("not a certificate: {error}"))?;
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
    let credential = format!("X509SHA256={}", hex(&Sha256::digest(der)));
    let extra = BTreeMap::from([("authentication.kubernetes.io/credential-id".into(), vec![credential])]);
    Ok(UserInfo { name, uid: String::new(), groups, extra })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
