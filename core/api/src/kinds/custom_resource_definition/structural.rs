//! Whether a schema is structural: every field has a type outside of `allOf`, `anyOf`,
//! `oneOf` and `not`, and those only narrow what is described outside of them.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema>

use serde_json::{Map, Value, json};

use crate::{
    access::{flag, list, text},
    custom::structural::pattern,
    field::FieldError,
    validate::Errors,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

pub fn validate(schema: &Value, path: &str, errors: &mut Errors) {
    let mut found = Vec::new();
    invariants(schema, Level::Root, path, &mut found);
    complete(schema, Some(schema), path, &mut found);
    found.sort_by_key(ToString::to_string);
    errors.extend(found);
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn additional(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|value| value.is_object())
}

fn invariants(schema: &Value, level: Level, path: &str, errors: &mut Errors) {
    let field = |name: &str| format!("{path}.{name}");
    let ty = text(schema, "/type");
    let embedded = flag(schema, "/x-kubernetes-embedded-resource");
    let int_or_string = flag(schema, "/x-kubernetes-int-or-string");
    let preserves = flag(schema, "/x-kubernetes-preserve-unknown-fields");
    match schema.get("items") {
        Some(items) => invariants(items, Level::Item, &field("items"), errors),
        None if ty == "array" => errors.push(FieldError::required(field("items"), "must be specified")),
        None => {}
    }
    for (name, property) in properties(schema) {
        invariants(property, Level::Field, &field(&format!("properties[{name}]")), errors);
    }
    let has_additional = schema.get("additionalProperties").is_some_and(|value| !value.is_null());
    if has_additional && level == Level::Root {
        errors.push(FieldError::forbidden(field("additionalProperties"), "must not be used at the root"));
    }
    if let Some(additional) = additional(schema) {
        invariants(additional, Level::Field, &field("additionalProperties"), errors);
    }
    if int_or_string && preserves {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        errors.push(FieldError::invalid(field("x-kubernetes-preserve-unknown-fields"), &true.into(), detail));
    }
    if int_or_string && embedded {
        let detail = "must be false if x-kubernetes-int-or-string is true";
        errors.push(FieldError::invalid(field("x-kubernetes-embedded-resource"), &true.into(), detail));
    }
    values(schema, Some(schema), path, errors);
    check_type(schema, level, path, errors);
    if embedded && has_additional {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(field("additionalProperties"), detail));
    }
    type_meta(schema, level, path, errors);
    if embedded && !preserves && properties(schema).next().is_none() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(field("properties"), detail));
    }
}

fn check_type(schema: &Value, level: Level, path: &str, errors: &mut Errors) {
    let field = format!("{path}.type");
    let ty = text(schema, "/type");
    let free =
        flag(schema, "/x-kubernetes-int-or-string") || flag(schema, "/x-kubernetes-preserve-unknown-fields");
    if flag(schema, "/x-kubernetes-embedded-resource") && ty != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match ty {
            "" => FieldError::required(field.clone(), detail),
            ty => FieldError::invalid(field.clone(), &ty.into(), detail),
        });
    } else if ty.is_empty() && !free {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(field.clone(), detail));
    }
    if level == Level::Root && !ty.is_empty() && ty != "object" {
        errors.push(FieldError::invalid(field, &ty.into(), "must be object at the root"));
    }
}

/// Of the metadata of a whole object only the name may be restricted.
fn type_meta(schema: &Value, level: Level, path: &str, errors: &mut Errors) {
    let of_object = level == Level::Root || flag(schema, "/x-kubernetes-embedded-resource");
    for (name, property) in properties(schema).filter(|_| of_object) {
        let field = format!("{path}.properties[{name}]");
        let ty = text(property, "/type");
        match name.as_str() {
            "kind" | "apiVersion" if ty != "string" => {
                errors.push(FieldError::invalid(format!("{field}.type"), &ty.into(), "must be string"));
            }
            "metadata" if ty != "object" => {
                errors.push(FieldError::invalid(format!("{field}.type"), &ty.into(), "must be object"));
            }
            "metadata" if level == Level::Root && !restricts_name_only(property) => {
                let detail = "must not specify anything other than name and generateName, but metadata is \
                              implicitly specified";
                errors.push(FieldError::forbidden(field, detail));
            }
            _ => {}
        }
    }
}

fn restricts_name_only(metadata: &Value) -> bool {
    let plain = |key: &str| matches!(key, "type" | "description" | "title" | "properties" | "default");
    let says_more = metadata.as_object().into_iter().flatten().any(|(key, _)| !plain(key));
    let described = ["description", "title"].iter().any(|key| !text(metadata, &format!("/{key}")).is_empty());
    let names = properties(metadata).all(|(name, _)| name == "name" || name == "generateName");
    !says_more && !described && names
}

/// Branches and patterns of a schema. `own` is the schema outside of branches, whose two
/// usual ways of saying int-or-string are allowed.
fn values(schema: &Value, own: Option<&Value>, path: &str, errors: &mut Errors) {
    let is_pattern = |branches: &[Value]| branches == int_or_string_pattern();
    let any_of = list(schema, "/anyOf");
    if !(own.is_some() && is_pattern(any_of)) {
        for (index, branch) in any_of.iter().enumerate() {
            nested(branch, false, &format!("{path}.anyOf[{index}]"), errors);
        }
    }
    for (index, branch) in list(schema, "/allOf").iter().enumerate() {
        let skip = own.is_some() && index == 0 && is_pattern(list(branch, "/anyOf"));
        nested(branch, skip, &format!("{path}.allOf[{index}]"), errors);
    }
    for (index, branch) in list(schema, "/oneOf").iter().enumerate() {
        nested(branch, false, &format!("{path}.oneOf[{index}]"), errors);
    }
    if let Some(not) = schema.get("not").filter(|not| not.is_object()) {
        nested(not, false, &format!("{path}.not"), errors);
    }
    let text = text(schema, "/pattern");
    if let Err(why) = pattern(text) {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        let shown: String = text.chars().take(256).collect();
        errors.push(FieldError::invalid(format!("{path}.pattern"), &shown.into(), detail));
    }
}

fn int_or_string_pattern() -> &'static [Value] {
    static PATTERN: std::sync::OnceLock<[Value; 2]> = std::sync::OnceLock::new();
    PATTERN.get_or_init(|| [json!({"type": "integer"}), json!({"type": "string"})])
}

/// What must not stand in a branch.
const IN_BRANCHES: [(&str, &str); 12] = [
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
];

fn nested(branch: &Value, skip_any_of: bool, path: &str, errors: &mut Errors) {
    if skip_any_of {
        let mut rest = branch.as_object().cloned().unwrap_or_else(Map::new);
        rest.remove("anyOf");
        values(&rest.into(), None, path, errors);
    } else {
        values(branch, None, path, errors);
    }
    if let Some(items) = branch.get("items").filter(|items| items.is_object()) {
        nested(items, false, &format!("{path}.items"), errors);
    }
    for (name, property) in properties(branch) {
        let field = format!("{path}.properties[{name}]");
        nested(property, false, &field, errors);
        if name == "metadata" {
            errors.push(FieldError::forbidden(field, "must not be specified in a nested context"));
        }
    }
    for (key, detail) in IN_BRANCHES {
        let set = match branch.get(key) {
            None | Some(Value::Null | Value::Bool(false)) => {
                key == "additionalProperties" && branch.get(key) == Some(&false.into())
            }
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        };
        if set {
            errors.push(FieldError::forbidden(format!("{path}.{key}"), detail));
        }
    }
    if !list(branch, "/x-kubernetes-validations").is_empty() {
        let field = format!("{path}.x-kubernetes-validations");
        errors.push(FieldError::forbidden(field, "must be empty to be structural"));
    }
}

/// Every field that a branch names must be described outside of branches, at `spine`.
fn complete(schema: &Value, spine: Option<&Value>, path: &str, errors: &mut Errors) {
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, branch) in list(schema, &format!("/{key}")).iter().enumerate() {
            covered(branch, spine, path, &format!("{path}.{key}[{index}]"), errors);
        }
    }
    if let Some(not) = schema.get("not").filter(|not| not.is_object()) {
        covered(not, spine, path, &format!("{path}.not"), errors);
    }
    if let Some(items) = schema.get("items").filter(|items| items.is_object()) {
        complete(items, Some(items), &format!("{path}.items"), errors);
    }
    for (name, property) in properties(schema) {
        complete(property, Some(property), &format!("{path}.properties[{name}]"), errors);
    }
    if let Some(additional) = additional(schema) {
        complete(additional, Some(additional), &format!("{path}.additionalProperties"), errors);
    }
}

fn covered(branch: &Value, spine: Option<&Value>, spine_path: &str, path: &str, errors: &mut Errors) {
    let must = |field: String, errors: &mut Errors| {
        errors.push(FieldError::required(field, &format!("because it is defined in {path}")));
    };
    if let Some(items) = branch.get("items").filter(|items| items.is_object()) {
        let below = spine.and_then(|spine| spine.get("items"));
        let field = format!("{spine_path}.items");
        match below {
            None => must(field, errors),
            Some(_) => covered(items, below, &field, &format!("{path}.items"), errors),
        }
    }
    for (name, property) in properties(branch) {
        let below = spine.and_then(|spine| spine.get("properties")?.get(name));
        let field = format!("{spine_path}.properties[{name}]");
        match below {
            None => must(field, errors),
            Some(_) => covered(property, below, &field, &format!("{path}.properties[{name}]"), errors),
        }
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, inner) in list(branch, &format!("/{key}")).iter().enumerate() {
            covered(inner, spine, spine_path, &format!("{path}.{key}[{index}]"), errors);
        }
    }
    if let Some(not) = branch.get("not").filter(|not| not.is_object()) {
        covered(not, spine, spine_path, &format!("{path}.not"), errors);
    }
}
