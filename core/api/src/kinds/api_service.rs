//! APIService: who answers for one version of an API group: this server, or an extension
//! server behind a Service. The API server's `aggregation` acts on it.

use serde_json::{Value, json};

use crate::{
    access::{default, flag, has, int, list, present, text, with},
    field::FieldError,
    kind::{Column, Kind, METADATA, Subresource},
    table::{AGE, NAME},
    validate::{Errors, names},
};

pub const GROUP: &str = "apiregistration.k8s.io";
pub const PLURAL: &str = "apiservices";

/// The only condition's type.
pub const AVAILABLE: &str = "Available";

/// Whether a service is there is not asked where the server itself answers.
pub const LOCAL: (&str, &str) = ("Local", "Local APIServices are always available");

const GROUP_PRIORITY_LIMIT: i64 = 20_000;
const VERSION_PRIORITY_LIMIT: i64 = 1_000;

pub static KIND: Kind = Kind {
    categories: &["api-extensions"],
    subresources: &[Subresource::Status],
    status_keeps: METADATA,
    validate_name: names::path_segment,
    default: |service| {
        with(service, "/spec/service", |reference| default(reference, "port", 443));
    },
    prepare_create: begin,
    validate,
    validate_status: |new, _| status(new),
    columns: &[
        NAME,
        Column {
            description: "The reference to the service that hosts this API endpoint.",
            ..Column::text("Service", |service, _| reference(service).into())
        },
        Column {
            description: "Whether this service is available.",
            ..Column::text("Available", |service, _| availability(service).into())
        },
        AGE,
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "APIService",
        PLURAL,
        "apiservice",
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    )
};

/// The name that belongs to a group and version.
pub fn name(group: &str, version: &str) -> String {
    format!("{version}.{group}")
}

/// A local one is available from its first moment; of others it has to be found out.
fn begin(service: &mut Value) {
    let status = if has(service, "/spec/service") {
        json!({})
    } else {
        let (reason, message) = LOCAL;
        let since = service["metadata"]["creationTimestamp"].clone();
        json!({ "conditions": [{
            "type": AVAILABLE, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message,
        }] })
    };
    crate::access::set(service, "status", status);
}

fn validate(service: &Value) -> Errors {
    let mut errors = Vec::new();
    let Some(spec) = present(service, "/spec") else {
        errors.push(FieldError::required("spec", ""));
        return errors;
    };
    let (group, version) = (text(spec, "/group"), text(spec, "/version"));
    let (own, wanted) = (text(service, "/metadata/name"), name(group, version));
    if names::path_segment(own).is_empty() && own != wanted {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        errors.push(FieldError::invalid("metadata.name", &own.into(), detail));
    }
    group_and_version(group, version, &mut errors);
    priority(spec, "groupPriorityMinimum", GROUP_PRIORITY_LIMIT, &mut errors);
    priority(spec, "versionPriority", VERSION_PRIORITY_LIMIT, &mut errors);
    match present(spec, "/service") {
        None => local(spec, &mut errors),
        Some(_) => remote(spec, &mut errors),
    }
    errors
}

fn group_and_version(group: &str, version: &str, errors: &mut Errors) {
    if group.is_empty() {
        if version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required("spec.group", detail));
        }
    } else {
        let wrong = names::dns_subdomain(group).into_iter();
        errors.extend(wrong.map(|w| FieldError::invalid("spec.group", &group.into(), w)));
    }
    let wrong = names::dns_1035_label(version).into_iter();
    errors.extend(wrong.map(|w| FieldError::invalid("spec.version", &version.into(), w)));
}

fn priority(spec: &Value, key: &str, limit: i64, errors: &mut Errors) {
    let given = int(spec, &format!("/{key}")).unwrap_or_default();
    if !(1..=limit).contains(&given) {
        let detail = format!("must be positive and less than {limit}");
        errors.push(FieldError::invalid(format!("spec.{key}"), &given.into(), detail));
    }
}

fn local(spec: &Value, errors: &mut Errors) {
    let bundle = text(spec, "/caBundle");
    if !bundle.is_empty() {
        let size = format!("{} bytes", decoded_length(bundle));
        let detail = "local APIServices may not have a caBundle";
        errors.push(FieldError::invalid("spec.caBundle", &size.into(), detail));
    }
    if flag(spec, "/insecureSkipTLSVerify") {
        let detail = "local APIServices may not have insecureSkipTLSVerify";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", &true.into(), detail));
    }
}

fn remote(spec: &Value, errors: &mut Errors) {
    for key in ["namespace", "name"] {
        if text(spec, &format!("/service/{key}")).is_empty() {
            errors.push(FieldError::required(format!("spec.service.{key}"), ""));
        }
    }
    let port = int(spec, "/service/port").unwrap_or_default();
    if !(1..=65_535).contains(&port) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid("spec.service.port", &port.into(), detail));
    }
    if flag(spec, "/insecureSkipTLSVerify") && !text(spec, "/caBundle").is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", &true.into(), detail));
    }
}

fn status(service: &Value) -> Errors {
    let mut errors = Vec::new();
    for (index, condition) in list(service, "/status/conditions").iter().enumerate() {
        let status = text(condition, "/status");
        if !["True", "False", "Unknown"].contains(&status) {
            let field = format!("status.conditions[{index}].status");
            errors.push(FieldError::not_supported(field, status, &["True", "False", "Unknown"]));
        }
    }
    errors
}

/// How many bytes a text in base64 stands for.
fn decoded_length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn reference(service: &Value) -> String {
    match present(service, "/spec/service") {
        None => "Local".into(),
        Some(reference) => format!("{}/{}", text(reference, "/namespace"), text(reference, "/name")),
    }
}

fn availability(service: &Value) -> String {
    let conditions = list(service, "/status/conditions");
    let Some(condition) = crate::access::find(conditions, "type", AVAILABLE) else { return "Unknown".into() };
    match (text(condition, "/status"), text(condition, "/reason")) {
        ("True", _) => "True".into(),
        (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, spec: Value) -> Vec<String> {
        let mut service = json!({ "metadata": { "name": name }, "spec": spec });
        (KIND.default)(&mut service);
        KIND.check_create(&service).iter().map(ToString::to_string).collect()
    }

    fn with(more: Value) -> Value {
        let mut spec =
            json!({ "group": "a.example", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1 });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    }

    #[test]
    fn what_is_wrong_is_named_where_it_is() {
        let good = "v1.a.example";
        assert!(checked(good, with(json!({}))).is_empty());
        assert!(checked(good, with(json!({"service": {"namespace": "n", "name": "s"}}))).is_empty());
        let service = json!({"namespace": "n", "name": "s"});
        let table = [
            (
                "v2.a.example",
                json!({}),
                "metadata.name: Invalid value: \"v2.a.example\": must be `spec.version+\".\"+spec.group`: \"v1.a.example\"",
            ),
            (
                "v2.",
                json!({"group": "", "version": "v2"}),
                "spec.group: Required value: only v1 may have an empty group and it better be legacy kube",
            ),
            (
                "v1.A",
                json!({"group": "A"}),
                "spec.group: Invalid value: \"A\": a lowercase RFC 1123 subdomain must",
            ),
            (
                "1.a.example",
                json!({"version": "1"}),
                "spec.version: Invalid value: \"1\": a DNS-1035 label must",
            ),
            (
                good,
                json!({"groupPriorityMinimum": 0}),
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            ),
            (
                good,
                json!({"groupPriorityMinimum": 20_001}),
                "spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000",
            ),
            (
                good,
                json!({"versionPriority": 1_001}),
                "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
            ),
            (
                good,
                json!({"caBundle": "YWJj"}),
                "spec.caBundle: Invalid value: \"3 bytes\": local APIServices may not have a caBundle",
            ),
            (
                good,
                json!({"insecureSkipTLSVerify": true}),
                "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
            ),
            (good, json!({"service": {"name": "s"}}), "spec.service.namespace: Required value"),
            (good, json!({"service": {"namespace": "n"}}), "spec.service.name: Required value"),
            (
                good,
                json!({"service": {"namespace": "n", "name": "s", "port": 0}}),
                "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
            ),
            (
                good,
                json!({"service": service, "caBundle": "YWJj", "insecureSkipTLSVerify": true}),
                "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
            ),
        ];
        for (name, more, message) in table {
            let found = checked(name, with(more));
            assert!(found.len() == 1 && found[0].starts_with(message), "{message}: {found:?}");
        }
    }

    #[test]
    fn columns_say_who_answers_and_whether() {
        let mut local = json!({ "metadata": { "creationTimestamp": "2026-01-01T00:00:00Z" }, "spec": {} });
        begin(&mut local);
        assert_eq!((reference(&local), availability(&local)), ("Local".into(), "True".into()));
        assert_eq!(local["status"]["conditions"][0]["lastTransitionTime"], "2026-01-01T00:00:00Z");
        let mut remote = json!({ "spec": { "service": { "namespace": "n", "name": "s" } } });
        begin(&mut remote);
        assert_eq!((reference(&remote), availability(&remote)), ("n/s".into(), "Unknown".into()));
        remote["status"] = json!({ "conditions": [{ "type": "Available", "status": "False", "reason": "ServiceNotFound" }] });
        assert_eq!(availability(&remote), "False (ServiceNotFound)");
        assert!(status(&remote).is_empty());
        remote["status"]["conditions"][0]["status"] = "Maybe".into();
        let found: Vec<String> = status(&remote).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                r#"status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown""#
            ]
        );
    }
}
