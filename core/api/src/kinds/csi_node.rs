//! CSINode: the CSI drivers on one node, by the node's name. Served; no kubelet keeps one yet.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    access::{find, int, keep_status, list, remove, text},
    field::FieldError,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
    validate::{Errors, driver_name, labels},
};

const LONGEST_ID: usize = 256;

pub static KIND: Kind = Kind {
    subresources: &[Subresource::Status],
    prepare_update: keep_status,
    validate,
    validate_update,
    columns: &[NAME, Column::number("Drivers", |n, _| list(n, "/spec/drivers").len().into()), AGE],
    ..Kind::cluster("storage.k8s.io", "v1", "CSINode", "csinodes", "csinode", "io.k8s.api.storage.v1.CSINode")
};

fn validate(node: &Value) -> Errors {
    let mut errors = Vec::new();
    let drivers = list(node, "/spec/drivers");
    for (index, driver) in drivers.iter().enumerate() {
        let path = format!("spec.drivers[{index}]");
        let name = text(driver, "/name");
        driver_name(name, &format!("{path}.name"), &mut errors);
        let (id, field) = (text(driver, "/nodeID"), format!("{path}.nodeID"));
        if id.is_empty() {
            errors.push(FieldError::required(field, ""));
        } else if id.len() > LONGEST_ID {
            let detail = format!("must be {LONGEST_ID} characters or less");
            errors.push(FieldError::invalid(field, &id.into(), detail));
        }
        if let Some(count) = int(driver, "/allocatable/count").filter(|count| *count < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(format!("{path}.allocatable.count"), &count.into(), detail));
        }
        if find(&drivers[..index], "name", name).is_some() {
            errors.push(FieldError::duplicate(format!("{path}.name"), &name.into()));
        }
        topology(list(driver, "/topologyKeys"), &path, &mut errors);
    }
    errors
}

fn topology(keys: &[Value], path: &str, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for key in keys.iter().map(|key| key.as_str().unwrap_or_default()) {
        if key.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        if !seen.insert(key) {
            errors.push(FieldError::duplicate(path, &key.into()));
        }
        labels::key_of(key, path, errors);
    }
}

/// A driver that is there keeps what it said of itself, but for how many volumes it takes.
fn validate_update(new: &Value, old: &Value) -> Errors {
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        remove(&mut driver, "allocatable");
        driver
    };
    let before = list(old, "/spec/drivers");
    let changed = list(new, "/spec/drivers").iter().filter(|driver| {
        find(before, "name", text(driver, "/name")).is_some_and(|old| fixed(old) != fixed(driver))
    });
    changed.map(|driver| FieldError::immutable("spec.drivers", driver)).collect()
}
