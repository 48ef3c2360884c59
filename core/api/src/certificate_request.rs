//! What a PKCS#10 request asks for, read out of its PEM text. Pure.
//!
//! The API server checks it, controllers approve and sign it: all by this one
//! reading. A subject with two common names, or with a name that can't be read, is
//! refused, since whoever verifies the certificate might take the other one.

use std::net::IpAddr;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
    prelude::FromDer,
    x509::AttributeTypeAndValue,
};

/// A request, with the parts that go into the certificate as they stand in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The DER of the subject's name.
    pub subject: Vec<u8>,
    /// The DER of the public key with its algorithm.
    pub public_key: Vec<u8>,
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub emails: Vec<String>,
    pub uris: Vec<String>,
}

/// Reads a request.
///
/// # Errors
/// Why the text is none, as a sentence.
pub fn read(pem: &[u8]) -> Result<Asked, String> {
    let block = Pem::iter_from_buffer(pem).next().and_then(Result::ok);
    let block = block
        .filter(|block| block.label == "CERTIFICATE REQUEST")
        .ok_or("PEM block type must be CERTIFICATE REQUEST")?;
    let (_, request) =
        X509CertificationRequest::from_der(&block.contents).map_err(|error| error.to_string())?;
    request.verify_signature().map_err(|_| "the signature does not fit the public key")?;
    let info = &request.certification_request_info;
    let mut asked = Asked {
        subject: info.subject.as_raw().to_vec(),
        public_key: info.subject_pki.raw.to_vec(),
        common_name: match texts(info.subject.iter_common_name())?.as_slice() {
            [] => String::new(),
            [name] => name.clone(),
            _ => return Err("the subject has more than one common name".into()),
        },
        organizations: texts(info.subject.iter_organization())?,
        ..Asked::default()
    };
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            names.general_names.iter().for_each(|name| asked.add_name(name));
        }
    }
    Ok(asked)
}

/// Reads the request in an object's `spec.request`, base64 of PEM.
///
/// # Errors
/// As [`read`].
pub fn read_spec(spec: &Value) -> Result<Asked, String> {
    let text = spec["request"].as_str().unwrap_or_default();
    read(&BASE64_STANDARD.decode(text).map_err(|error| error.to_string())?)
}

fn texts<'a>(attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Result<Vec<String>, String> {
    attributes
        .map(|attribute| attribute.as_str().map(String::from))
        .collect::<Result<_, _>>()
        .map_err(|error| format!("a name of the subject can't be read: {error}"))
}

impl Asked {
    /// Other kinds of names are for nothing that is signed here.
    fn add_name(&mut self, name: &GeneralName<'_>) {
        match name {
            GeneralName::DNSName(name) => self.dns.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let sixteen = <[u8; 16]>::try_from(*bytes).map(IpAddr::from);
                self.addresses.extend(four.or(sixteen));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn check(names: &[(DnType, &str)], expected: Result<(&str, &[&str]), &str>) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let key = KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        let found = read(pem.as_bytes());
        let found = found.as_ref().map(|asked| (asked.common_name.as_str(), asked.organizations.as_slice()));
        match (found, expected) {
            (Ok((name, organizations)), Ok(expected)) => assert_eq!(
                (name, organizations),
                (expected.0, &expected.1.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
            ),
            (found, expected) => assert_eq!(found.map(drop).map_err(String::as_str), expected.map(drop)),
        }
    }

    #[test]
    fn a_subject_has_one_common_name() {
        // Another common name under an identifier of its own keeps both in the subject.
        let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
        check(&[(DnType::CommonName, "a"), (DnType::OrganizationName, "o")], Ok(("a", &["o"])));
        check(&[], Ok(("", &[])));
        let two = [(DnType::CommonName, "system:kube-controller-manager"), (again, "system:node:n")];
        check(&two, Err("the subject has more than one common name"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        assert!(read(b"").is_err());
        assert!(read(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
        assert!(read_spec(&serde_json::json!({"request": "!"})).is_err());
    }
}
