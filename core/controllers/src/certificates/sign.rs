//! A certificate out of a request: RFC 5280, version 3, signed by the cluster's
//! authority. Pure but for the serial number.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, SigningKey,
};
use x509_parser::{extensions::ParsedExtension, pem::Pem};

use tiphys_api::certificate_request::Asked;

use super::{Authority, der};

/// How long a certificate lives when nothing shorter is asked for, and at most.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const SHORTEST: Duration = Duration::from_secs(600);
/// Certificates begin in the past, for machines whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// Names of usages, and their bits in KeyUsage, from the left.
const KEY_USAGES: &[(&str, u16)] = &[
    ("signing", 0x8000),
    ("digital signature", 0x8000),
    ("content commitment", 0x4000),
    ("key encipherment", 0x2000),
    ("data encipherment", 0x1000),
    ("key agreement", 0x0800),
    ("cert sign", 0x0400),
    ("crl sign", 0x0200),
    ("encipher only", 0x0100),
    ("decipher only", 0x0080),
];

/// Names of usages, and the content of their object identifiers.
const EXTENDED_USAGES: &[(&str, &[u8])] = &[
    ("any", &[0x55, 0x1d, 0x25, 0x00]),
    ("server auth", &[0x2b, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[0x2b, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[0x2b, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[0x2b, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[0x2b, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[0x2b, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[0x2b, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[0x2b, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[0x2b, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3]),
    ("netscape sgc", &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1]),
];

const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];

/// Who signs.
pub struct Signer {
    key: KeyPair,
    /// The DER of the algorithm that the key signs by.
    algorithm: Vec<u8>,
    /// The DER of the authority's name.
    name: Vec<u8>,
    key_identifier: Vec<u8>,
    ends: Timestamp,
}

impl Signer {
    /// # Errors
    /// Why the authority cannot sign, as a sentence.
    pub fn new(authority: &Authority) -> Result<Self, String> {
        let key = KeyPair::from_pem(&authority.key_pem).map_err(|error| error.to_string())?;
        let block = Pem::iter_from_buffer(authority.certificate_pem.as_bytes()).next();
        let block = block.and_then(Result::ok).ok_or("the authority's certificate is not PEM text")?;
        let certificate = block.parse_x509().map_err(|error| error.to_string())?;
        let identifier =
            certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _ => None,
            });
        Ok(Self {
            algorithm: algorithm(&key).ok_or("the authority's key is of no algorithm that signs here")?,
            name: certificate.subject().as_raw().to_vec(),
            key_identifier: identifier.unwrap_or_default(),
            ends: Timestamp::from_second(certificate.validity().not_after.timestamp())
                .map_err(|error| error.to_string())?,
            key,
        })
    }

    /// The PEM text of a certificate for what was asked.
    ///
    /// # Errors
    /// A usage that no certificate has, or a key that does not sign.
    pub fn sign(
        &self,
        asked: &Asked,
        usages: &[String],
        seconds: Option<i32>,
        now: Timestamp,
    ) -> Result<String, String> {
        let starts = now - BACKDATED;
        let ends = (starts + lifetime(seconds)).min(self.ends);
        let body = der::sequence(&[
            der::tagged(0, &der::integer(&[2])),
            der::integer(&serial()),
            self.algorithm.clone(),
            self.name.clone(),
            der::sequence(&[der::time(starts), der::time(ends)]),
            asked.subject.clone(),
            asked.public_key.clone(),
            der::tagged(3, &der::sequence(&self.extensions(asked, usages)?)),
        ]);
        let signature = self.key.sign(&body).map_err(|error| error.to_string())?;
        let certificate = der::sequence(&[body, self.algorithm.clone(), der::bits(&signature)]);
        Ok(pem(&certificate))
    }

    fn extensions(&self, asked: &Asked, usages: &[String]) -> Result<Vec<Vec<u8>>, String> {
        let (flags, purposes) = split(usages)?;
        let mut extensions = Vec::new();
        if flags != 0 {
            extensions.push(extension(KEY_USAGE, true, &der::flags(flags)));
        }
        if !purposes.is_empty() {
            extensions.push(extension(EXTENDED_KEY_USAGE, false, &der::sequence(&purposes)));
        }
        extensions.push(extension(BASIC_CONSTRAINTS, true, &der::sequence(&[])));
        if !self.key_identifier.is_empty() {
            let identifier = der::sequence(&[der::element(0x80, &self.key_identifier)]);
            extensions.push(extension(AUTHORITY_KEY, false, &identifier));
        }
        let names = alternative_names(asked);
        if !names.is_empty() {
            // Where the subject is empty, the names are all there is (RFC 5280, 4.2.1.6).
            let critical = asked.subject == der::sequence(&[]);
            extensions.push(extension(SUBJECT_ALT_NAME, critical, &der::sequence(&names)));
        }
        Ok(extensions)
    }
}

fn algorithm(key: &KeyPair) -> Option<Vec<u8>> {
    let no_parameters = Vec::new();
    let null = vec![5, 0];
    let (content, parameters): (&[u8], _) = if key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], no_parameters)
    } else if key.is_compatible(&PKCS_ECDSA_P384_SHA384) {
        (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], no_parameters)
    } else if key.is_compatible(&PKCS_ED25519) {
        (&[0x2b, 0x65, 0x70], no_parameters)
    } else if key.is_compatible(&PKCS_RSA_SHA256) {
        (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], null)
    } else {
        return None;
    };
    Some(der::sequence(&[der::identifier(content), parameters]))
}

/// What is asked for, within the bounds of the signer.
fn lifetime(seconds: Option<i32>) -> Duration {
    let asked = seconds.map(|seconds| Duration::from_secs(seconds.max(0) as u64));
    asked.map_or(LIFETIME, |asked| asked.clamp(SHORTEST, LIFETIME))
}

/// Sixteen random bytes, of which the first bit is 0: a positive number.
fn serial() -> [u8; 16] {
    let mut serial: [u8; 16] = rand::random();
    serial[0] = (serial[0] & 0x7f) | 0x40;
    serial
}

/// Usages as flags of KeyUsage and identifiers of ExtendedKeyUsage.
fn split(usages: &[String]) -> Result<(u16, Vec<Vec<u8>>), String> {
    let (mut flags, mut purposes) = (0, Vec::new());
    for usage in usages {
        if let Some((_, flag)) = KEY_USAGES.iter().find(|(name, _)| name == usage) {
            flags |= flag;
        } else if let Some((_, content)) = EXTENDED_USAGES.iter().find(|(name, _)| name == usage) {
            purposes.push(der::identifier(content));
        } else {
            return Err(format!("unrecognized usage {usage:?}"));
        }
    }
    Ok((flags, purposes))
}

fn extension(identifier: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::identifier(identifier)];
    if critical {
        parts.push(der::boolean(true));
    }
    parts.push(der::octets(value));
    der::sequence(&parts)
}

fn alternative_names(asked: &Asked) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for (tag, texts) in [(0x82, &asked.dns), (0x81, &asked.emails), (0x86, &asked.uris)] {
        names.extend(texts.iter().map(|text| der::element(tag, text.as_bytes())));
    }
    names.extend(asked.addresses.iter().map(|address| match address {
        std::net::IpAddr::V4(address) => der::element(0x87, &address.octets()),
        std::net::IpAddr::V6(address) => der::element(0x87, &address.octets()),
    }));
    names
}

fn pem(certificate: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa};

    use tiphys_api::certificate_request;

    use super::*;

    fn authority() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority { certificate_pem: params.self_signed(&key).unwrap().pem(), key_pem: key.serialize_pem() }
    }

    fn asked(names: &[&str]) -> Asked {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "jane");
        params.distinguished_name.push(DnType::OrganizationName, "dev");
        let key = KeyPair::generate().unwrap();
        certificate_request::read(params.serialize_request(&key).unwrap().pem().unwrap().as_bytes()).unwrap()
    }

    fn usages(usages: &[&str]) -> Vec<String> {
        usages.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_certificate_says_what_was_asked_and_is_signed_by_the_authority() {
        let authority = authority();
        let signer = Signer::new(&authority).unwrap();
        let now = Timestamp::now();
        let asked = asked(&["n1", "10.0.0.1", "fd00::1"]);
        let text =
            signer.sign(&asked, &usages(&["client auth", "digital signature"]), Some(3600), now).unwrap();
        let block = Pem::iter_from_buffer(text.as_bytes()).next().unwrap().unwrap();
        let certificate = block.parse_x509().unwrap();
        let ca = Pem::iter_from_buffer(authority.certificate_pem.as_bytes()).next().unwrap().unwrap();
        certificate.verify_signature(Some(ca.parse_x509().unwrap().public_key())).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=jane, O=dev");
        assert_eq!(certificate.public_key().raw, asked.public_key);
        let life =
            certificate.validity().not_after.timestamp() - certificate.validity().not_before.timestamp();
        assert_eq!(life, 3600);
        assert!(!certificate.is_ca());
        let purposes = certificate.extended_key_usage().unwrap().unwrap();
        assert!(purposes.value.client_auth && !purposes.value.server_auth);
        let flags = certificate.key_usage().unwrap().unwrap();
        assert!(flags.critical && flags.value.digital_signature() && !flags.value.key_encipherment());
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 3);
    }

    #[test]
    fn lifetimes_stay_within_the_signers_bounds() {
        assert_eq!(lifetime(None), LIFETIME);
        assert_eq!(lifetime(Some(i32::MAX)), LIFETIME);
        assert_eq!(lifetime(Some(700)), Duration::from_secs(700));
        assert_eq!(lifetime(Some(-1)), SHORTEST);
        assert!(split(&usages(&["flying"])).is_err());
    }
}
