//! What is wrong with an object: rules that kinds share.
//!
//! - [`names`]: the forms of names; [`metadata`]: the common metadata; [`labels`]: labels and selectors;
//!   [`node_selector`]: selectors over nodes; [`addresses`]: the forms of addresses and ranges;
//!   [`schedule`]: crontabs' schedules.
//! - The functions here: small checks of one value at one path.
//!
//! Paths and messages are those that users of kubectl know.

use serde_json::Value;

use crate::{access::at, field::FieldError, quantity::Quantity};

pub mod addresses;
pub mod labels;
pub mod metadata;
pub mod names;
pub mod node_selector;
pub mod schedule;

pub type Errors = Vec<FieldError>;

/// The text at `key` must be one of `supported`; absent is an error.
pub fn one_of(object: &Value, key: &str, path: &str, supported: &[&str], errors: &mut Errors) {
    let field = format!("{path}.{key}");
    match object.get(key).and_then(Value::as_str) {
        None | Some("") => errors.push(FieldError::required(field, "")),
        Some(text) if !supported.contains(&text) => {
            errors.push(FieldError::not_supported(field, text, supported))
        }
        Some(_) => {}
    }
}

/// As [`one_of`], absent is fine.
pub fn optional_one_of(object: &Value, key: &str, path: &str, supported: &[&str], errors: &mut Errors) {
    if object.get(key).is_some_and(|v| !v.is_null()) {
        one_of(object, key, path, supported, errors);
    }
}

/// A number at `key`, when it is there, must not be below zero.
pub fn not_negative(object: &Value, key: &str, path: &str, errors: &mut Errors) {
    at_least(object, key, path, 0, errors);
}

pub fn at_least(object: &Value, key: &str, path: &str, least: i64, errors: &mut Errors) {
    let Some(value) = object.get(key).filter(|v| v.as_i64().is_some_and(|n| n < least)) else { return };
    errors.push(FieldError::invalid(
        format!("{path}.{key}"),
        value,
        format!("must be greater than or equal to {least}"),
    ));
}

/// A text at `key` must be there and not be empty.
pub fn required(object: &Value, key: &str, path: &str, errors: &mut Errors) {
    let empty = match object.get(key) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if empty {
        errors.push(FieldError::required(format!("{path}.{key}"), ""));
    }
}

/// A port number.
pub fn port(value: &Value, path: &str, errors: &mut Errors) {
    if !value.as_i64().is_some_and(|n| (1..=65_535).contains(&n)) {
        errors.push(FieldError::invalid(path, value, "must be between 1 and 65535, inclusive"));
    }
}

/// A port number or a port's name.
pub fn port_or_name(value: Option<&Value>, path: &str, errors: &mut Errors) {
    match value {
        Some(Value::String(name)) => {
            let wrong = names::port_name(name);
            errors.extend(wrong.into_iter().map(|w| FieldError::invalid(path, &name.as_str().into(), w)));
        }
        Some(number) => port(number, path, errors),
        None => errors.push(FieldError::required(path, "")),
    }
}

/// An amount: a quantity that is not below zero.
pub fn quantity(value: &Value, path: &str, errors: &mut Errors) -> Option<Quantity> {
    let parsed = value.as_str().unwrap_or_default().parse::<Quantity>();
    match parsed {
        Ok(quantity) if quantity.is_negative() => {
            errors.push(FieldError::invalid(path, value, "must be greater than or equal to 0"));
            None
        }
        Ok(quantity) => Some(quantity),
        Err(error) => {
            errors.push(FieldError::invalid(path, value, error));
            None
        }
    }
}

/// An absolute number that is not below zero, or a percentage.
pub fn count_or_percent(value: Option<&Value>, path: &str, errors: &mut Errors) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|n| n.parse::<u32>().ok());
            if percent.is_none() {
                let detail = "a valid percent string must be a numeric string followed by an ending '%' \
                              (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.push(FieldError::invalid(path, &text.as_str().into(), detail));
            }
        }
        Some(number) if number.as_i64().is_some_and(|n| n < 0) => {
            errors.push(FieldError::invalid(path, number, "must be greater than or equal to 0"));
        }
        Some(_) => {}
    }
}

/// As [`count_or_percent`], and at most 100%.
pub fn count_or_share(value: Option<&Value>, path: &str, errors: &mut Errors) {
    count_or_percent(value, path, errors);
    let percent = value.and_then(Value::as_str).and_then(|text| text.strip_suffix('%')?.parse::<u32>().ok());
    if let (Some(value), Some(101..)) = (value, percent) {
        errors.push(FieldError::invalid(path, value, "must not be greater than 100%"));
    }
}

/// `example.com/path`: who manages something.
pub fn domain_path(text: &str, path: &str, errors: &mut Errors) {
    if text.is_empty() {
        return errors.push(FieldError::required(path, ""));
    }
    let Some((domain, rest)) =
        text.split_once('/').filter(|(domain, rest)| !domain.is_empty() && !rest.is_empty())
    else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        return errors.push(FieldError::invalid(path, &text.into(), detail));
    };
    obey(names::dns_subdomain, domain, path, errors);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
    if !rest.chars().all(allowed) {
        let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(FieldError::invalid(path, &rest.into(), detail));
    }
}

/// Fields at these pointers (`/spec/selector`) must be as they were.
pub fn unchanged(new: &Value, old: &Value, pointers: &[&str]) -> Errors {
    let changed = pointers.iter().filter(|p| at(new, p) != at(old, p));
    let field = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
    changed.map(|p| FieldError::immutable(field(p), at(new, p).unwrap_or(&Value::Null))).collect()
}

/// What a rule says of the text at `path`, as errors there.
pub fn obey(rule: fn(&str) -> Vec<String>, value: &str, path: &str, errors: &mut Errors) {
    errors.extend(rule(value).into_iter().map(|why| FieldError::invalid(path, &value.into(), why)));
}

/// The name of a CSI driver, a driver of devices, or who attaches volumes.
pub fn driver_name(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if name.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    let wrong = names::dns_subdomain(&name.to_lowercase());
    errors.extend(wrong.into_iter().map(|why| FieldError::invalid(path, &name.into(), why)));
}
