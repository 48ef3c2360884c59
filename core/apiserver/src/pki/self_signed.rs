//! Verifies servers by authorities, and takes an authority itself for a server, too.
//!
//! webpki refuses a certificate that says it is an authority's where a server shows it. Such are
//! what `openssl req -x509` makes, and what extension servers and webhooks are often given, with
//! the same certificate as their caBundle. Nothing is lost by taking it: who has an authority's
//! key could have issued any other certificate.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::CryptoProvider,
    server::{ParsedCertificate, VerifierBuilderError},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

#[derive(Debug)]
pub struct SelfSigned {
    by_authorities: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl SelfSigned {
    /// `roots` are those of the same authorities.
    pub fn new(
        roots: RootCertStore,
        authorities: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let by_authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { by_authorities, authorities })
    }

    /// An authority's own certificate, for this name and at this time.
    fn is_an_authority(&self, shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        self.authorities.iter().any(|known| known.as_ref() == shown.as_ref())
            && ParsedCertificate::try_from(shown)
                .is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok())
            && may_serve(shown, now)
    }
}

/// It is valid now, and not meant for something else.
fn may_serve(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let meant = match parsed.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
        Err(_) => false,
    };
    meant && validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp()
}

impl ServerCertVerifier for SelfSigned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.by_authorities.verify_server_cert(shown, chain, name, ocsp, now) {
            Err(_) if self.is_an_authority(shown, name, now) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authorities.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn authority(
        name: &str,
        expires: i32,
        usage: &[rcgen::ExtendedKeyUsagePurpose],
    ) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(expires, 1, 1);
        params.extended_key_usages = usage.to_vec();
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn taken(trusted: &CertificateDer<'static>, shown: &CertificateDer<'static>) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let verifier = SelfSigned::new(roots, vec![trusted.clone()], provider).unwrap();
        let name = ServerName::try_from("a.example").unwrap();
        verifier.verify_server_cert(shown, &[], &name, &[], UnixTime::since_unix_epoch(NOW)).is_ok()
    }

    #[test]
    fn abuse_12_an_authority_serves_under_its_own_name_and_no_other() {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let good = authority("a.example", 2099, &[]);
        assert!(taken(&good, &good));
        let meant = authority("a.example", 2099, &[ServerAuth]);
        assert!(taken(&meant, &meant));
        for bad in [
            authority("b.example", 2099, &[]),
            authority("a.example", 2001, &[]),
            authority("a.example", 2099, &[ClientAuth]),
        ] {
            assert!(!taken(&bad, &bad));
        }
        assert!(!taken(&good, &authority("a.example", 2099, &[])), "another authority of the name");
    }
}
