//! A decoded body as an object of the resource: right apiVersion and kind, in
//! the schema's shape, in the stored version. Unknown fields are an error, a
//! warning or nothing, as `fieldValidation` says.

use serde_json::Value;
use tiphys_api::{
    field::{FieldError, Reason},
    schema,
};

use crate::{
    context::Context,
    request::{
        body,
        duplicates::{self, Doubled},
        options::FieldValidation,
    },
    status::{ApiError, Result},
};

/// A body as an object of its served kind, in the stored version.
pub fn object(ctx: &Context, bytes: &[u8]) -> Result<Value> {
    let mut object = body::decode(&ctx.headers, bytes)?;
    type_meta(ctx, &mut object)?;
    let media_type = body::media_type(&ctx.headers);
    let doubled = match (ctx.options.field_validation, media_type.as_str()) {
        (FieldValidation::Ignore, _) => Vec::new(),
        (_, "application/json") => duplicates::of_json(bytes),
        (_, "application/yaml") => duplicates::of_yaml(std::str::from_utf8(bytes).unwrap_or_default()),
        _ => Vec::new(),
    };
    let doubled = doubled.iter().map(|doubled| format!("duplicate field \"{}\"", doubled.path));
    let unknown = shape(ctx, &mut object)?;
    let unknown = unknown.iter().map(|field| unknown_field(field));
    // Clients look for the two in this order: YAML is read for doubled names before it is decoded.
    let faults: Vec<String> = match media_type.as_str() {
        "application/yaml" => doubled.chain(unknown).collect(),
        _ => unknown.chain(doubled).collect(),
    };
    if !faults.is_empty() && ctx.options.field_validation == FieldValidation::Strict {
        return Err(refused(ctx, &format!("strict decoding error: {}", faults.join(", "))));
    }
    if ctx.options.field_validation == FieldValidation::Warn {
        ctx.warn(faults);
    }
    Ok(stored(ctx, object))
}

/// The body of a subresource that takes objects of another kind: in that kind's shape.
pub fn of_kind(ctx: &Context, definition: &str, mut object: Value) -> Result<Value> {
    let kind = definition.rsplit('.').next().unwrap_or_default();
    let schema = schema::of(definition).ok_or_else(|| ApiError::internal(format!("no schema of {kind}")))?;
    let version = object["apiVersion"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let version = version.to_owned();
    let unknown = schema::check(&schema, &mut object)
        .map_err(|error| ApiError::bad_request(schema::refusal(kind, &version, &error.to_string())))?;
    warn(ctx, &unknown);
    Ok(object)
}

fn unknown_field(field: &str) -> String {
    format!("unknown field \"{field}\"")
}

/// As [`object`], for the result of a patch: an unknown field is the patch's fault.
pub fn patched(ctx: &Context, mut object: Value) -> Result<Value> {
    // A JSON patch may replace the whole document.
    if !object.is_object() {
        return Err(invalid_patch(ctx, "the patched document is not an object"));
    }
    type_meta(ctx, &mut object)?;
    let unknown = shape(ctx, &mut object)?;
    if !unknown.is_empty() && ctx.options.field_validation == FieldValidation::Strict {
        return Err(invalid_patch(ctx, &schema::strict_message(&unknown)));
    }
    warn(ctx, &unknown);
    Ok(stored(ctx, object))
}

fn invalid_patch(ctx: &Context, why: &str) -> ApiError {
    let error = FieldError {
        reason: Reason::Invalid,
        field: "patch".into(),
        message: format!("Invalid value: {why}"),
    };
    let kind = ctx.resource.kind;
    ApiError::invalid(kind.group, kind.kind, &ctx.info.name, &[error])
}

/// As [`object`], for an applied configuration, which is always read as YAML: it holds its fields and
/// no defaults.
pub fn applied(ctx: &Context, mut object: Value, bytes: &[u8]) -> Result<Value> {
    type_meta(ctx, &mut object)?;
    let unknown = shape(ctx, &mut object)?;
    let is_strict = ctx.options.field_validation == FieldValidation::Strict;
    if is_strict && !unknown.is_empty() {
        return Err(ApiError::bad_request(undeclared(ctx, &unknown)));
    }
    let doubled = match ctx.options.field_validation {
        FieldValidation::Ignore => Vec::new(),
        _ => duplicates::of_yaml(std::str::from_utf8(bytes).unwrap_or_default()),
    };
    let doubled: Vec<String> = doubled.iter().map(already_set).collect();
    if is_strict && !doubled.is_empty() {
        return Err(ApiError::bad_request(format!("error strict decoding YAML: {}", doubled.join(", "))));
    }
    if ctx.options.field_validation == FieldValidation::Warn {
        ctx.warn(doubled);
    }
    warn(ctx, &unknown);
    Ok(ctx.resource.to_stored(object))
}

/// Clients look for this wording of a name that stands twice in a configuration.
fn already_set(doubled: &Doubled) -> String {
    format!("line {}: key {:?} already set in map", doubled.line, doubled.name)
}

/// As clients know it of an applied configuration: other words than of a created object.
fn undeclared(ctx: &Context, unknown: &[String]) -> String {
    let kind = ctx.resource.kind;
    let fields: Vec<String> =
        unknown.iter().map(|field| format!(".{field}: field not declared in schema")).collect();
    let name = match ctx.info.namespace.as_str() {
        "" => ctx.info.name.clone(),
        namespace => format!("{namespace}/{}", ctx.info.name),
    };
    let which = format!("{name}; {}, Kind={}", kind.api_version(), kind.kind);
    format!("failed to create typed patch object ({which}): {}", fields.join(", "))
}

fn shape(ctx: &Context, object: &mut Value) -> Result<Vec<String>> {
    let shaped = match &ctx.resource.custom {
        Some(custom) => custom.version.shape(object),
        None => schema::check(&ctx.resource.schema, object),
    };
    shaped.map_err(|error| refused(ctx, &error.to_string()))
}

fn refused(ctx: &Context, why: &str) -> ApiError {
    ApiError::bad_request(schema::refusal(ctx.resource.kind.kind, ctx.resource.kind.version, why))
}

fn warn(ctx: &Context, unknown: &[String]) {
    if ctx.options.field_validation == FieldValidation::Warn {
        ctx.warn(unknown.iter().map(|field| unknown_field(field)));
    }
}

/// Defaults of the served version belong in before it is converted.
fn stored(ctx: &Context, mut object: Value) -> Value {
    if ctx.resource.kind.stored_as.is_none() {
        return object;
    }
    (ctx.resource.kind.default)(&mut object);
    ctx.resource.to_stored(object)
}

/// `apiVersion` and `kind` may be left out; given, they must be the path's.
fn type_meta(ctx: &Context, object: &mut Value) -> Result<()> {
    let kind = ctx.resource.kind;
    let api_version = kind.api_version();
    let given = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (given_version, given_kind) = (given("apiVersion"), given("kind"));
    if !given_version.is_empty() && given_version != api_version {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )));
    }
    if !given_kind.is_empty() && given_kind != kind.kind {
        return Err(ApiError::bad_request(format!(
            "the kind in the data ({given_kind}) does not match the expected kind ({})",
            kind.kind
        )));
    }
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.kind.into();
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    Ok(())
}
