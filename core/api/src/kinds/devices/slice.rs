//! ResourceSlice: some of the devices of one driver's pool, and which nodes reach them.

use serde_json::Value;

use super::{GROUP, device, each_up_to, names, taint, unique};
use crate::{
    access::{each, entries, flag, has, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, text_or},
    validate::{Errors, driver_name, names as forms, node_selector, obey, unchanged},
};

const MOST_DEVICES: usize = 128;
const MOST_WITH_FEATURES: usize = 64;
const MOST_COUNTER_SETS: usize = 8;
const ONE_PLACE: &str =
    "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

pub static KIND: Kind = Kind {
    default: |slice| each(slice, "/spec/devices", |device| each(device, "/taints", taint::since)),
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/pool/name", "/spec/driver", "/spec/nodeName"]),
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Node", |s, _| text_or(s, "/spec/nodeName", "")),
        Column::text("Driver", |s, _| text_or(s, "/spec/driver", "")),
        Column::text("Pool", |s, _| text_or(s, "/spec/pool/name", "")),
        AGE,
    ],
    selectable: &["spec.nodeName", "spec.driver", "spec.pool.name"],
    ..Kind::cluster(
        GROUP,
        "v1",
        "ResourceSlice",
        "resourceslices",
        "resourceslice",
        "io.k8s.api.resource.v1.ResourceSlice",
    )
};

fn validate(slice: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = slice.get("spec").unwrap_or(&Value::Null);
    driver_name(text(spec, "/driver"), "spec.driver", &mut errors);
    pool(spec, &mut errors);
    place(spec, "spec", &PLACES, ONE_PLACE, &mut errors);
    if has(spec, "/sharedCounters") && has(spec, "/devices") {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(FieldError::invalid("spec", &"".into(), detail));
    }
    let own_places = flag(spec, "/perDeviceNodeSelection");
    let most = if has_features(spec) { MOST_WITH_FEATURES } else { MOST_DEVICES };
    each_up_to(spec, "devices", "spec", most, &mut errors, |given, path, errors| {
        device::validate(given, own_places, path, errors);
    });
    unique(spec, "devices", "name", "spec", &mut errors);
    each_up_to(spec, "sharedCounters", "spec", MOST_COUNTER_SETS, &mut errors, |set, path, errors| {
        names::label(text(set, "/name"), &format!("{path}.name"), errors);
        device::counters(set, path, errors);
    });
    unique(spec, "sharedCounters", "name", "spec", &mut errors);
    errors
}

fn pool(spec: &Value, errors: &mut Errors) {
    names::pool(text(spec, "/pool/name"), "spec.pool.name", errors);
    let count = int(spec, "/pool/resourceSliceCount").unwrap_or(0);
    if count <= 0 {
        let field = "spec.pool.resourceSliceCount";
        errors.push(FieldError::invalid(field, &count.into(), "must be greater than zero"));
    }
    if let Some(generation) = int(spec, "/pool/generation").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid("spec.pool.generation", &generation.into(), detail));
    }
}

const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];

/// Where devices are: by exactly one of `keys`.
pub fn place(object: &Value, path: &str, keys: &[&str], one: &str, errors: &mut Errors) {
    let mut given = Vec::new();
    for key in keys {
        let field = format!("{path}.{key}");
        match object.get(key).filter(|value| !value.is_null()) {
            None => {}
            Some(Value::Bool(false)) => {
                let detail = "must be either unset or set to true";
                errors.push(FieldError::invalid(field, &false.into(), detail));
            }
            Some(Value::String(name)) if name.is_empty() => {
                let detail = "must be either unset or set to a non-empty string";
                errors.push(FieldError::invalid(field, &"".into(), detail));
            }
            Some(value) => {
                given.push(format!("`{key}`"));
                match value {
                    Value::String(name) => obey(forms::dns_subdomain, name, &field, errors),
                    Value::Object(_) => selector(value, &field, errors),
                    _ => {}
                }
            }
        }
    }
    match given.len() {
        0 => errors.push(FieldError::required(path, one)),
        1 => {}
        _ => {
            let detail = format!("{one}, but multiple fields are set");
            errors.push(FieldError::invalid(path, &format!("{{{}}}", given.join(", ")).into(), detail));
        }
    }
}

fn selector(selector: &Value, path: &str, errors: &mut Errors) {
    node_selector::selector(selector, path, errors);
    let terms = list(selector, "/nodeSelectorTerms");
    if terms.len() > 1 {
        let detail = "must have exactly one node selector term";
        errors.push(FieldError::invalid(format!("{path}.nodeSelectorTerms"), &terms.into(), detail));
    }
}

/// Whether a device has what makes it costly: taints, counters, attributes that are lists.
fn has_features(spec: &Value) -> bool {
    let lists = ["/ints", "/bools", "/strings", "/versions"];
    list(spec, "/devices").iter().any(|device| {
        !list(device, "/taints").is_empty()
            || !list(device, "/consumesCounters").is_empty()
            || entries(device, "/attributes")
                .any(|(_, attribute)| lists.iter().any(|at| present(attribute, at).is_some()))
    })
}
