//! Whether the defaults of a schema hold what the schema asks.

use serde_json::Value;

use crate::{
    custom::{Structural, check, embedded, lists, path::Path, prune},
    field::FieldError,
    validate::Errors,
};

/// `path` is where the schema stands.
pub fn validate(schema: &Structural, path: &str, errors: &mut Errors) {
    if let Some(default) = &schema.default {
        one(schema, default, &format!("{path}.default"), errors);
    }
    if let Some(items) = &schema.items {
        validate(items, &format!("{path}.items"), errors);
    }
    for (name, property) in &schema.properties {
        validate(property, &format!("{path}.properties[{name}]"), errors);
    }
    if let Some(values) = schema.additional.schema() {
        validate(values, &format!("{path}.additionalProperties"), errors);
    }
}

fn one(schema: &Structural, default: &Value, path: &str, errors: &mut Errors) {
    let mut pruned = default.clone();
    prune::prune_value(schema, &mut pruned);
    if pruned != *default {
        errors.push(FieldError::invalid(path, default, "must not have unknown fields"));
    }
    let mut found = check::check(schema, default, None, &Path::Root);
    found.extend(embedded::check(schema, default));
    found.extend(lists::check(schema, default));
    errors.extend(found.into_iter().map(|error| below(path, error)));
}

fn below(path: &str, error: FieldError) -> FieldError {
    let field = match error.field.as_str() {
        "" | "<nil>" => path.to_owned(),
        field if field.starts_with('[') => format!("{path}{field}"),
        field => format!("{path}.{field}"),
    };
    FieldError { field, ..error }
}
