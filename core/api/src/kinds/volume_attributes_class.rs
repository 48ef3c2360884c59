//! VolumeAttributesClass: qualities of a volume that may change while it is used. Served; nothing changes
//! volumes yet.

use serde_json::Value;

use super::classes::{parameters, provisioner};
use crate::{
    access::entries,
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME, text_or},
    validate::Errors,
};

pub static KIND: Kind = Kind {
    short_names: &["vac"],
    validate: |class| {
        let mut errors = Vec::new();
        provisioner(class, "driverName", &mut errors);
        parameters(class, &mut errors);
        if entries(class, "/parameters").count() == 0 {
            errors.push(FieldError::required("parameters", "must contain at least one key/value pair"));
        }
        errors
    },
    validate_update: |new, old| forbidden_updates(new, old, &["driverName", "parameters"]),
    columns: &[
        Column { cell: |class, _| super::classes::name_with_default(class, IS_DEFAULT).into(), ..NAME },
        Column::text("DriverName", |class, _| text_or(class, "/driverName", "")),
        AGE,
    ],
    ..Kind::cluster(
        "storage.k8s.io",
        "v1",
        "VolumeAttributesClass",
        "volumeattributesclasses",
        "volumeattributesclass",
        "io.k8s.api.storage.v1.VolumeAttributesClass",
    )
};

const IS_DEFAULT: &str = "volumeattributesclass.kubernetes.io/is-default-class";

/// These fields stay as they are.
pub fn forbidden_updates(new: &Value, old: &Value, fields: &[&str]) -> Errors {
    let changed = fields.iter().filter(|field| new.get(**field) != old.get(**field));
    changed
        .map(|field| FieldError::forbidden(*field, &format!("updates to {field} are forbidden.")))
        .collect()
}
