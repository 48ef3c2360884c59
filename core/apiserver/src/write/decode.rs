//! A decoded body as an object of the resource: right apiVersion and kind, in
//! the schema's shape, in the stored version. Unknown fields are an error, a
//! warning or nothing, as `fieldValidation` says.

use serde_json::Value;
use tiphys_api::{field::FieldError, schema};

use super::faults::{self, Faults};
use crate::{
    context::Context,
    patch::{PatchType, fields::undeclared},
    request::{body, duplicates, options::FieldValidation},
    status::{ApiError, Result},
};

/// A body as an object of its served kind, in the stored version.
pub fn object(ctx: &Context, bytes: &[u8]) -> Result<Value> {
    let mut object = body::decode(&ctx.headers, bytes)?;
    let sound = ctx.options.field_validation == FieldValidation::Ignore
        || body::is_json(&ctx.headers) && duplicates::has_none(bytes, &object);
    type_meta(ctx, &mut object)?;
    let unknown = shape(ctx, &mut object)?;
    // Few bodies have faults, and to find where they stand takes longer than all else that is read of one.
    if !sound || !unknown.is_empty() {
        found(ctx, bytes, &unknown)?;
    }
    Ok(stored(ctx, object))
}

/// Refuses or tells, as is asked for, what strict decoding finds fault with in a whole object.
fn found(ctx: &Context, bytes: &[u8], unknown: &[String]) -> Result<()> {
    if ctx.options.field_validation == FieldValidation::Ignore {
        return Ok(());
    }
    let is_custom = ctx.resource.custom.is_some();
    let faults = faults::of_object(&body::media_type(&ctx.headers), bytes, is_custom, unknown);
    if ctx.options.field_validation == FieldValidation::Strict && !faults.is_empty() {
        return Err(refused(ctx, &faults.strict_message()));
    }
    ctx.warn(faults.warnings);
    Ok(())
}

/// The body of a subresource that takes objects of another kind: in that kind's shape.
pub fn of_kind(ctx: &Context, definition: &str, mut object: Value) -> Result<Value> {
    let unknown = shape_of(definition, &mut object)?;
    warn(ctx, &unknown);
    Ok(object)
}

/// Brings an object into the shape of a kind that isn't the resource's own.
fn shape_of(definition: &str, object: &mut Value) -> Result<Vec<String>> {
    let kind = definition.rsplit('.').next().unwrap_or_default();
    let schema = schema::of(definition).ok_or_else(|| ApiError::internal(format!("no schema of {kind}")))?;
    let version = object["apiVersion"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let version = version.to_owned();
    schema::check(&schema, object)
        .map_err(|error| ApiError::bad_request(schema::refusal(kind, &version, &error.to_string())))
}

/// A patch that isn't apply, as it was sent.
pub struct Given {
    pub patch_type: PatchType,
    pub patch: Value,
    faults: Faults,
}

/// Reads a patch that isn't apply.
pub fn patch(ctx: &Context, patch_type: PatchType, bytes: &[u8]) -> Result<Given> {
    let patch = body::json_patch(bytes)?;
    let faults = match ctx.options.field_validation {
        FieldValidation::Ignore => Faults::default(),
        _ if patch_type != PatchType::Json && duplicates::has_none(bytes, &patch) => Faults::default(),
        _ => faults::of_patch(patch_type, &patch, bytes),
    };
    Ok(Given { patch_type, patch, faults })
}

/// As [`object`], for the result of a patch: an unknown field is the patch's fault.
pub fn patched(ctx: &Context, mut object: Value, given: &Given) -> Result<Value> {
    // A JSON patch may replace the whole document.
    if !object.is_object() {
        return Err(invalid_patch(&object, given, "the patched document is not an object"));
    }
    type_meta(ctx, &mut object)?;
    let shape = |object: &mut Value| shape(ctx, object);
    Ok(stored(ctx, patched_as(ctx, object, given, &shape)?))
}

/// As [`patched`], for a subresource of another kind.
pub fn patched_kind(ctx: &Context, definition: &str, object: Value, given: &Given) -> Result<Value> {
    patched_as(ctx, object, given, &|object| shape_of(definition, object))
}

fn patched_as(
    ctx: &Context,
    mut object: Value,
    given: &Given,
    shape: &dyn Fn(&mut Value) -> Result<Vec<String>>,
) -> Result<Value> {
    let validation = ctx.options.field_validation;
    let made = (validation == FieldValidation::Strict).then(|| object.clone());
    let unknown = shape(&mut object)?;
    if validation == FieldValidation::Ignore {
        return Ok(object);
    }
    let faults = given.faults.and_unknown(&unknown);
    match made {
        Some(made) if !faults.is_empty() => Err(invalid_patch(&made, given, &faults.strict_message())),
        Some(_) => Ok(object),
        None => {
            ctx.warn(faults.warnings);
            Ok(object)
        }
    }
}

/// Upstream shows what the patch made, or of a strategic one the patch, and names no object.
fn invalid_patch(made: &Value, given: &Given, why: &str) -> ApiError {
    let shown = match given.patch_type {
        PatchType::Strategic => faults::shown(&given.patch),
        _ => made.to_string(),
    };
    ApiError::invalid("", "", "", &[FieldError::invalid("patch", &shown.into(), why)])
}

/// As [`object`], for an applied configuration, which is always read as YAML: it holds its fields and
/// no defaults. A field that isn't declared is refused, however fields are validated.
pub fn applied(ctx: &Context, mut object: Value, bytes: &[u8]) -> Result<Value> {
    type_meta(ctx, &mut object)?;
    let unknown = match &ctx.resource.custom {
        Some(custom) => custom.version.shape_as_written(&mut object),
        None => schema::check_as_written(&ctx.resource.schema, &mut object),
    };
    let unknown = unknown.map_err(|error| refused(ctx, &error.to_string()))?;
    if !unknown.is_empty() {
        let why = undeclared::message(&unknown, &object, &ctx.resource.schema);
        return Err(ApiError::unnamed(untyped(ctx, &why)));
    }
    if ctx.options.field_validation != FieldValidation::Ignore {
        let faults = faults::of_applied(bytes);
        if ctx.options.field_validation == FieldValidation::Strict && !faults.is_empty() {
            return Err(ApiError::bad_request(format!(
                "error strict decoding patch: {}",
                faults.errors.join(", ")
            )));
        }
        ctx.warn(faults.warnings);
    }
    Ok(ctx.resource.to_stored(object))
}

/// As clients know it of an applied configuration: other words than of a created object.
fn untyped(ctx: &Context, why: &str) -> String {
    let kind = ctx.resource.kind;
    let (namespace, name) = (&ctx.info.namespace, &ctx.info.name);
    let which = format!("{namespace}/{name}; {}/{}, Kind={}", kind.group, kind.version, kind.kind);
    format!("failed to create typed patch object ({which}): {why}")
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
        ctx.warn(unknown.iter().map(|field| faults::unknown_field(field)));
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
