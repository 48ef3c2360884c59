//! What is wrong with volumes that several sources share.

use std::collections::BTreeSet;

use serde_json::Value;

use super::volume::{downward, file_path, files, mode};
use crate::{
    access::{has, int, list, present, text},
    field::FieldError,
    validate::{Errors, labels, one_of, required},
};

const SOURCES: [&str; 6] =
    ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
const KEYS: &[&str] = &["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"];

pub fn validate(volume: &Value, path: &str, errors: &mut Errors) {
    mode(volume, "defaultMode", path, errors);
    let mut taken = BTreeSet::new();
    let mut take = |place: &str, errors: &mut Errors| {
        if !place.is_empty() && !taken.insert(place.to_owned()) {
            errors.push(FieldError::invalid(path, &place.into(), "conflicting duplicate paths"));
        }
    };
    for (index, source) in list(volume, "/sources").iter().enumerate() {
        let at = format!("{path}.sources[{index}]");
        let given: Vec<&str> = SOURCES.into_iter().filter(|kind| has(source, &format!("/{kind}"))).collect();
        for kind in &given {
            let (given, at) = (&source[*kind], format!("{at}.{kind}"));
            match *kind {
                "secret" | "configMap" => {
                    required(given, "name", &at, errors);
                    files(given, &at, errors);
                    list(given, "/items").iter().for_each(|item| take(text(item, "/path"), errors));
                }
                "downwardAPI" => {
                    for file in list(given, "/items") {
                        downward(file, &at, errors);
                        take(text(file, "/path"), errors);
                    }
                }
                "serviceAccountToken" => token(given, path, &at, errors),
                "clusterTrustBundle" => {
                    bundle(given, &at, errors);
                    take(text(given, "/path"), errors);
                }
                _ => {
                    certificate(given, &at, errors);
                    for key in ["/credentialBundlePath", "/keyPath", "/certificateChainPath"] {
                        take(text(given, key), errors);
                    }
                }
            }
        }
        if given.len() > 1 {
            errors.push(FieldError::forbidden(at, "may not specify more than 1 volume type per source"));
        }
    }
}

fn token(token: &Value, volume: &str, path: &str, errors: &mut Errors) {
    let seconds = int(token, "/expirationSeconds").unwrap_or_default();
    let field = format!("{path}.expirationSeconds");
    if seconds < 600 {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(field, &seconds.into(), detail));
    } else if seconds > 1 << 32 {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(field, &seconds.into(), detail));
    }
    // The path of the volume and not of the source: so it is told everywhere.
    required(token, "path", volume, errors);
    file_path(text(token, "/path"), &format!("{volume}.path"), errors);
}

fn bundle(bundle: &Value, path: &str, errors: &mut Errors) {
    match (present(bundle, "/name"), present(bundle, "/signerName")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, bundle, "only one of name and signerName may be used"));
        }
        (Some(name), None) => {
            if name == "" {
                errors.push(FieldError::required(format!("{path}.name"), "must be a valid object name"));
            }
            if let Some(selector) = present(bundle, "/labelSelector") {
                let detail = "labelSelector must be unset if name is specified";
                errors.push(FieldError::invalid(format!("{path}.labelSelector"), selector, detail));
            }
        }
        (None, Some(signer)) => {
            if signer == "" {
                let detail = "must be a valid signer name";
                errors.push(FieldError::required(format!("{path}.signerName"), detail));
            }
            if let Some(selector) = present(bundle, "/labelSelector") {
                labels::selector(selector, &format!("{path}.labelSelector"), errors);
            }
        }
        (None, None) => {
            errors.push(FieldError::required(path, "either name or signerName must be specified"));
        }
    }
    required(bundle, "path", path, errors);
    file_path(text(bundle, "/path"), &format!("{path}.path"), errors);
}

fn certificate(certificate: &Value, path: &str, errors: &mut Errors) {
    required(certificate, "signerName", path, errors);
    one_of(certificate, "keyType", path, KEYS, errors);
    if let Some(seconds) = int(certificate, "/maxExpirationSeconds") {
        let most =
            if text(certificate, "/signerName").starts_with("kubernetes.io/") { 86_400 } else { 7_862_400 };
        if !(3_600..=most).contains(&seconds) {
            let detail = format!("must be between 3600 and {most}, inclusive");
            errors.push(FieldError::invalid(format!("{path}.maxExpirationSeconds"), &seconds.into(), detail));
        }
    }
    let paths = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    if paths.iter().all(|key| text(certificate, &format!("/{key}")).is_empty()) {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path, detail));
    }
    for key in paths {
        file_path(text(certificate, &format!("/{key}")), &format!("{path}.{key}"), errors);
    }
}
