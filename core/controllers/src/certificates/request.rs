//! What a PKCS#10 request asks for, read out of its PEM text. Pure.

use std::net::IpAddr;

use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    pem::Pem,
    prelude::FromDer,
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
        common_name: info
            .subject
            .iter_common_name()
            .last()
            .and_then(|name| name.as_str().ok())
            .unwrap_or_default()
            .to_owned(),
        organizations: info
            .subject
            .iter_organization()
            .filter_map(|name| name.as_str().ok().map(String::from))
            .collect(),
        ..Asked::default()
    };
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            names.general_names.iter().for_each(|name| asked.add_name(name));
        }
    }
    Ok(asked)
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
