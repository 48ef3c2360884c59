//! Where a container has the Pod's volumes: as folders, or as devices.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{validate::Around, volume::local_path};
use crate::{
    access::{find, flag, has, list, text},
    field::FieldError,
    validate::Errors,
};

const PROPAGATIONS: [&str; 3] = ["Bidirectional", "HostToContainer", "None"];
const RECURSIVE: [&str; 3] = ["Disabled", "Enabled", "IfPossible"];

pub fn volumes(container: &Value, around: &Around<'_>, path: &str, errors: &mut Errors) {
    let devices = list(container, "/volumeDevices");
    let mut places = BTreeSet::new();
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (name, place) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        let volume = around.volumes.get(name);
        if volume.is_none() {
            errors.push(FieldError::not_found(format!("{at}.name"), name));
        }
        let mut refuse = |key: &str, value: &str, detail: &str| {
            errors.push(FieldError::invalid(format!("{at}.{key}"), &value.into(), detail));
        };
        if !places.insert(place) {
            refuse("mountPath", place, "must be unique");
        }
        if find(devices, "name", name).is_some() {
            refuse("name", name, "must not already exist in volumeDevices");
        }
        if find(devices, "devicePath", place).is_some() {
            refuse("mountPath", place, "must not already exist as a path in volumeDevices");
        }
        if !text(mount, "/subPath").is_empty() && !text(mount, "/subPathExpr").is_empty() {
            let expression = text(mount, "/subPathExpr");
            refuse("subPathExpr", expression, "subPathExpr and subPath are mutually exclusive");
        }
        if place.is_empty() {
            errors.push(FieldError::required(format!("{at}.mountPath"), ""));
        }
        for key in ["subPath", "subPathExpr"] {
            local_path(text(mount, &format!("/{key}")), &format!("{path}.{key}"), errors);
        }
        propagation(mount, container, path, errors);
        recursion(mount, &format!("{path}.recursiveReadOnly"), errors);
    }
}

fn propagation(mount: &Value, container: &Value, path: &str, errors: &mut Errors) {
    if !has(mount, "/mountPropagation") {
        return;
    }
    let (mode, field) = (text(mount, "/mountPropagation"), format!("{path}.mountPropagation"));
    if !PROPAGATIONS.contains(&mode) {
        errors.push(FieldError::not_supported(&*field, mode, &PROPAGATIONS));
    }
    if mode == "Bidirectional" && !flag(container, "/securityContext/privileged") {
        let detail = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(field, detail));
    }
}

fn recursion(mount: &Value, field: &str, errors: &mut Errors) {
    if !has(mount, "/recursiveReadOnly") {
        return;
    }
    match text(mount, "/recursiveReadOnly") {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !flag(mount, "/readOnly") {
                errors.push(FieldError::forbidden(field, "may only be specified when readOnly is true"));
            }
            if !["", "None"].contains(&text(mount, "/mountPropagation")) {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(field, detail));
            }
        }
        other => errors.push(FieldError::not_supported(field, other, &RECURSIVE)),
    }
}

pub fn devices(container: &Value, around: &Around<'_>, path: &str, errors: &mut Errors) {
    let mounts = list(container, "/volumeMounts");
    let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in list(container, "/volumeDevices").iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (name, place) = (text(device, "/name"), text(device, "/devicePath"));
        if name.is_empty() {
            errors.push(FieldError::required(format!("{at}.name"), ""));
        }
        if place.is_empty() {
            errors.push(FieldError::required(format!("{at}.devicePath"), ""));
        }
        let volume = around.volumes.get(name);
        if volume.is_none() {
            errors.push(FieldError::not_found(format!("{at}.name"), name));
        }
        let mut refuse = |key: &str, value: &str, detail: &str| {
            errors.push(FieldError::invalid(format!("{at}.{key}"), &value.into(), detail));
        };
        if !names.insert(name) {
            refuse("name", name, "must be unique");
        }
        let claimed = |v: &&Value| has(v, "/persistentVolumeClaim") || has(v, "/ephemeral");
        if volume.is_some_and(|volume| !claimed(volume)) {
            let detail =
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            refuse("name", name, detail);
        }
        if !places.insert(place) {
            refuse("devicePath", place, "must be unique");
        }
        if place.split('/').any(|part| part == "..") {
            refuse("devicePath", place, "can not contain backsteps ('..')");
        }
        if find(mounts, "name", name).is_some() {
            refuse("name", name, "must not already exist in volumeMounts");
        }
        if find(mounts, "mountPath", place).is_some() {
            refuse("devicePath", place, "must not already exist as a path in volumeMounts");
        }
    }
}
