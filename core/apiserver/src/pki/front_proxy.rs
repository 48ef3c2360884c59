//! Who the API server is to extension servers: a certificate of an authority of its own.
//!
//! An extension server believes what a front proxy says of a request's user. So the
//! authority must be another one than the cluster's: whoever has a client certificate
//! of that one would be a front proxy, too. Each server of a cluster has its own; the
//! ConfigMap that extension servers read names all of them.

use std::path::Path;

use rcgen::{ExtendedKeyUsagePurpose, Issuer, KeyPair};

use super::{
    Identity, PkiError,
    authority::{authority, issue},
};

/// The name in the certificate, by which extension servers know a front proxy.
pub const FRONT_PROXY_NAME: &str = "front-proxy-client";

/// The front proxy's authority, and the certificate that it issued to this server.
#[derive(Debug, Clone)]
pub struct FrontProxy {
    pub ca_pem: String,
    pub identity: Identity,
}

impl FrontProxy {
    /// Loads the authority from a folder, or makes one there, and issues a certificate.
    ///
    /// # Errors
    /// Files that can't be read or written, or hold no authority.
    pub fn load_or_create(folder: &Path) -> Result<Self, PkiError> {
        let (certificate, key) = (folder.join("front-proxy-ca.crt"), folder.join("front-proxy-ca.key"));
        let (ca_pem, ca_key) = authority(certificate, key, "tiphys-front-proxy-ca")?;
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, KeyPair::from_pem(&ca_key)?)?;
        let identity = issue(&issuer, FRONT_PROXY_NAME, None, &[], ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { ca_pem, identity })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ClusterPki;

    #[test]
    fn the_authority_is_kept_and_is_not_the_clusters() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = ClusterPki::load_or_create(folder.path()).unwrap();
        let first = FrontProxy::load_or_create(folder.path()).unwrap();
        let second = FrontProxy::load_or_create(folder.path()).unwrap();
        assert_eq!(first.ca_pem, second.ca_pem);
        assert_ne!(first.ca_pem, cluster.ca_pem());
        assert!(!format!("{first:?}").contains("PRIVATE KEY"));
    }
}
