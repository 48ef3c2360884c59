//! What is wrong with `spec.conversion`.

use http::Uri;
use serde_json::Value;

use crate::{
    access::{int, list, present, text},
    field::FieldError,
    validate::{Errors, names::dns_1035_label, one_of},
};

const PATH: &str = "spec.conversion";
const CLIENT: &str = "spec.conversion.webhookClientConfig";
const REVIEWS: &str = "spec.conversion.conversionReviewVersions";

pub fn validate(conversion: &Value, errors: &mut Errors) {
    one_of(conversion, "strategy", PATH, &["None", "Webhook"], errors);
    let client = present(conversion, "/webhook/clientConfig");
    let reviews = list(conversion, "/webhook/conversionReviewVersions");
    if text(conversion, "/strategy") != "Webhook" {
        let detail = "should not be set when strategy is not set to Webhook";
        if client.is_some() {
            errors.push(FieldError::forbidden(CLIENT, detail));
        }
        if !reviews.is_empty() {
            errors.push(FieldError::forbidden(REVIEWS, detail));
        }
        return;
    }
    match client {
        None => errors.push(FieldError::required(CLIENT, "required when strategy is set to Webhook")),
        Some(client) => client_config(client, errors),
    }
    review_versions(reviews, errors);
}

fn client_config(client: &Value, errors: &mut Errors) {
    match (present(client, "/url"), present(client, "/service")) {
        (Some(url), None) => url_faults(url, errors),
        (None, Some(service)) => service_faults(service, errors),
        _ => errors.push(FieldError::required(CLIENT, "exactly one of url or service is required")),
    }
}

fn url_faults(url: &Value, errors: &mut Errors) {
    let field = format!("{CLIENT}.url");
    let form = "; desired format: https://host[/path]";
    let Ok(uri) = url.as_str().unwrap_or_default().parse::<Uri>() else {
        let detail = format!("url must be a valid URL: {url}{form}");
        return errors.push(FieldError::required(field, &detail));
    };
    if uri.scheme_str() != Some("https") {
        let detail = format!("'https' is the only allowed URL scheme{form}");
        errors.push(FieldError::invalid(field.clone(), &uri.scheme_str().unwrap_or_default().into(), detail));
    }
    if uri.host().unwrap_or_default().is_empty() {
        let detail = format!("host must be specified{form}");
        errors.push(FieldError::invalid(field.clone(), &"".into(), detail));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        let detail = "user information is not permitted in the URL";
        errors.push(FieldError::invalid(field.clone(), url, detail));
    }
    if let Some(query) = uri.query() {
        let detail = "query parameters are not permitted in the URL";
        errors.push(FieldError::invalid(field, &query.into(), detail));
    }
}

fn service_faults(service: &Value, errors: &mut Errors) {
    let field = format!("{CLIENT}.service");
    for key in ["name", "namespace"] {
        if text(service, &format!("/{key}")).is_empty() {
            errors
                .push(FieldError::required(format!("{field}.{key}"), &format!("service {key} is required")));
        }
    }
    if int(service, "/port").is_some_and(|port| !(1..=65_535).contains(&port)) {
        let port = service.get("port").unwrap_or(&Value::Null);
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(format!("{field}.port"), port, detail));
    }
    let path = text(service, "/path");
    if path.is_empty() || path == "/" {
        return;
    }
    let bad = !path.starts_with('/') || path.contains("//") || path.contains(['?', '#', ' ']);
    if bad {
        let detail = "must start with a '/' and have no empty segment, query or space";
        errors.push(FieldError::invalid(format!("{field}.path"), &path.into(), detail));
    }
}

fn review_versions(versions: &[Value], errors: &mut Errors) {
    if versions.is_empty() {
        return errors.push(FieldError::required(REVIEWS, ""));
    }
    for (index, version) in versions.iter().enumerate() {
        let field = format!("{REVIEWS}[{index}]");
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(field, version, "duplicate version"));
            continue;
        }
        let wrong = dns_1035_label(version.as_str().unwrap_or_default()).into_iter();
        errors.extend(wrong.map(|w| FieldError::invalid(field.clone(), version, w)));
    }
    // Only the stable review is spoken here.
    if !versions.iter().any(|version| version == "v1") {
        errors.push(FieldError::invalid(REVIEWS, &versions.into(), "must include at least one of v1"));
    }
}
