//! ClusterTrustBundle: certificates that may be trusted, for one signer or for any. Served; no volume
//! carries them into Pods yet.

use serde_json::Value;
use x509_parser::pem::Pem;

use super::certificate_signing_request::signer;
use crate::{
    access::text,
    field::FieldError,
    kind::{Column, Kind},
    table::{NAME, text_or},
    validate::{Errors, names, obey, unchanged},
};

const LIMIT: usize = 1024 * 1024;
const PATH: &str = "spec.trustBundle";

pub static KIND: Kind = Kind {
    validate_name: names::path_segment,
    validate: |bundle| {
        let mut errors = Vec::new();
        name(bundle, &mut errors);
        if !text(bundle, "/spec/signerName").is_empty() {
            signer(text(bundle, "/spec/signerName"), &mut errors);
        }
        certificates(text(bundle, "/spec/trustBundle"), &mut errors);
        errors
    },
    validate_update: |new, old| unchanged(new, old, &["/spec/signerName"]),
    columns: &[NAME, Column::text("SignerName", |b, _| text_or(b, "/spec/signerName", "<none>"))],
    selectable: &["spec.signerName"],
    ..Kind::cluster(
        "certificates.k8s.io",
        "v1",
        "ClusterTrustBundle",
        "clustertrustbundles",
        "clustertrustbundle",
        "io.k8s.api.certificates.v1.ClusterTrustBundle",
    )
};

/// A bundle of a signer carries the signer's name, so that who may write the one may write the other.
fn name(bundle: &Value, errors: &mut Errors) {
    let (name, signer) = (text(bundle, "/metadata/name"), text(bundle, "/spec/signerName"));
    let field = "metadata.name";
    if signer.is_empty() {
        if name.contains(':') {
            let detail = "ClusterTrustBundle without signer name must not have \":\" in its name";
            return errors.push(FieldError::invalid(field, &name.into(), detail));
        }
        return obey(names::dns_subdomain, name, field, errors);
    }
    let prefix = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&prefix) {
        Some(rest) => errors.extend(
            names::dns_subdomain(rest).into_iter().map(|why| FieldError::invalid(field, &name.into(), why)),
        ),
        None => {
            let detail =
                format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}");
            errors.push(FieldError::invalid(field, &name.into(), detail));
        }
    }
}

fn certificates(bundle: &str, errors: &mut Errors) {
    if bundle.len() > LIMIT {
        return errors.push(FieldError::too_long(PATH, LIMIT));
    }
    let omitted = Value::from("<value omitted>");
    let blocks: Vec<Pem> = Pem::iter_from_buffer(bundle.as_bytes()).map_while(Result::ok).collect();
    let wrong: Vec<String> = blocks
        .iter()
        .enumerate()
        .filter_map(|(index, block)| Some(format!("entry {index} {}", fault(block)?)))
        .collect();
    let known = errors.len();
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(PATH, &omitted, why)));
    if errors.len() > known {
        return;
    }
    if blocks.is_empty() {
        errors.push(FieldError::invalid(PATH, &omitted, "at least one trust anchor must be provided"));
    }
    for (index, block) in blocks.iter().enumerate() {
        let same = |other: &&(usize, &Pem)| other.1.contents == block.contents;
        let twins: Vec<(usize, &Pem)> = blocks.iter().enumerate().collect();
        let indices: Vec<String> = twins.iter().filter(same).map(|(at, _)| at.to_string()).collect();
        if indices.len() > 1 && indices[0] == index.to_string() {
            let detail = format!("duplicate trust anchor (indices [{}])", indices.join(" "));
            errors.push(FieldError::invalid(PATH, &omitted, detail));
        }
    }
}

/// Why a block is no trust anchor.
fn fault(block: &Pem) -> Option<String> {
    if block.label != "CERTIFICATE" {
        return Some(format!("has bad block type: {}", block.label));
    }
    let Ok(certificate) = block.parse_x509() else { return Some("does not parse as X.509".into()) };
    match certificate.basic_constraints() {
        Ok(Some(constraints)) if constraints.value.ca => None,
        Err(_) => Some("has invalid basic constraints".into()),
        _ => Some("does not have the CA bit set".into()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use serde_json::json;

    use super::*;

    fn certificate(ca: IsCa) -> String {
        let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
        params.is_ca = ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn told(name: &str, signer: &str, bundle: &str) -> String {
        let spec = json!({"signerName": signer, "trustBundle": bundle});
        let errors = (KIND.validate)(&json!({"metadata": {"name": name}, "spec": spec}));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn only_authorities_are_trusted_and_names_follow_the_signer() {
        let root = certificate(IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(told("a", "", &root), "");
        assert_eq!(told("a.io:b:c", "a.io/b", &root), "");
        let omitted = "spec.trustBundle: Invalid value: \"<value omitted>\": ";
        let table = [
            ("a", "", String::new(), format!("{omitted}at least one trust anchor must be provided")),
            ("a", "", certificate(IsCa::NoCa), format!("{omitted}entry 0 does not have the CA bit set")),
            ("a", "", format!("{root}{root}"), format!("{omitted}duplicate trust anchor (indices [0 1])")),
            (
                "a",
                "a.io/b",
                root.clone(),
                "metadata.name: Invalid value: \"a\": ClusterTrustBundle for signerName a.io/b must be named \
                 with prefix a.io:b:"
                    .into(),
            ),
            (
                "a:b",
                "",
                root.clone(),
                "metadata.name: Invalid value: \"a:b\": ClusterTrustBundle without signer name must not have \
                 \":\" in its name"
                    .into(),
            ),
        ];
        for (name, signer, bundle, expected) in table {
            assert_eq!(told(name, signer, &bundle), expected);
        }
        let key = KeyPair::generate().unwrap().serialize_pem();
        assert!(told("a", "", &key).starts_with(&format!("{omitted}entry 0 has bad block type")));
    }
}
