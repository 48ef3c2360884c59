//! What is wrong with a schema: what OpenAPI allows and Kubernetes doesn't, then whether it is
//! structural, whether its defaults hold, and whether its rules can be kept.

use serde_json::Value;

use super::{defaults, structural};
use crate::{
    access::{flag, list, text},
    custom::{Structural, cel},
    field::FieldError,
    validate::{Errors, one_of},
};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What may stand at the root beside a status subresource: so that the schema of `status`
/// says all there is to say of it.
const AT_ROOT: [(&str, &str); 24] = [
    ("description", "Description"),
    ("type", "Type"),
    ("format", "Format"),
    ("title", "Title"),
    ("maximum", "Maximum"),
    ("exclusiveMaximum", "ExclusiveMaximum"),
    ("minimum", "Minimum"),
    ("exclusiveMinimum", "ExclusiveMinimum"),
    ("maxLength", "MaxLength"),
    ("minLength", "MinLength"),
    ("pattern", "Pattern"),
    ("maxItems", "MaxItems"),
    ("minItems", "MinItems"),
    ("uniqueItems", "UniqueItems"),
    ("multipleOf", "MultipleOf"),
    ("required", "Required"),
    ("items", "Items"),
    ("properties", "Properties"),
    ("externalDocs", "ExternalDocs"),
    ("example", "Example"),
    ("x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields"),
    ("x-kubernetes-validations", "XValidations"),
    ("$schema", ""),
    ("nullable", ""),
];

/// Validates `openAPIV3Schema`, which stands below `path`.
pub fn validate(schema: &Value, has_status: bool, path: &str, errors: &mut Errors) {
    let path = format!("{path}.openAPIV3Schema");
    let before = errors.len();
    if has_status {
        root(schema, &path, errors);
    }
    if flag(schema, "/nullable") {
        errors.push(FieldError::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    structural::validate(schema, &path, errors);
    let is_structural = errors.len() == before;
    let place = Place { in_meta: false, no_defaults: None, is_root: true };
    walk(schema, &path, &place, errors);
    let parsed = Structural::parse(schema);
    if is_structural {
        defaults::validate(&parsed, &path, errors);
    }
    // Of a schema with faults the rules' types can't be told.
    if errors.len() == before {
        cel::faults(&parsed, &path, errors);
    }
}

fn root(schema: &Value, path: &str, errors: &mut Errors) {
    let ty = text(schema, "/type");
    if !ty.is_empty() && ty != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(FieldError::invalid(format!("{path}.type"), &ty.into(), detail));
    }
    let known = |name: &str| AT_ROOT.iter().any(|(key, _)| *key == name);
    if schema.as_object().into_iter().flatten().any(|(name, value)| !known(name) && is_set(value)) {
        let names: Vec<&str> =
            AT_ROOT.iter().map(|(_, name)| *name).filter(|name| !name.is_empty()).collect();
        let detail = format!(
            "only [{}] fields are allowed at the root of the schema if the status subresource is enabled",
            names.join(" ")
        );
        errors.push(FieldError::invalid(path, schema, detail));
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

/// What the places above say of a place.
#[derive(Clone)]
struct Place {
    /// Inside the metadata, apiVersion or kind of an object.
    in_meta: bool,
    /// Why no default may stand here.
    no_defaults: Option<String>,
    is_root: bool,
}

fn walk(schema: &Value, path: &str, place: &Place, errors: &mut Errors) {
    if !schema.is_object() {
        return;
    }
    unsupported(schema, path, place, errors);
    lists_and_maps(schema, path, errors);
    rules(schema, path, errors);
    let below = Place { is_root: false, ..place.clone() };
    let properties = schema.get("properties").and_then(Value::as_object);
    if let Some(additional @ Value::Object(_)) = schema.get("additionalProperties") {
        let reason = || "inside additionalProperties applying to object metadata".to_owned();
        let no_defaults = if place.in_meta { Some(reason()) } else { place.no_defaults.clone() };
        walk(
            additional,
            &format!("{path}.additionalProperties"),
            &Place { no_defaults, ..below.clone() },
            errors,
        );
    }
    for (name, property) in properties.into_iter().flatten() {
        let of_object = place.is_root || flag(schema, "/x-kubernetes-embedded-resource");
        let mut inner = below.clone();
        if of_object && ["metadata", "kind", "apiVersion"].contains(&name.as_str()) {
            inner.in_meta = true;
            if place.is_root {
                inner.no_defaults = Some(format!("in top-level {name}"));
            }
        }
        walk(property, &format!("{path}.properties[{name}]"), &inner, errors);
    }
    if let Some(not) = schema.get("not") {
        walk(not, &format!("{path}.not"), &below, errors);
    }
    for key in ["allOf", "oneOf", "anyOf"] {
        for (index, branch) in list(schema, &format!("/{key}")).iter().enumerate() {
            walk(branch, &format!("{path}.{key}[{index}]"), &below, errors);
        }
    }
    if let Some(items @ Value::Object(_)) = schema.get("items") {
        walk(items, &format!("{path}.items"), &below, errors);
    }
}

fn unsupported(schema: &Value, path: &str, place: &Place, errors: &mut Errors) {
    let field = |name: &str| format!("{path}.{name}");
    let ty = text(schema, "/type");
    if ty == "null" {
        let detail = "type cannot be set to null, use nullable as an alternative";
        errors.push(FieldError::forbidden(field("type"), detail));
    } else if !ty.is_empty() && !TYPES.contains(&ty) {
        errors.push(FieldError::not_supported(field("type"), ty, &TYPES));
    }
    if let (Some(_), Some(reason)) = (schema.get("default").filter(|d| !d.is_null()), &place.no_defaults) {
        errors.push(FieldError::forbidden(field("default"), &format!("must not be set {reason}")));
    }
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(key).is_some_and(is_set) {
            errors.push(FieldError::forbidden(field(key), &format!("{key} is not supported")));
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let detail = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(field("items"), detail));
    }
    if place.in_meta && flag(schema, "/x-kubernetes-embedded-resource") {
        let detail = "must not be used inside of resource meta";
        errors.push(FieldError::forbidden(field("x-kubernetes-embedded-resource"), detail));
    }
    if flag(schema, "/uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(field("uniqueItems"), detail));
    }
    let has_properties = schema.get("properties").is_some_and(is_set);
    if has_properties
        && matches!(schema.get("additionalProperties"), Some(Value::Object(_) | Value::Bool(false)))
    {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(field("additionalProperties"), detail));
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let field = field("x-kubernetes-preserve-unknown-fields");
        errors.push(FieldError::invalid(field, &false.into(), "must be true or undefined"));
    }
}

fn lists_and_maps(schema: &Value, path: &str, errors: &mut Errors) {
    let field = |name: &str| format!("{path}.{name}");
    let ty = text(schema, "/type");
    let (map_type, list_type) = ("x-kubernetes-map-type", "x-kubernetes-list-type");
    for (key, wanted, supported) in
        [(map_type, "object", &["atomic", "granular"][..]), (list_type, "array", &["atomic", "set", "map"])]
    {
        if schema.get(key).is_none_or(Value::is_null) {
            continue;
        }
        let detail = format!("must be {wanted} if {key} is specified");
        match ty {
            "" => errors.push(FieldError::required(field("type"), &detail)),
            ty if ty != wanted => errors.push(FieldError::invalid(field("type"), &ty.into(), detail)),
            _ => {}
        }
        one_of(schema, key, path, supported, errors);
    }
    let keys = list(schema, "/x-kubernetes-list-map-keys");
    let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    match text(schema, "/x-kubernetes-list-type") {
        "" if !keys.is_empty() => errors.push(FieldError::required(field(list_type), detail)),
        "map" => map_list(schema, keys, path, errors),
        other => {
            if !keys.is_empty() {
                errors.push(FieldError::invalid(field(list_type), &other.into(), detail));
            }
            if other == "set" {
                set_list(schema, path, errors);
            }
        }
    }
}

fn set_list(schema: &Value, path: &str, errors: &mut Errors) {
    let Some(items) = schema.get("items") else { return };
    let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (list_type, map_type) =
        (text(items, "/x-kubernetes-list-type"), text(items, "/x-kubernetes-map-type"));
    match text(items, "/type") {
        "array" if !["", "atomic"].contains(&list_type) => {
            let field = format!("{path}.items.x-kubernetes-list-type");
            errors.push(FieldError::invalid(field, &list_type.into(), detail));
        }
        "object" if map_type != "atomic" => {
            let field = format!("{path}.items.x-kubernetes-map-type");
            errors.push(FieldError::invalid(field, &map_type.into(), detail));
        }
        _ => {}
    }
    nullable_items(items, "set", path, errors);
}

fn nullable_items(items: &Value, list_type: &str, path: &str, errors: &mut Errors) {
    if flag(items, "/nullable") {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        errors.push(FieldError::forbidden(format!("{path}.items.nullable"), &detail));
    }
}

fn map_list(schema: &Value, keys: &[Value], path: &str, errors: &mut Errors) {
    let all_keys = format!("{path}.x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        errors.push(FieldError::required(all_keys.clone(), detail));
    }
    let Some(items) = schema.get("items") else {
        let detail = "must have a schema if x-kubernetes-list-type is map";
        return errors.push(FieldError::required(format!("{path}.items"), detail));
    };
    nullable_items(items, "map", path, errors);
    let ty = text(items, "/type");
    if ty != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        return errors.push(FieldError::invalid(format!("{path}.items.type"), &ty.into(), detail));
    }
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        if keys[..index].contains(key) {
            let detail = "must not contain duplicate entries";
            errors.push(FieldError::invalid(all_keys.clone(), &keys.into(), detail));
        }
        let Some(property) = items.get("properties").and_then(|all| all.get(name)) else {
            let detail = "entries must all be names of item properties";
            errors.push(FieldError::invalid(all_keys.clone(), &keys.into(), detail));
            continue;
        };
        key_property(items, name, property, &format!("{path}.items.properties[{name}]"), errors);
    }
}

/// A key of a list's elements is a scalar that is always there.
fn key_property(items: &Value, name: &str, property: &Value, path: &str, errors: &mut Errors) {
    if matches!(text(property, "/type"), "array" | "object") {
        let detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(format!("{path}.type"), &text(items, "/type").into(), detail));
    }
    let required = list(items, "/required").iter().any(|one| one == name);
    if !required && property.get("default").is_none_or(Value::is_null) {
        let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
        errors.push(FieldError::required(format!("{path}.default"), detail));
    }
    if flag(property, "/nullable") {
        let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
        errors.push(FieldError::forbidden(format!("{path}.nullable"), detail));
    }
}

const REASONS: [&str; 4] =
    ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// The form of `x-kubernetes-validations`; what they say is another matter.
fn rules(schema: &Value, path: &str, errors: &mut Errors) {
    for (index, rule) in list(schema, "/x-kubernetes-validations").iter().enumerate() {
        let field = |name: &str| format!("{path}.x-kubernetes-validations[{index}].{name}");
        let given = |key: &str| text(rule, &format!("/{key}"));
        let blank = |key: &str| !given(key).is_empty() && given(key).trim().is_empty();
        let broken = |key: &str| given(key).trim().contains(['\n', '\r']);
        if given("rule").trim().is_empty() {
            errors.push(FieldError::required(field("rule"), "rule is not specified"));
        } else if blank("message") {
            let value = given("message").into();
            errors.push(FieldError::invalid(field("message"), &value, "must be non-empty if specified"));
        } else if broken("message") {
            let value = given("message").into();
            errors.push(FieldError::invalid(field("message"), &value, "must not contain line breaks"));
        } else if broken("rule") && given("message").is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            errors.push(FieldError::required(field("message"), detail));
        }
        if blank("messageExpression") {
            let detail = "messageExpression must be non-empty if specified";
            errors.push(FieldError::required(field("messageExpression"), detail));
        }
        if !given("reason").is_empty() && !REASONS.contains(&given("reason")) {
            errors.push(FieldError::not_supported(field("reason"), given("reason"), &REASONS));
        }
        let field_path = given("fieldPath");
        let wrong = match field_path {
            "" => None,
            _ if blank("fieldPath") => Some("must be non-empty if specified"),
            _ if broken("fieldPath") => Some("must not contain line breaks"),
            path if !leads_somewhere(schema, path) => Some("must be a valid path"),
            _ => None,
        };
        if let Some(detail) = wrong {
            errors.push(FieldError::invalid(field("fieldPath"), &field_path.into(), detail));
        }
    }
}

/// Whether a path such as `.spec.a['b']` names a field below a schema.
fn leads_somewhere(schema: &Value, path: &str) -> bool {
    let schema = Structural::parse(schema);
    let Some(steps) = crate::custom::path::steps(path) else { return false };
    steps.iter().try_fold(&schema, |schema, name| schema.field(name)).is_some()
}
