//! PodCertificateRequest: a kubelet's wish for a certificate of one of its Pods. Served; no kubelet asks and
//! no signer answers yet.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use super::certificate_signing_request::signer;
use crate::{
    access::{default, empty_status, ensure, entries, find, int, keep_status, list, present, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or},
    validate::{Errors, labels, names, obey, unchanged},
};

const ENDS: [&str; 3] = ["Issued", "Denied", "Failed"];
const HOUR: i64 = 3_600;
const LONGEST: i64 = 91 * 86_400;
const LONGEST_OF_KUBERNETES: i64 = 86_400;
const LONGEST_UID: usize = 128;
const LONGEST_REQUEST: usize = 10 * 1024;
const LONGEST_CHAIN: usize = 100 * 1024;

pub static KIND: Kind = Kind {
    subresources: &[Subresource::Status],
    default: |request| {
        if let Some(spec) = ensure(request, "spec") {
            default(spec, "maxExpirationSeconds", 86_400);
        }
    },
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    validate_status: status,
    columns: &[
        NAME,
        Column::text("PodName", |r, _| text_or(r, "/spec/podName", "")),
        Column::text("ServiceAccountName", |r, _| text_or(r, "/spec/serviceAccountName", "")),
        Column::text("NodeName", |r, _| text_or(r, "/spec/nodeName", "")),
        Column::text("SignerName", |r, _| text_or(r, "/spec/signerName", "")),
        Column::text("State", |r, _| end(r).unwrap_or("Pending").into()),
        AGE,
    ],
    selectable: &["spec.signerName", "spec.podName", "spec.nodeName"],
    ..Kind::namespaced(
        "certificates.k8s.io",
        "v1",
        "PodCertificateRequest",
        "podcertificaterequests",
        "podcertificaterequest",
        "io.k8s.api.certificates.v1.PodCertificateRequest",
    )
};

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = request.get("spec").unwrap_or(&Value::Null);
    signer(text(spec, "/signerName"), &mut errors);
    for (name, uid) in
        [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")]
    {
        obey(names::dns_subdomain, text(spec, &format!("/{name}")), &format!("spec.{name}"), &mut errors);
        let (value, field) = (text(spec, &format!("/{uid}")), format!("spec.{uid}"));
        if value.is_empty() {
            errors.push(FieldError::invalid(field, &"".into(), "must not be empty"));
        } else if value.len() > LONGEST_UID {
            errors.push(FieldError::too_long(field, LONGEST_UID));
        }
    }
    for (key, _) in entries(spec, "/unverifiedUserAnnotations") {
        labels::key_of(key, "spec.unverifiedUserAnnotations", &mut errors);
    }
    lifetime(spec, &mut errors);
    stub(text(spec, "/stubPKCS10Request"), &mut errors);
    errors
}

fn lifetime(spec: &Value, errors: &mut Errors) {
    let kubernetes = text(spec, "/signerName").starts_with("kubernetes.io/");
    let most = if kubernetes { LONGEST_OF_KUBERNETES } else { LONGEST };
    let seconds = int(spec, "/maxExpirationSeconds").unwrap_or_default();
    if !(HOUR..=most).contains(&seconds) {
        let detail = format!("must be in the range [{HOUR}, {most}]");
        errors.push(FieldError::invalid("spec.maxExpirationSeconds", &seconds.into(), detail));
    }
}

/// The request carries the key, and proves that the kubelet has its other half.
fn stub(encoded: &str, errors: &mut Errors) {
    let field = "spec.stubPKCS10Request";
    if encoded.is_empty() {
        return errors.push(FieldError::required(field, ""));
    }
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    if bytes.len() > LONGEST_REQUEST {
        return errors.push(FieldError::too_long(field, LONGEST_REQUEST));
    }
    let detail = match X509CertificationRequest::from_der(&bytes) {
        Err(_) => "must be a valid PKCS#10 certificate signing request",
        Ok((_, request)) if request.verify_signature().is_err() => {
            "the signature of the certificate signing request must be made with its own key"
        }
        Ok(_) => return,
    };
    errors.push(FieldError::invalid(field, &encoded.into(), detail));
}

fn end(request: &Value) -> Option<&'static str> {
    let conditions = list(request, "/status/conditions");
    ENDS.into_iter().find(|end| find(conditions, "type", end).is_some_and(|c| text(c, "/status") == "True"))
}

fn omitted(field: &str, detail: &str) -> FieldError {
    let mut error = FieldError::invalid(field, &Value::Null, "");
    error.message = format!("Invalid value: {detail}");
    error
}

/// A request comes to one end, once.
fn status(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, condition) in list(new, "/status/conditions").iter().enumerate() {
        let (kind, path) = (text(condition, "/type"), format!("status.conditions[{index}]"));
        if !ENDS.contains(&kind) {
            errors.push(FieldError::not_supported(format!("{path}.type"), kind, &ENDS));
        } else if index > 0 {
            let detail = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            errors.push(FieldError::invalid(format!("{path}.type"), &kind.into(), detail));
        }
        if text(condition, "/status") != "True" {
            let given = text(condition, "/status");
            errors.push(FieldError::not_supported(format!("{path}.status"), given, &["True"]));
        }
    }
    let changed = new.get("status") != old.get("status");
    if !errors.is_empty() || !changed {
        return errors;
    }
    if end(old).is_some() {
        let detail = "immutable after PodCertificateRequest is issued, denied, or failed";
        return vec![omitted("status", detail)];
    }
    match end(new) {
        Some("Issued") => issued(new, &mut errors),
        Some(_)
            if new["status"].as_object().is_some_and(|status| status.keys().any(|k| k != "conditions")) =>
        {
            let detail = "non-condition status fields must be empty when denying or failing the \
                          PodCertificateRequest";
            errors.push(omitted("status", detail));
        }
        Some(_) => {}
        None => {
            let detail = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
            errors.push(omitted("status", detail));
        }
    }
    errors
}

fn issued(request: &Value, errors: &mut Errors) {
    let chain = text(request, "/status/certificateChain");
    if chain.len() > LONGEST_CHAIN {
        return errors.push(FieldError::too_long("status.certificateChain", LONGEST_CHAIN));
    }
    if let Some(detail) = chain_fault(chain) {
        errors.push(FieldError::invalid("status.certificateChain", &chain.into(), detail));
    }
    let range = "must be present and in the range [notbefore+10min, notafter-10min]";
    let consistent = "must be present and consistent with the issued certificate";
    let details = [("notBefore", consistent), ("notAfter", consistent), ("beginRefreshAt", range)];
    let times = details.map(|(key, detail)| {
        let time = present(request, &format!("/status/{key}"));
        if time.is_none() {
            errors.push(FieldError::required(format!("status.{key}"), detail));
        }
        human::seconds_of(time)
    });
    let [Some(from), Some(until), Some(refresh)] = times else { return };
    let field = "status.beginRefreshAt";
    let given = &request["status"]["beginRefreshAt"];
    if refresh < from + 600 {
        errors.push(FieldError::invalid(field, given, "must be at least 10 minutes after status.notBefore"));
    } else if refresh > until - 600 {
        errors.push(FieldError::invalid(field, given, "must be at least 10 minutes before status.notAfter"));
    }
}

fn chain_fault(chain: &str) -> Option<&'static str> {
    let mut blocks =
        x509_parser::pem::Pem::iter_from_buffer(chain.as_bytes()).map_while(Result::ok).peekable();
    if blocks.peek().is_none() {
        return Some("issued certificate chain must contain at least one certificate");
    }
    for (index, block) in blocks.enumerate() {
        if block.label != "CERTIFICATE" {
            return Some("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
        }
        if block.parse_x509().is_err() {
            return Some(if index == 0 {
                "leaf certificate does not parse as valid X.509"
            } else {
                "intermediate certificate does not parse as valid X.509"
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_rows::{json_of, rows};

    fn request() -> Value {
        let key = rcgen::KeyPair::generate().unwrap();
        let stub = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        json!({"spec": {
            "signerName": "a.io/b", "podName": "p", "podUID": "1", "serviceAccountName": "s",
            "serviceAccountUID": "2", "nodeName": "n", "nodeUID": "3", "maxExpirationSeconds": 86_400,
            "stubPKCS10Request": STANDARD.encode(stub.der()),
        }})
    }

    const SPECS: &str = r#"
{} => none
{"podUID":""} => spec.podUID: Invalid value: "": must not be empty
{"maxExpirationSeconds":60} => spec.maxExpirationSeconds: Invalid value: 60: must be in the range [3600, 7862400]
{"signerName":"kubernetes.io/a","maxExpirationSeconds":90000} => spec.maxExpirationSeconds: Invalid value: 90000: must be in the range [3600, 86400]
{"stubPKCS10Request":"eA=="} => spec.stubPKCS10Request: Invalid value: "eA==": must be a valid PKCS#10 certificate signing request
{"nodeName":"N"} => spec.nodeName: Invalid value: "N": a lowercase RFC 1123 subdomain"#;

    const ENDINGS: &str = r#"
{"conditions":[{"type":"Denied","status":"True"}]} => none
{"conditions":[{"type":"Denied","status":"False"}]} => status.conditions[0].status: Unsupported value: "False": supported values: "True"
{"conditions":[{"type":"Lost","status":"True"}]} => status.conditions[0].type: Unsupported value: "Lost"
{"conditions":[{"type":"Denied","status":"True"}],"certificateChain":"x"} => status: Invalid value: non-condition status fields must be empty
{"conditions":[{"type":"Issued","status":"True"}],"certificateChain":"x"} => status.certificateChain: Invalid value: "x": issued certificate chain must contain at least one certificate
{"certificateChain":"x"} => status: Invalid value: status is immutable unless transitioning to "Issued", "Denied", or "Failed""#;

    fn told(errors: &Errors) -> String {
        errors.first().map_or_else(|| "none".into(), ToString::to_string)
    }

    #[test]
    fn requests_and_their_ends_are_checked() {
        for (change, expected) in rows(SPECS) {
            let mut object = request();
            for (key, value) in json_of(change).as_object().unwrap() {
                object["spec"][key] = value.clone();
            }
            let told = told(&validate(&object));
            assert!(told.starts_with(expected), "{change}: {told}");
        }
        let old = json!({"status": {}});
        for (given, expected) in rows(ENDINGS) {
            let told = told(&status(&json!({"status": json_of(given)}), &old));
            assert!(told.starts_with(expected), "{given}: {told}");
        }
        let ended = json!({"status": {"conditions": [{"type": "Failed", "status": "True"}]}});
        assert!(told(&status(&old, &ended)).contains("immutable after PodCertificateRequest is issued"));
    }
}
