//! Whom a process trusts that exports to an `https://` endpoint, and what it shows of itself, as
//! OpenTelemetry's variables say: paths of PEM files.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Where none is named, the
//! machine's own authorities are trusted, and nothing is shown.

use std::{fmt, fs, sync::Arc};

use rustls::{ClientConfig, ConfigBuilder, RootCertStore, client::WantsClientCert, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::signal::Variables;

pub const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// What the PEM of a certificate and of a key has.
const OF_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const OF_KEY: &str = "PRIVATE KEY-----";

/// What stands in the files that the variables name.
pub struct Files {
    authorities: Option<String>,
    /// A certificate and its key.
    identity: Option<(String, String)>,
}

impl Files {
    /// # Errors
    /// A sentence: which variable names a file that can't be used, or lacks the one that belongs to it.
    pub fn read(variables: Variables<'_>) -> Result<Self, String> {
        let authorities = file(variables, CERTIFICATE, OF_CERTIFICATE)?;
        let certificate = file(variables, CLIENT_CERTIFICATE, OF_CERTIFICATE)?;
        match (certificate, file(variables, CLIENT_KEY, OF_KEY)?) {
            (Some(certificate), Some(key)) => Ok(Self { authorities, identity: Some((certificate, key)) }),
            (None, None) => Ok(Self { authorities, identity: None }),
            _ => Err(format!("{CLIENT_CERTIFICATE} and {CLIENT_KEY} belong together: set both or none")),
        }
    }

    /// For a channel of gRPC.
    pub fn grpc(self) -> ClientTlsConfig {
        let config = match self.authorities {
            Some(authorities) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        match self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }

    /// For a client of HTTP.
    ///
    /// # Errors
    /// A sentence: a file has no certificate or no key, or there is nobody to trust.
    pub fn http(&self) -> Result<ClientConfig, String> {
        let builder = trusting(self.roots()?);
        let Some((certificate, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let shown = certificates(CLIENT_CERTIFICATE, certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|why| no_pem(CLIENT_KEY, why))?;
        let unusable = |error: rustls::Error| format!("{CLIENT_CERTIFICATE}, {CLIENT_KEY}: {error}");
        builder.with_client_auth_cert(shown, key).map_err(unusable)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let Some(authorities) = &self.authorities else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let lacking = "no certificates of authorities are on this machine";
            return (!roots.is_empty()).then_some(roots).ok_or_else(|| format!("{lacking}; {}", remedy()));
        };
        for authority in certificates(CERTIFICATE, authorities)? {
            roots.add(authority).map_err(|error| format!("{CERTIFICATE}: {error}"))?;
        }
        Ok(roots)
    }
}

/// What is to be done where nobody is trusted.
pub fn remedy() -> String {
    format!("{CERTIFICATE} may name a file with the certificate of its authority")
}

/// For a client that speaks no TLS, and must have a configuration all the same.
pub fn nobody() -> ClientConfig {
    trusting(RootCertStore::empty()).with_no_client_auth()
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
}

fn certificates(variable: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| no_pem(variable, why))
}

fn no_pem(variable: &str, why: impl fmt::Display) -> String {
    format!("{variable}: its file is no PEM file: {why}")
}

/// The text of the file that a variable names; nothing where it names none.
fn file(variables: Variables<'_>, variable: &str, has: &str) -> Result<Option<String>, String> {
    let Some(path) = variables(variable).filter(|path| !path.is_empty()) else { return Ok(None) };
    let unread = |error: std::io::Error| format!("{variable}: {path} can't be read: {error}");
    let text = fs::read_to_string(&path).map_err(unread)?;
    match text.contains(has) {
        true => Ok(Some(text)),
        false => Err(format!("{variable}: {path} is no PEM file: a line with {has} is wanted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_variables_and_mistakes_by_both() {
        // Its own text has what is looked for.
        let (this, other) = (concat!(env!("CARGO_MANIFEST_DIR"), "/src/export/tls.rs"), "/no/such/file");
        let none = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for (set, expected) in [
            (&[][..], ""),
            (&[(CERTIFICATE, this)][..], ""),
            (&[(CERTIFICATE, "")][..], ""),
            (&[(CLIENT_CERTIFICATE, this), (CLIENT_KEY, this)][..], ""),
            (&[(CLIENT_CERTIFICATE, this)][..], "belong together"),
            (&[(CLIENT_KEY, this)][..], "belong together"),
            (&[(CERTIFICATE, other)][..], "OTEL_EXPORTER_OTLP_CERTIFICATE: /no/such/file can't be read"),
            (&[(CERTIFICATE, none)][..], "is no PEM file: a line with -----BEGIN CERTIFICATE-----"),
            (&[(CLIENT_CERTIFICATE, this), (CLIENT_KEY, none)][..], "OTEL_EXPORTER_OTLP_CLIENT_KEY: "),
        ] {
            let variables = |name: &str| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, path)| (*path).to_owned())
            };
            let said = Files::read(&variables).err().unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{set:?}: {said}");
        }
    }

    #[test]
    fn a_clients_files_must_hold_what_their_first_lines_say() {
        let made = rcgen::generate_simple_self_signed(["otel.example".to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let broken = format!("{OF_CERTIFICATE}\nAA\n-----END CERTIFICATE-----\n");
        let shown = |certificate: &str, key: &str| Some((certificate.to_owned(), key.to_owned()));
        for (authorities, identity, expected) in [
            (certificate.clone(), None, ""),
            (certificate.clone(), shown(&certificate, &key), ""),
            (broken.clone(), None, CERTIFICATE),
            (certificate.clone(), shown(&broken, &key), CLIENT_CERTIFICATE),
            (certificate.clone(), shown(&certificate, "-----BEGIN PRIVATE KEY-----\n"), CLIENT_KEY),
        ] {
            let files = Files { authorities: Some(authorities), identity };
            let said = files.http().err().unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{expected}: {said}");
        }
    }
}
