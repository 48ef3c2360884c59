//! ControllerRevision: a template that a DaemonSet or StatefulSet once had.

use serde_json::Value;

use crate::{
    access::{flag, int, list, present, text},
    field::FieldError,
    kind::{Column, Kind},
    table::{AGE, NAME},
    validate::unchanged,
};

pub static KIND: Kind = Kind {
    validate: |revision| {
        let wrong = int(revision, "/revision").is_some_and(|n| n < 0);
        let value = revision.get("revision").unwrap_or(&Value::Null);
        let error = || FieldError::invalid("revision", value, "must be greater than or equal to 0");
        wrong.then(error).into_iter().collect()
    },
    validate_create: |revision| {
        let detail = match present(revision, "/data") {
            None => "data is mandatory",
            Some(data) if !data.is_object() => "data must be a valid JSON object",
            Some(_) => return Vec::new(),
        };
        vec![FieldError::required("data", detail)]
    },
    validate_update: |new, old| unchanged(new, old, &["/data"]),
    columns: &[
        NAME,
        Column::text("Controller", |revision, _| controller(revision)),
        Column::number("Revision", |revision, _| int(revision, "/revision").unwrap_or_default().into()),
        AGE,
    ],
    ..Kind::namespaced(
        "apps",
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        "controllerrevision",
        "io.k8s.api.apps.v1.ControllerRevision",
    )
};

fn controller(revision: &Value) -> Value {
    let owners = list(revision, "/metadata/ownerReferences");
    let Some(owner) = owners.iter().find(|o| flag(o, "/controller")) else { return "<none>".into() };
    let group =
        text(owner, "/apiVersion").split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    format!("{}{group}/{}", text(owner, "/kind").to_lowercase(), text(owner, "/name")).into()
}
