//! The authority: made once, loaded ever after, and what it issues.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::{PkiError, files};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
const LEAF_VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Certificates begin in the past, for machines whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// A certificate (with its chain, if any) and its key, as PEM text.
#[derive(Clone)]
pub struct Identity {
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: String,
}

impl Identity {
    /// Keeps the pair as `NAME.crt` and `NAME.key` (mode 0600) in a folder.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), PkiError> {
        files::write(&folder.join(format!("{name}.key")), &self.key_pem)?;
        files::write(&folder.join(format!("{name}.crt")), &self.certificate_pem)
    }

    /// What [`Identity::write`] wrote, or `None` when one of the two is missing.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Self>, PkiError> {
        let certificate = files::read(&folder.join(format!("{name}.crt")))?;
        let key = files::read(&folder.join(format!("{name}.key")))?;
        Ok(certificate.zip(key).map(|(certificate_pem, key_pem)| Self { certificate_pem, key_pem }))
    }
}

/// Shows the certificate only: keys must not reach a log.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// The cluster's certificate authority and the key that signs service account tokens.
pub struct ClusterPki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
    service_account_key: String,
}

impl ClusterPki {
    /// Loads the authority from a folder, or makes one there (valid 10 years).
    pub fn load_or_create(folder: &Path) -> Result<Self, PkiError> {
        let (ca_pem, ca_key) = authority(folder.join("ca.crt"), folder.join("ca.key"), "tiphys-ca")?;
        let key_path = folder.join("service-account.key");
        let service_account_key = match files::read(&key_path)? {
            Some(key) => key,
            None => {
                let key = KeyPair::generate()?.serialize_pem();
                files::write(&key_path, &key)?;
                key
            }
        };
        let issuer = Issuer::from_ca_cert_pem(&ca_pem, KeyPair::from_pem(&ca_key)?)?;
        Ok(Self { issuer, ca_pem, service_account_key })
    }

    /// The authority's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The authority's private key (PEM, PKCS#8), for the controller that signs certificate requests.
    pub fn ca_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The private key for service account tokens: PEM, PKCS#8, ECDSA P-256.
    pub fn service_account_key(&self) -> &str {
        &self.service_account_key
    }

    /// A certificate for a TLS server. Names that parse as an IP address become IP names.
    pub fn server(&self, common_name: &str, names: &[String]) -> Result<Identity, PkiError> {
        issue(&self.issuer, common_name, None, names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate that authenticates `user`, as a member of `group`.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, PkiError> {
        issue(&self.issuer, user, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The certificate a kubelet serves with: `system:node:NAME` of `system:nodes`,
    /// for the node's name and addresses.
    pub fn kubelet_serving(&self, node: &str, names: &[String]) -> Result<Identity, PkiError> {
        let mut all = vec![node.to_owned()];
        all.extend(names.iter().filter(|name| *name != node).cloned());
        let user = format!("system:node:{node}");
        issue(&self.issuer, &user, Some("system:nodes"), &all, ExtendedKeyUsagePurpose::ServerAuth)
    }
}

/// A leaf certificate of an authority.
pub(super) fn issue(
    issuer: &Issuer<'static, KeyPair>,
    common_name: &str,
    organization: Option<&str>,
    names: &[String],
    usage: ExtendedKeyUsagePurpose,
) -> Result<Identity, PkiError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = distinguished_name(common_name, organization);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, LEAF_VALIDITY);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

/// The certificate and key of an authority, made when there is none.
pub(super) fn authority(
    certificate_path: PathBuf,
    key_path: PathBuf,
    name: &str,
) -> Result<(String, String), PkiError> {
    match (files::read(&certificate_path)?, files::read(&key_path)?) {
        (Some(certificate), Some(key)) => Ok((certificate, key)),
        (Some(_), None) => Err(PkiError::HalfAuthority { present: certificate_path, missing: key_path }),
        // A key alone is what a crash between the two writes leaves: nothing was issued by it.
        (None, _) => {
            let key = KeyPair::generate()?;
            let certificate = authority_params(name).self_signed(&key)?;
            files::write(&key_path, &key.serialize_pem())?;
            files::write(&certificate_path, &certificate.pem())?;
            Ok((certificate.pem(), key.serialize_pem()))
        }
    }
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    // The time in the name keeps two clusters' authorities apart in a trust store.
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    params.distinguished_name = distinguished_name(&format!("{name}@{seconds}"), None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, AUTHORITY_VALIDITY);
    params
}

fn set_validity(params: &mut CertificateParams, validity: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + validity + DAY).into();
}

fn distinguished_name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
