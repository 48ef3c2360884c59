//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration: who is asked before a write is stored.

use serde_json::Value;

use super::admission_rules::{conditions, rule_defaults, rules, selectors};
use crate::{
    access::{default, each, ensure, has, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::{Errors, names, one_of, optional_one_of},
};

const GROUP: &str = "admissionregistration.k8s.io";
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const NO_SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];

pub static VALIDATING: Kind = Kind {
    default: |configuration| each(configuration, "/webhooks", defaults),
    validate: |configuration| validate(configuration, false),
    categories: &["api-extensions"],
    counts_generations: true,
    columns: COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "validatingwebhookconfiguration",
        "io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration",
    )
};

pub static MUTATING: Kind = Kind {
    default: |configuration| {
        each(configuration, "/webhooks", |webhook| {
            defaults(webhook);
            default(webhook, "reinvocationPolicy", "Never");
        });
    },
    validate: |configuration| validate(configuration, true),
    categories: &["api-extensions"],
    counts_generations: true,
    columns: COLUMNS,
    ..Kind::cluster(
        GROUP,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "mutatingwebhookconfiguration",
        "io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration",
    )
};

const COLUMNS: &[Column] = &[NAME, Column::number("Webhooks", |c, _| list(c, "/webhooks").len().into()), AGE];

fn defaults(webhook: &mut Value) {
    default(webhook, "failurePolicy", "Fail");
    default(webhook, "matchPolicy", "Equivalent");
    let _ = ensure(webhook, "namespaceSelector");
    let _ = ensure(webhook, "objectSelector");
    default(webhook, "timeoutSeconds", 10);
    each(webhook, "/rules", rule_defaults);
    if let Some(service) = webhook.pointer_mut("/clientConfig/service").filter(|it| it.is_object()) {
        default(service, "port", 443);
    }
}

fn validate(configuration: &Value, mutating: bool) -> Errors {
    let mut errors = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for (index, webhook) in list(configuration, "/webhooks").iter().enumerate() {
        let path = format!("webhooks[{index}]");
        fully_qualified(text(webhook, "/name"), &format!("{path}.name"), &mut errors);
        rules(list(webhook, "/rules"), &format!("{path}.rules"), &mut errors);
        optional_one_of(webhook, "failurePolicy", &path, &["Fail", "Ignore"], &mut errors);
        optional_one_of(webhook, "matchPolicy", &path, &["Equivalent", "Exact"], &mut errors);
        side_effects(webhook, &path, &mut errors);
        timeout(webhook, &path, &mut errors);
        selectors(webhook, &path, &mut errors);
        if mutating {
            optional_one_of(webhook, "reinvocationPolicy", &path, &["IfNeeded", "Never"], &mut errors);
        }
        client(
            webhook.get("clientConfig").unwrap_or(&Value::Null),
            &format!("{path}.clientConfig"),
            &mut errors,
        );
        conditions(list(webhook, "/matchConditions"), &format!("{path}.matchConditions"), &mut errors);
        review_versions(webhook, &format!("{path}.admissionReviewVersions"), &mut errors);
        let name = text(webhook, "/name");
        if seen.contains(&name) && !name.is_empty() {
            errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
        }
        seen.push(name);
    }
    errors
}

/// A name of three labels at least: `hook.team.example`.
fn fully_qualified(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let wrong = names::dns_subdomain(name);
    let form = !wrong.is_empty();
    errors.extend(wrong.into_iter().map(|w| FieldError::invalid(path, &name.into(), w)));
    if !form && name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
}

fn side_effects(webhook: &Value, path: &str, errors: &mut Errors) {
    if has(webhook, "/sideEffects") {
        one_of(webhook, "sideEffects", path, &NO_SIDE_EFFECTS, errors);
    } else {
        let detail = format!("must specify one of {}", NO_SIDE_EFFECTS.join(", "));
        errors.push(FieldError::required(format!("{path}.sideEffects"), &detail));
    }
}

fn timeout(webhook: &Value, path: &str, errors: &mut Errors) {
    if let Some(seconds) = int(webhook, "/timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(format!("{path}.timeoutSeconds"), &seconds.into(), detail));
    }
}

fn review_versions(webhook: &Value, path: &str, errors: &mut Errors) {
    let versions = list(webhook, "/admissionReviewVersions");
    let known = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        errors.push(FieldError::required(path, &format!("must specify one of {known}")));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let field = format!("{path}[{index}]");
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(field, version, "duplicate version"));
            continue;
        }
        let wrong = names::dns_1035_label(version.as_str().unwrap_or_default());
        errors.extend(wrong.into_iter().map(|w| FieldError::invalid(&*field, version, w)));
    }
    if !versions.iter().any(|version| REVIEW_VERSIONS.iter().any(|known| version == known)) {
        let detail = format!("must include at least one of {known}");
        errors.push(FieldError::invalid(path, &versions.into(), detail));
    }
}

fn client(config: &Value, path: &str, errors: &mut Errors) {
    match (present(config, "/url"), present(config, "/service")) {
        (Some(url), None) => url_form(url.as_str().unwrap_or_default(), &format!("{path}.url"), errors),
        (None, Some(service)) => service_form(service, &format!("{path}.service"), errors),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

const FORM: &str = "; desired format: https://host[/path]";

fn url_form(url: &str, path: &str, errors: &mut Errors) {
    let mut wrong = |value: &str, detail: String| {
        errors.push(FieldError::invalid(path, &value.into(), detail));
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        wrong(scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if host.is_empty() {
        wrong("", format!("host must be specified{FORM}"));
    }
    if let Some((user, _)) = authority.rsplit_once('@') {
        wrong(user, "user information is not permitted in the URL".into());
    }
    let (tail, fragment) = tail.split_once('#').unwrap_or((tail, ""));
    if !fragment.is_empty() {
        wrong(fragment, "fragments are not permitted in the URL".into());
    }
    let query = tail.split_once('?').map_or("", |(_, query)| query);
    if !query.is_empty() {
        wrong(query, "query parameters are not permitted in the URL".into());
    }
}

fn service_form(service: &Value, path: &str, errors: &mut Errors) {
    for key in ["name", "namespace"] {
        if text(service, &format!("/{key}")).is_empty() {
            errors.push(FieldError::required(format!("{path}.{key}"), ""));
        }
    }
    if let Some(port) = int(service, "/port").filter(|port| !(1..=65_535).contains(port)) {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(format!("{path}.port"), &port.into(), detail));
    }
    let at = text(service, "/path");
    if at.is_empty() || at == "/" {
        return;
    }
    let mut wrong = |detail: String| {
        errors.push(FieldError::invalid(format!("{path}.path"), &at.into(), detail));
    };
    if !at.starts_with('/') {
        wrong("must start with a '/'".into());
    }
    let inner = at.get(1..).unwrap_or_default();
    for (index, step) in inner.strip_suffix('/').unwrap_or(inner).split('/').enumerate() {
        if step.is_empty() {
            wrong(format!("segment[{index}] may not be empty"));
            continue;
        }
        names::dns_subdomain(step).into_iter().for_each(|why| wrong(format!("segment[{index}]: {why}")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(kind: &Kind, change: impl Fn(&mut Value)) -> Vec<String> {
        let mut webhook = json!({
            "name": "hook.team.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": { "service": { "namespace": "a", "name": "b" } },
            "rules": [{ "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"] }],
        });
        change(&mut webhook);
        let mut configuration = json!({ "metadata": { "name": "c" }, "webhooks": [webhook] });
        (kind.default)(&mut configuration);
        kind.check_create(&configuration).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn webhooks_are_completed() {
        let mut configuration = json!({ "webhooks": [{ "rules": [{}], "clientConfig": { "service": {} } }] });
        (MUTATING.default)(&mut configuration);
        assert_eq!(
            configuration["webhooks"][0],
            json!({
                "rules": [{ "scope": "*" }], "clientConfig": { "service": { "port": 443 } },
                "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                "timeoutSeconds": 10, "reinvocationPolicy": "Never",
            })
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(shown(&VALIDATING, |_| ()).is_empty() && shown(&MUTATING, |_| ()).is_empty());
        type Change = fn(&mut Value);
        let table: [(Change, &str); 13] = [
            (
                |w| w["name"] = "a.b".into(),
                "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
            ),
            (
                |w| w["sideEffects"] = "Some".into(),
                "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            ),
            (
                |w| w["sideEffects"] = Value::Null,
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            ),
            (
                |w| w["timeoutSeconds"] = 31.into(),
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            ),
            (
                |w| w["admissionReviewVersions"] = json!(["v2"]),
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            ),
            (
                |w| w["admissionReviewVersions"] = json!([]),
                "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            ),
            (
                |w| w["clientConfig"] = json!({}),
                "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
            ),
            (
                |w| w["clientConfig"] = json!({ "url": "http://a/b" }),
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ),
            (
                |w| w["clientConfig"] = json!({ "url": "https://me@a/b" }),
                "webhooks[0].clientConfig.url: Invalid value: \"me\": user information is not permitted in the URL",
            ),
            (
                |w| w["clientConfig"] = json!({ "url": "https://a/b?c" }),
                "webhooks[0].clientConfig.url: Invalid value: \"c\": query parameters are not permitted in the URL",
            ),
            (
                |w| w["clientConfig"]["service"]["path"] = "/a//b".into(),
                "webhooks[0].clientConfig.service.path: Invalid value: \"/a//b\": segment[1] may not be empty",
            ),
            (
                |w| w["rules"][0]["operations"] = json!(["*", "CREATE"]),
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations",
            ),
            (
                |w| w["matchConditions"] = json!([{ "name": "a", "expression": " " }]),
                "webhooks[0].matchConditions[0].expression: Required value",
            ),
        ];
        for (change, expected) in table {
            assert_eq!(shown(&VALIDATING, change), [expected]);
        }
        assert_eq!(
            shown(&MUTATING, |w| w["reinvocationPolicy"] = "Always".into()),
            [
                "webhooks[0].reinvocationPolicy: Unsupported value: \"Always\": supported values: \"IfNeeded\", \"Never\""
            ]
        );
    }
}
