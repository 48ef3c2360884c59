//! What a claim was given, and who uses it.

use serde_json::Value;

use super::{device, each_up_to, names, request, taint, unique};
use crate::{
    access::{has, list, present, text},
    field::FieldError,
    validate::{Errors, driver_name, node_selector, one_of, required},
};

const MOST_USERS: usize = 256;
const MOST_CONFIGS: usize = 64;

pub fn validate(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let status = new.get("status").unwrap_or(&Value::Null);
    let was = old.pointer("/status/allocation").filter(|value| !value.is_null());
    users(new, old, &mut errors);
    match (present(status, "/allocation"), was) {
        (Some(is), Some(was)) if is != was => {
            errors.push(FieldError::immutable("status.allocation", is));
        }
        (Some(is), None) => {
            let known = request::request_names(new.pointer("/spec/devices").unwrap_or(&Value::Null));
            allocation(is, &known, &mut errors);
        }
        _ => {}
    }
    devices(status, &mut errors);
    errors
}

fn users(new: &Value, old: &Value, errors: &mut Errors) {
    let (path, status) = ("status.reservedFor", new.get("status").unwrap_or(&Value::Null));
    each_up_to(status, "reservedFor", "status", MOST_USERS, errors, |user, path, errors| {
        ["resource", "name", "uid"].iter().for_each(|key| required(user, key, path, errors));
    });
    unique(status, "reservedFor", "uid", "status", errors);
    let users = list(status, "/reservedFor");
    if !users.is_empty() && !has(status, "/allocation") {
        let detail = "may not be specified when `allocated` is not set";
        errors.push(FieldError::forbidden(path, detail));
    } else if has(new, "/metadata/deletionTimestamp")
        && users.iter().any(|user| !list(old, "/status/reservedFor").contains(user))
    {
        let detail =
            "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn allocation(allocation: &Value, known: &request::Names<'_>, errors: &mut Errors) {
    let path = "status.allocation.devices";
    let devices = allocation.get("devices").unwrap_or(&Value::Null);
    each_up_to(devices, "results", path, request::MOST, errors, |result, path, errors| {
        request::reference(text(result, "/request"), &format!("{path}.request"), known, errors);
        identity(result, path, errors);
        device::binding(result, path, errors);
        each_up_to(result, "tolerations", path, taint::MOST, errors, taint::toleration);
        if let Some(share) = present(result, "/shareID").and_then(Value::as_str) {
            names::uid(share, &format!("{path}.shareID"), errors);
        }
    });
    each_up_to(devices, "config", path, MOST_CONFIGS, errors, |config, path, errors| {
        one_of(config, "source", path, &["FromClaim", "FromClass"], errors);
        request::references(config, path, known, errors);
        request::opaque(config, path, errors);
    });
    if let Some(selector) = present(allocation, "/nodeSelector") {
        node_selector::selector(selector, "status.allocation.nodeSelector", errors);
    }
}

fn identity(device: &Value, path: &str, errors: &mut Errors) {
    driver_name(text(device, "/driver"), &format!("{path}.driver"), errors);
    names::pool(text(device, "/pool"), &format!("{path}.pool"), errors);
    names::label(text(device, "/device"), &format!("{path}.device"), errors);
}

/// What drivers say of devices that were given.
fn devices(status: &Value, errors: &mut Errors) {
    let key = |device: &Value| {
        ["/driver", "/pool", "/device", "/shareID"].map(|part| text(device, part).to_owned())
    };
    let given: Vec<_> = list(status, "/allocation/devices/results").iter().map(key).collect();
    for (index, device) in list(status, "/devices").iter().enumerate() {
        let path = format!("status.devices[{index}]");
        identity(device, &path, errors);
        if !given.contains(&key(device)) {
            let detail = "must be an allocated device in the claim";
            errors.push(FieldError::invalid(path, &key(device)[..3].join("/").into(), detail));
        }
    }
}
