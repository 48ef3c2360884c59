//! PersistentVolumeClaims: their number and the storage they request, in all and by storage class.

use serde_json::Value;

use crate::{
    access::{annotation, text},
    amounts::Amounts,
    quantity::Quantity,
};

const BY_CLASS: &str = ".storageclass.storage.k8s.io/";
const NAMES: &[&str] = &["persistentvolumeclaims", "requests.storage"];

pub fn counts(name: &str) -> bool {
    NAMES.contains(&name) || name.split_once(BY_CLASS).is_some_and(|(_, of)| NAMES.contains(&of))
}

pub fn add(claim: &Value, usage: &mut Amounts) {
    let class = class_of(claim);
    let mut count = |name: &str, amount: Quantity| {
        usage.insert(name.to_owned(), amount);
        if !class.is_empty() {
            usage.insert(format!("{class}{BY_CLASS}{name}"), amount);
        }
    };
    count("persistentvolumeclaims", Quantity::from_units(1));
    if let Some(storage) = storage(claim) {
        count("requests.storage", storage);
    }
}

/// The class as the old annotation or the field names it.
pub fn class_of(claim: &Value) -> &str {
    match annotation(claim, "volume.beta.kubernetes.io/storage-class") {
        None | Some("") => text(claim, "/spec/storageClassName"),
        Some(class) => class,
    }
}

/// Whole bytes; a claim that is being shrunk still holds what is allocated.
fn storage(claim: &Value) -> Option<Quantity> {
    let at = |pointer: &str| text(claim, pointer).parse::<Quantity>().ok().map(Quantity::rounded_up);
    let requested = at("/spec/resources/requests/storage")?;
    Some(at("/status/allocatedResources/storage").map_or(requested, |allocated| allocated.max(requested)))
}

/// Whether a write of the status may change what the claim counts.
pub fn status_counts(new: &Value, old: &Value) -> bool {
    ["allocatedResources", "currentVolumeAttributesClassName", "modifyVolumeStatus"]
        .iter()
        .any(|field| new["status"][field] != old["status"][field])
}
