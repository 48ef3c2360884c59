//! What a target asks for before it answers: tokens, passwords, certificates.
//!
//! All of them stand in Secrets and ConfigMaps of the namespace of whoever wrote the
//! monitor; no file of the server is read. They are read anew each minute, so that a
//! rotated one works.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A key of a Secret or ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub namespace: String,
    pub is_secret: bool,
    pub name: String,
    pub key: String,
}

/// How a target is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The scheme of the header Authorization, and what follows.
    pub token: Option<(String, Kept)>,
    /// A name, and a password unless it is empty.
    pub basic: Option<(Kept, Option<Kept>)>,
    pub authority: Option<Kept>,
    pub certificate: Option<(Kept, Kept)>,
    pub server_name: Option<String>,
    pub any_server: bool,
    pub no_redirects: bool,
}

impl Access {
    /// Whether something must be read before a target can be asked.
    pub fn has_secrets(&self) -> bool {
        self.token.is_some() || self.basic.is_some() || self.authority.is_some() || self.certificate.is_some()
    }
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    pub authorization: Option<HeaderValue>,
    authority: Option<String>,
    certificate: Option<(String, String)>,
}

/// Reads what `access` names.
///
/// # Errors
/// What is missing, and where.
pub async fn read(client: &Client, access: &Access) -> Result<Credentials, String> {
    let mut credentials = Credentials::default();
    if let Some((scheme, kept)) = &access.token {
        credentials.authorization = Some(header(&format!("{scheme} {}", text(client, kept).await?.trim()))?);
    }
    if let Some((name, password)) = &access.basic {
        let name = text(client, name).await?;
        let password = match password {
            Some(password) => text(client, password).await?,
            None => String::new(),
        };
        let pair = format!("{name}:{password}");
        credentials.authorization = Some(header(&format!("Basic {}", STANDARD.encode(pair)))?);
    }
    if let Some(kept) = &access.authority {
        credentials.authority = Some(text(client, kept).await?);
    }
    if let Some((certificate, key)) = &access.certificate {
        credentials.certificate = Some((text(client, certificate).await?, text(client, key).await?));
    }
    Ok(credentials)
}

fn header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the token has characters that no header takes".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

async fn text(client: &Client, kept: &Kept) -> Result<String, String> {
    let Kept { namespace, is_secret, name, key } = kept;
    let kind = if *is_secret { "Secret" } else { "ConfigMap" };
    let missing = |error: kube::Error| format!("{kind} {namespace}/{name} can't be read: {error}");
    let found = match is_secret {
        true => {
            let secret =
                Api::<Secret>::namespaced(client.clone(), namespace).get(name).await.map_err(missing)?;
            let bytes = secret.data.unwrap_or_default().remove(key).map(|value| value.0);
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        }
        false => {
            let map =
                Api::<ConfigMap>::namespaced(client.clone(), namespace).get(name).await.map_err(missing)?;
            let mut data: BTreeMap<_, _> = map.data.unwrap_or_default();
            data.remove(key)
        }
    };
    found.ok_or_else(|| format!("{kind} {namespace}/{name} has no text under {key:?}"))
}

/// TLS as the access and its credentials want it. Without an authority: those that the machine trusts.
///
/// # Errors
/// A certificate or key that is none.
pub fn tls(access: &Access, credentials: &Credentials) -> Result<rustls::ClientConfig, String> {
    let builder = match access.any_server {
        true => tiphys_tls::any_server(),
        false => {
            let mut roots = rustls::RootCertStore::empty();
            match &credentials.authority {
                Some(pem) => {
                    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                        let certificate =
                            certificate.map_err(|error| format!("the CA is no certificate: {error}"))?;
                        roots.add(certificate).map_err(|error| format!("the CA can't be used: {error}"))?;
                    }
                    if roots.is_empty() {
                        return Err("the CA holds no certificate".to_owned());
                    }
                }
                None => {
                    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                }
            }
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
        }
    };
    let Some((certificate, key)) = &credentials.certificate else { return Ok(builder.with_no_client_auth()) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("the client certificate is none: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|error| format!("the client key is none: {error}"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("the client certificate can't be used: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::loop_tests::api;

    #[tokio::test]
    async fn a_name_without_a_password_is_enough() {
        let keys = BTreeMap::from([("user", "anna".to_owned()), ("word", "s3cret".to_owned())]);
        let client = api(BTreeMap::from([("auth", keys)]));
        let kept = |key: &str| Kept {
            namespace: "shop".into(),
            is_secret: true,
            name: "auth".into(),
            key: key.into(),
        };
        let access =
            |password: Option<Kept>| Access { basic: Some((kept("user"), password)), ..Access::default() };
        for (password, pair) in [(None, "anna:"), (Some(kept("word")), "anna:s3cret")] {
            let found = read(&client, &access(password)).await.expect("read");
            let expected = format!("Basic {}", STANDARD.encode(pair));
            assert_eq!(found.authorization.expect("a header"), expected.as_str());
        }
        assert!(read(&client, &access(Some(kept("gone")))).await.is_err(), "one that is named must be there");
    }
}
