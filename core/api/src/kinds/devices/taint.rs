//! Taints on devices, tolerations of them, and the DeviceTaintRule that adds them from outside.

use jiff::{Timestamp, tz::Offset};
use serde_json::Value;

use super::{GROUP, names};
use crate::{
    access::{default, empty_status, has, keep_status, present, text, with},
    field::FieldError,
    human,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME, text_or},
    validate::{Errors, driver_name, labels, names as forms, obey, one_of},
};

/// Taints of a device, tolerations of a request.
pub const MOST: usize = 16;
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

pub static RULE: Kind = Kind {
    subresources: &[Subresource::Status],
    default: |rule| with(rule, "/spec/taint", since),
    prepare_create: empty_status,
    prepare_update: keep_status,
    validate,
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Key", |rule, _| text_or(rule, "/spec/taint/key", "")),
        Column::text("Value", |rule, _| text_or(rule, "/spec/taint/value", "")),
        Column::text("Effect", |rule, _| text_or(rule, "/spec/taint/effect", "")),
        Column::text("TimeAdded", |rule, now| {
            let added = present(rule, "/spec/taint/timeAdded");
            added.map_or_else(String::new, |added| human::since(Some(added), now)).into()
        }),
        AGE,
    ],
    ..Kind::cluster(
        GROUP,
        "v1",
        "DeviceTaintRule",
        "devicetaintrules",
        "devicetaintrule",
        "io.k8s.api.resource.v1.DeviceTaintRule",
    )
};

/// A taint holds from the moment it is first written.
pub fn since(taint: &mut Value) {
    let now = Offset::UTC.to_datetime(Timestamp::now()).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    default(taint, "timeAdded", now);
}

fn validate(rule: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = rule.get("spec").unwrap_or(&Value::Null);
    if let Some(selector) = present(spec, "/deviceSelector") {
        let path = "spec.deviceSelector";
        let given = |key: &str| present(selector, &format!("/{key}")).and_then(Value::as_str);
        if let Some(driver) = given("driver") {
            driver_name(driver, &format!("{path}.driver"), &mut errors);
        }
        if let Some(pool) = given("pool") {
            names::pool(pool, &format!("{path}.pool"), &mut errors);
        }
        if let Some(device) = given("device") {
            names::label(device, &format!("{path}.device"), &mut errors);
        }
    }
    taint(spec.get("taint").unwrap_or(&Value::Null), "spec.taint", &mut errors);
    errors
}

pub fn taint(taint: &Value, path: &str, errors: &mut Errors) {
    labels::key_of(text(taint, "/key"), &format!("{path}.key"), errors);
    obey(forms::label_value, text(taint, "/value"), &format!("{path}.value"), errors);
    one_of(taint, "effect", path, &EFFECTS, errors);
}

pub fn toleration(toleration: &Value, path: &str, errors: &mut Errors) {
    let (key, operator) = (text(toleration, "/key"), text(toleration, "/operator"));
    if !key.is_empty() {
        labels::key_of(key, &format!("{path}.key"), errors);
    }
    let field = format!("{path}.operator");
    match operator {
        "" => errors.push(FieldError::required(field, "")),
        "Exists" if !text(toleration, "/value").is_empty() => {
            let detail = "must be empty for operator `Exists`";
            errors.push(FieldError::invalid(
                format!("{path}.value"),
                &text(toleration, "/value").into(),
                detail,
            ));
        }
        "Exists" => {}
        "Equal" if key.is_empty() => {
            errors
                .push(FieldError::required(format!("{path}.key"), "must not be empty for operator `Equal`"));
        }
        "Equal" => obey(forms::label_value, text(toleration, "/value"), &format!("{path}.value"), errors),
        other => errors.push(FieldError::not_supported(field, other, &["Equal", "Exists"])),
    }
    if !text(toleration, "/effect").is_empty() {
        one_of(toleration, "effect", path, &["NoExecute", "NoSchedule"], errors);
    }
    if has(toleration, "/tolerationSeconds") {
        super::request::seconds(toleration, path, errors);
    }
}
