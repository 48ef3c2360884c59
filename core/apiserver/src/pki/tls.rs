//! rustls configurations out of PEM text.
//!
//! Both sides trust exactly the authority they are given; only [`machine_tls`] trusts the machine's,
//! and [`unverified_tls`] whoever is there.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, client::WantsClientCert,
    crypto::CryptoProvider, server::WebPkiClientVerifier, server::danger::ClientCertVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{Identity, PkiError, self_signed::SelfSigned};

/// A server's configuration: HTTP/2 and HTTP/1.1. With a `client_ca`, a client
/// may show a certificate, and one that the authority has not issued is refused.
pub fn server_tls(identity: &Identity, client_ca: Option<&str>) -> Result<Arc<ServerConfig>, PkiError> {
    let verifier: Arc<dyn ClientCertVerifier> = match client_ca {
        Some(pem) => WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider())
            .allow_unauthenticated()
            .build()?,
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(identity)?, key(identity)?)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A client's configuration that trusts `ca_pem` and shows `identity`. It offers
/// no ALPN protocol: who speaks HTTP/2 sets `alpn_protocols` on a copy.
pub fn client_tls(ca_pem: &str, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, PkiError> {
    let verifier = SelfSigned::new(roots(ca_pem)?, parse_certificates(ca_pem)?, provider())?;
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    showing(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)), identity)
}

/// A client's configuration that trusts the machine's authorities: for servers that are not the
/// cluster's. What can't be read of them is missed when it is needed.
pub fn machine_tls(identity: Option<&Identity>) -> Result<Arc<ClientConfig>, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    showing(trusting(roots)?, identity)
}

/// A client's configuration that takes any server's certificate: for those whose owner has said so.
pub fn unverified_tls(identity: Option<&Identity>) -> Result<Arc<ClientConfig>, PkiError> {
    showing(tiphys_tls::any_server(), identity)
}

fn showing(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, PkiError> {
    let config = match identity {
        Some(identity) => builder.with_client_auth_cert(certificates(identity)?, key(identity)?)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn trusting(roots: RootCertStore) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(pem: &str) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in parse_certificates(pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(identity: &Identity) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    parse_certificates(&identity.certificate_pem)
}

fn parse_certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let what = "a certificate";
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PkiError::Pem { what, why: error.to_string() })?;
    if certificates.is_empty() {
        return Err(PkiError::Pem { what, why: "it holds none".into() });
    }
    Ok(certificates)
}

fn key(identity: &Identity) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())
        .map_err(|error| PkiError::Pem { what: "a private key", why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::ClusterPki;
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    /// The handshake's outcome on both sides: the peer's certificate as the server saw it.
    async fn handshake(
        server: Arc<ServerConfig>,
        client: Arc<ClientConfig>,
        name: &str,
    ) -> Result<Option<Vec<u8>>, String> {
        let (near, far) = duplex(64 * 1024);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connect = async move {
            let mut tls = tokio_rustls::TlsConnector::from(client).connect(name, near).await?;
            tls.write_all(b"x").await?;
            tls.read_u8().await
        };
        let accept = async move {
            let mut tls = tokio_rustls::TlsAcceptor::from(server).accept(far).await?;
            let byte = tls.read_u8().await?;
            tls.write_u8(byte).await?;
            let peer = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
            Ok::<_, std::io::Error>(peer.map(|certificate| certificate.to_vec()))
        };
        let (connected, accepted) = tokio::join!(connect, accept);
        connected.map_err(|error| error.to_string())?;
        accepted.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn both_sides_trust_only_the_clusters_authority() {
        let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pki = ClusterPki::load_or_create(folder.path()).unwrap();
        let other = ClusterPki::load_or_create(other_folder.path()).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = server_tls(&pki.server("apiserver", &names).unwrap(), Some(pki.ca_pem())).unwrap();
        let jane = pki.client("jane", Some("dev")).unwrap();

        let trusted = client_tls(pki.ca_pem(), Some(&jane)).unwrap();
        for name in ["localhost", "127.0.0.1"] {
            assert!(handshake(server.clone(), trusted.clone(), name).await.unwrap().is_some());
        }
        assert!(handshake(server.clone(), trusted, "elsewhere").await.is_err());

        let anonymous = client_tls(pki.ca_pem(), None).unwrap();
        assert_eq!(handshake(server.clone(), anonymous, "localhost").await, Ok(None));

        let stranger = client_tls(other.ca_pem(), Some(&jane)).unwrap();
        assert!(handshake(server.clone(), stranger, "localhost").await.is_err());
        let forged = other.client("jane", Some("system:masters")).unwrap();
        let forged = client_tls(pki.ca_pem(), Some(&forged)).unwrap();
        assert!(handshake(server, forged, "localhost").await.is_err());
    }

    #[test]
    fn an_authority_is_made_once_and_never_half() {
        let folder = tempfile::tempdir().unwrap();
        let first = ClusterPki::load_or_create(folder.path()).unwrap();
        let second = ClusterPki::load_or_create(folder.path()).unwrap();
        assert_eq!(first.ca_pem(), second.ca_pem());
        assert_eq!(first.service_account_key(), second.service_account_key());

        std::fs::remove_file(folder.path().join("ca.key")).unwrap();
        let half = ClusterPki::load_or_create(folder.path()).err().unwrap();
        assert!(matches!(half, PkiError::HalfAuthority { .. }), "{half}");
    }

    #[test]
    fn an_identity_is_kept_as_two_files_and_its_key_stays_out_of_logs() {
        let folder = tempfile::tempdir().unwrap();
        let pki = ClusterPki::load_or_create(&folder.path().join("pki")).unwrap();
        let identity = pki.kubelet_serving("n1", &["172.30.0.10".into()]).unwrap();
        assert!(Identity::read(folder.path(), "kubelet").unwrap().is_none());
        identity.write(folder.path(), "kubelet").unwrap();
        let read = Identity::read(folder.path(), "kubelet").unwrap().unwrap();
        assert_eq!(read.key_pem, identity.key_pem);
        assert!(!format!("{read:?}").contains("PRIVATE KEY"));
    }
}
