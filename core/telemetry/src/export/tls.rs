//! Whom a process trusts that exports to an `https://` endpoint, and what it shows of itself, as
//! OpenTelemetry's variables say: paths of PEM files.
//!
//! Source: <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Where none is named, the
//! machine's own authorities are trusted, and nothing is shown.

use std::fs;

use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::endpoint::Variables;

pub const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// What the PEM of a certificate and of a key has.
const OF_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const OF_KEY: &str = "PRIVATE KEY-----";

/// # Errors
/// A sentence: which variable names a file that can't be used, or lacks the one that belongs to it.
pub fn config(variables: Variables<'_>) -> Result<ClientTlsConfig, String> {
    let config = match file(variables, CERTIFICATE, OF_CERTIFICATE)? {
        Some(authorities) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    let certificate = file(variables, CLIENT_CERTIFICATE, OF_CERTIFICATE)?;
    match (certificate, file(variables, CLIENT_KEY, OF_KEY)?) {
        (Some(certificate), Some(key)) => Ok(config.identity(Identity::from_pem(certificate, key))),
        (None, None) => Ok(config),
        _ => Err(format!("{CLIENT_CERTIFICATE} and {CLIENT_KEY} belong together: set both or none")),
    }
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
            let said = config(&variables).err().unwrap_or_default();
            assert!(said.contains(expected) && said.is_empty() == expected.is_empty(), "{set:?}: {said}");
        }
    }
}
