//! CertificateSigningRequest: a wish for a client or server certificate.
//!
//! The server fills in who asks (`spec.username`, `uid`, `groups`, `extra`) at
//! the create; afterwards the spec is fixed. What needs X.509 (whether the
//! request is one, and signed by its own key) the API server checks.

use serde_json::Value;

use crate::{
    access::{empty_status, find, int, keep_status, list, set, text},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or, text_or_none},
    validate::{Errors, names, unchanged},
};

/// Signs what its old version signed; no request of `v1` may ask for it.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";

const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub static KIND: Kind = Kind {
    short_names: &["csr"],
    // A kubelet's own names, such as `node-csr-` and base64, are no domain names.
    validate_name: names::path_segment,
    subresources: &[Subresource::Named("approval"), Subresource::Status],
    prepare_create: empty_status,
    prepare_update: |new, old| {
        keep_status(new, old);
        if let Some(spec) = old.get("spec") {
            set(new, "spec", spec.clone());
        }
    },
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec"]),
    columns: &[
        NAME,
        AGE,
        Column::text("SignerName", |r, _| text_or_none(r, "/spec/signerName")),
        Column::text("Requestor", |r, _| text_or(r, "/spec/username", "")),
        Column::text("RequestedDuration", |r, _| {
            int(r, "/spec/expirationSeconds").map_or_else(|| "<none>".into(), |s| human::duration(s).into())
        }),
        Column::text("Condition", |r, _| condition(r).into()),
    ],
    selectable: &["spec.signerName"],
    ..Kind::cluster(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        "certificatesigningrequest",
        "io.k8s.api.certificates.v1.CertificateSigningRequest",
    )
};

fn validate(request: &Value) -> Errors {
    let mut errors = Vec::new();
    if text(request, "/spec/request").is_empty() {
        errors.push(FieldError::required("spec.request", ""));
    }
    signer(text(request, "/spec/signerName"), &mut errors);
    usages(list(request, "/spec/usages"), &mut errors);
    if let Some(seconds) = int(request, "/spec/expirationSeconds").filter(|s| *s < 600) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid("spec.expirationSeconds", &seconds.into(), detail));
    }
    errors
}

/// `example.com/signer-name`.
pub(super) fn signer(name: &str, errors: &mut Errors) {
    let field = "spec.signerName";
    if name.is_empty() {
        return errors.push(FieldError::required(field, ""));
    }
    let mut refuse = |value: &str, why: String| errors.push(FieldError::invalid(field, &value.into(), why));
    if name == LEGACY_SIGNER {
        return refuse(name, "the legacy signerName is not allowed via this API version".into());
    }
    let Some((domain, path)) = name.split_once('/').filter(|(_, path)| !path.contains('/')) else {
        let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        return refuse(name, form.into());
    };
    for label in domain.split('.') {
        names::dns_label(label)
            .iter()
            .for_each(|why| refuse(name, format!("validating label {label:?}: {why}")));
    }
    if !domain.contains('.') {
        refuse(domain, "should be a domain with at least two segments separated by dots".into());
    }
    for label in path.split('.') {
        let wrong = names::dns_subdomain(label);
        wrong.iter().for_each(|why| refuse(name, format!("validating label {label:?}: {why}")));
    }
}

fn usages(usages: &[Value], errors: &mut Errors) {
    if usages.is_empty() {
        errors.push(FieldError::required("spec.usages", "usages must be provided"));
    }
    for (index, usage) in usages.iter().enumerate() {
        let (name, field) = (usage.as_str().unwrap_or_default(), format!("spec.usages[{index}]"));
        if !USAGES.contains(&name) {
            errors.push(FieldError::not_supported(&*field, name, USAGES));
        }
        if usages[..index].contains(usage) {
            errors.push(FieldError::duplicate(field, usage));
        }
    }
}

fn condition(request: &Value) -> String {
    let conditions = list(request, "/status/conditions");
    let mut parts: Vec<&str> = ["Approved", "Denied", "Failed"]
        .into_iter()
        .filter(|kind| find(conditions, "type", kind).is_some())
        .collect();
    if parts.is_empty() {
        parts.push("Pending");
    }
    if !text(request, "/status/certificate").is_empty() {
        parts.push("Issued");
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(signer: &str, usages: &[&str], expected: &[&str]) {
        let request = json!({"spec": {"request": "eA==", "signerName": signer, "usages": usages}});
        let fields: Vec<String> = validate(&request).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, expected, "{signer} {usages:?}");
    }

    #[test]
    fn signers_and_usages_have_their_form() {
        let good = ["client auth", "digital signature"];
        for signer in ["kubernetes.io/kubelet-serving", "example.com/a.b", "a.b/c"] {
            check(signer, &good, &[]);
        }
        for signer in
            ["", "example.com", "example/a", "example.com/a/b", "-.com/a", "example.com/A", LEGACY_SIGNER]
        {
            check(signer, &good, &["spec.signerName"]);
        }
        check("a.b/c", &[], &["spec.usages"]);
        check("a.b/c", &["flying"], &["spec.usages[0]"]);
        check("a.b/c", &["any", "any"], &["spec.usages[1]"]);
    }
}
