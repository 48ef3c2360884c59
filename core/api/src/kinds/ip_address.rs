//! IPAddress: an address that is taken, and by whom. Served; the API server's own
//! allocation keeps no such objects, since Services themselves say what is taken.

use serde_json::Value;

use crate::{
    access::{present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::NAME,
    validate::{Errors, addresses, names, obey, unchanged},
};

pub static KIND: Kind = Kind {
    short_names: &["ip"],
    validate_name: addresses::canonical_ip,
    validate,
    validate_update: |new, old| unchanged(new, old, &["/spec/parentRef"]),
    columns: &[NAME, Column::text("ParentRef", |address, _| parent(address))],
    selectable: &["spec.parentRef.resource", "spec.parentRef.name", "spec.parentRef.namespace"],
    ..Kind::cluster(
        "networking.k8s.io",
        "v1",
        "IPAddress",
        "ipaddresses",
        "ipaddress",
        "io.k8s.api.networking.v1.IPAddress",
    )
};

fn validate(address: &Value) -> Errors {
    let mut errors = Vec::new();
    let path = "spec.parentRef";
    let Some(parent) = present(address, "/spec/parentRef") else {
        return vec![FieldError::required(path, "")];
    };
    let group = text(parent, "/group");
    if !group.is_empty() {
        obey(names::dns_subdomain, group, &format!("{path}.group"), &mut errors);
    }
    for (key, must) in [("resource", true), ("name", true), ("namespace", false)] {
        let (value, field) = (text(parent, &format!("/{key}")), format!("{path}.{key}"));
        match value {
            "" if must => errors.push(FieldError::required(field, "")),
            "" => {}
            value => obey(names::path_segment, value, &field, &mut errors),
        }
    }
    errors
}

/// `services/default/kubernetes`, with the group behind the resource if there is one.
fn parent(address: &Value) -> Value {
    let Some(parent) = present(address, "/spec/parentRef") else { return "<none>".into() };
    let group = match text(parent, "/group") {
        "" => String::new(),
        group => format!(".{group}"),
    };
    let namespace = match text(parent, "/namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    format!("{}{group}/{namespace}{}", text(parent, "/resource"), text(parent, "/name")).into()
}
