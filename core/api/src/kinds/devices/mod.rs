//! Devices that Pods can claim (resource.k8s.io): the classes, the claims and their templates,
//! what drivers offer, and taints on it. Served; nothing allocates devices yet.
//!
//! - [`claim`]: ResourceClaim and ResourceClaimTemplate; [`request`]: what a claim asks for; [`status`]: what it was given.
//! - [`slice`]: ResourceSlice and [`device`], one device in it; [`taint`]: taints, tolerations, DeviceTaintRule.
//! - [`names`]: the forms of the names in all of them.

use serde_json::Value;

use crate::{
    access::{list, present, text},
    field::FieldError,
    kind::Kind,
    validate::{Errors, names as forms},
};

pub mod claim;
mod device;
mod names;
mod request;
pub mod slice;
mod status;
pub mod taint;
#[cfg(test)]
mod tests;

const GROUP: &str = "resource.k8s.io";

pub static DEVICE_CLASS: Kind = Kind {
    validate: |class| class_errors(class, None),
    validate_update: |new, old| class_errors(new, Some(old)),
    counts_generations: true,
    ..Kind::cluster(
        GROUP,
        "v1",
        "DeviceClass",
        "deviceclasses",
        "deviceclass",
        "io.k8s.api.resource.v1.DeviceClass",
    )
};

/// On an update only what `validate` has not said already: nothing.
fn class_errors(class: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Vec::new();
    if old.is_some() {
        return errors;
    }
    let spec = class.get("spec").unwrap_or(&Value::Null);
    request::selectors(spec, "spec", &mut errors);
    each_up_to(spec, "config", "spec", request::MOST, &mut errors, |config, path, errors| {
        request::opaque(config, path, errors);
    });
    if let Some(name) = present(spec, "/extendedResourceName")
        && !is_extended(text(spec, "/extendedResourceName"))
    {
        let detail = "must be a valid extended resource name";
        errors.push(FieldError::invalid("spec.extendedResourceName", name, detail));
    }
    errors
}

/// `example.com/gpu`: no name of Kubernetes itself.
fn is_extended(name: &str) -> bool {
    let Some((domain, _)) = name.split_once('/') else { return false };
    let native = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
    !native && !name.starts_with("requests.") && forms::qualified(&format!("requests.{name}")).is_empty()
}

/// Calls `check` with each element of the list at `key`, unless there are more than `most`.
fn each_up_to(
    object: &Value,
    key: &str,
    path: &str,
    most: usize,
    errors: &mut Errors,
    mut check: impl FnMut(&Value, &str, &mut Errors),
) {
    let items = list(object, &format!("/{key}"));
    if items.len() > most {
        return errors.push(FieldError::too_many(format!("{path}.{key}"), items.len(), most));
    }
    for (index, item) in items.iter().enumerate() {
        check(item, &format!("{path}.{key}[{index}]"), errors);
    }
}

/// Elements whose `name` was there before, each named at its place.
fn unique(object: &Value, list_key: &str, name: &str, path: &str, errors: &mut Errors) {
    let items = list(object, &format!("/{list_key}"));
    let names: Vec<&str> = items.iter().map(|item| text(item, &format!("/{name}"))).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            errors.push(FieldError::duplicate(format!("{path}.{list_key}[{index}]"), &(*name).into()));
        }
    }
}
