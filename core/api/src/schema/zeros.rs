//! Empty fields that Go leaves out of JSON: objects have them nowhere, since upstream reads
//! every object into Go's types and writes it anew.
//!
//! Bodies lose theirs on the way in ([`check`](super::check), which walks them anyhow). What is
//! applied is kept as it was written until its fields have their owner.

use serde_json::Value;

use super::{Schema, Type};

/// Whether the value of a field is left out.
pub(super) fn is_left_out(field: &Schema, value: &Value) -> bool {
    field.omits_zero
        && match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(truth) => !truth,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::Null => false,
        }
}

/// Removes all empty fields that are left out.
pub fn leave_out(schema: &Schema, value: &mut Value) {
    if let (Some(again), true) = (&schema.recursive, value.is_object())
        && let Some(schema) = super::of(again)
    {
        return leave_out(&schema, value);
    }
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let Some(field) = schema.field(name) else { return true };
            leave_out(field, value);
            !is_left_out(field, value)
        }),
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                items.iter_mut().for_each(|value| leave_out(item, value));
            }
        }
        _ => {}
    }
}

/// Whether Go has a notion of empty for a field of this form: of no struct.
pub(super) fn can_be_empty(schema: &Schema) -> bool {
    match schema.ty {
        Type::Object => schema.additional.is_some() && schema.properties.is_empty(),
        Type::String => matches!(schema.format, super::Format::None | super::Format::Byte),
        Type::Array | Type::Integer | Type::Number | Type::Boolean => true,
        Type::Any | Type::IntOrString | Type::Quantity => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{check, check_as_written, of};

    #[test]
    fn empty_fields_are_left_out_as_go_does() {
        let node = "io.k8s.api.core.v1.Node";
        let pod = "io.k8s.api.core.v1.Pod";
        let set = "io.k8s.api.apps.v1.Deployment";
        let role = "io.k8s.api.rbac.v1.Role";
        let definition = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
        for (kind, given, left) in [
            (node, json!({"spec": {"taints": [], "unschedulable": false}}), json!({"spec": {}})),
            (pod, json!({"metadata": {"labels": {}, "finalizers": []}}), json!({"metadata": {}})),
            // Pointers say something by their zero; so do fields that are always shown.
            (
                pod,
                json!({"spec": {"priority": 0, "hostPID": false, "containers": [], "nodeName": ""}}),
                json!({"spec": {"priority": 0, "containers": []}}),
            ),
            (
                pod,
                json!({"spec": {"containers": [{"name": "", "args": [], "env": [{"name": "a", "value": ""}], "securityContext": {}}],
                    "volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {}}}),
                json!({"spec": {"containers": [{"name": "", "env": [{"name": "a"}], "securityContext": {}}],
                    "volumes": [{"name": "v", "emptyDir": {}}]}}),
            ),
            (
                set,
                json!({"spec": {"paused": false, "replicas": 0, "selector": {"matchLabels": {}}}, "status": {"replicas": 0}}),
                json!({"spec": {"replicas": 0, "selector": {}}, "status": {}}),
            ),
            (
                role,
                json!({"rules": [{"verbs": [], "apiGroups": [""], "resources": []}]}),
                json!({"rules": [{"verbs": [], "apiGroups": [""]}]}),
            ),
            (role, json!({"rules": []}), json!({"rules": []})),
            // A schema within schemas; what a default holds is any value.
            (
                definition,
                json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"required": [], "properties": {
                    "a": {"type": "", "properties": {}, "default": [], "x-kubernetes-preserve-unknown-fields": false}}}}}]}}),
                json!({"spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {"properties": {
                    "a": {"default": [], "x-kubernetes-preserve-unknown-fields": false}}}}}]}}),
            ),
            // Who writes these forgets all managers by an empty list.
            (pod, json!({"metadata": {"managedFields": []}}), json!({"metadata": {"managedFields": []}})),
        ] {
            let schema = of(kind).unwrap();
            let mut read = given.clone();
            assert_eq!(check(&schema, &mut read), Ok(vec![]));
            let mut written = given.clone();
            assert_eq!(check_as_written(&schema, &mut written), Ok(vec![]));
            assert_eq!(written, given);
            leave_out(&schema, &mut written);
            assert_eq!((&read, &written), (&left, &left), "{kind} {given}");
        }
    }
}
