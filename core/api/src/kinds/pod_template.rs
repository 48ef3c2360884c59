//! PodTemplate: a Pod's template by itself.

use serde_json::Value;

use crate::{
    access::{list, present},
    field::FieldError,
    kind::{Column, Kind},
    pod,
    table::{NAME, joined},
    workload::{label_text, validate_pod_template},
};

pub static KIND: Kind = Kind {
    default: |object| {
        if let Some(spec) = object.pointer_mut("/template/spec") {
            pod::defaults::spec(spec);
        }
    },
    validate: |object| {
        let mut errors = Vec::new();
        match present(object, "/template") {
            Some(template) => validate_pod_template(template, "template", pod::RESTART_POLICIES, &mut errors),
            None => errors.push(FieldError::required("template.spec.containers", "")),
        }
        errors
    },
    counts_generations: true,
    columns: &[
        NAME,
        Column::text("Containers", |t, _| of_containers(t, "name")),
        Column::text("Images", |t, _| of_containers(t, "image")),
        Column::text("Pod Labels", |t, _| label_text(t, "/template/metadata/labels")),
    ],
    ..Kind::namespaced(
        "",
        "v1",
        "PodTemplate",
        "podtemplates",
        "podtemplate",
        "io.k8s.api.core.v1.PodTemplate",
    )
};

fn of_containers(object: &Value, key: &str) -> Value {
    joined(list(object, "/template/spec/containers").iter().filter_map(|c| c.get(key)?.as_str()))
}
