//! A LIST out of cached bytes: nothing is decoded unless the client wants
//! another version, shape or format than the stored one.

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tiphys_api::serve::Body;

use super::{gzip, object, shape};
use crate::{
    cache::{ListChunks, ListHead, ListResult},
    registry::Resource,
    request::{
        accept::{Accept, Format, Shape},
        options::Options,
    },
    status::{ApiError, Result},
};

/// The answer to a LIST.
pub fn respond(
    resource: &Resource,
    result: ListResult,
    accept: Accept,
    options: &Options,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let as_stored = resource.served_as_stored() && accept.shape == Shape::Object;
    if as_stored && accept.format == Format::Json && !options.pretty {
        let bytes: usize = result.objects.iter().map(|object| object.json.len()).sum();
        let gzip = bytes >= gzip::FROM_BYTES && gzip::accepted(headers);
        let api_version = resource.kind.api_version();
        let kind = format!("{}List", resource.kind.kind);
        let chunks = ListChunks::new(ListHead { api_version: &api_version, kind: &kind }, result);
        return Ok(gzip::stream(Format::Json.content_type(), chunks, gzip));
    }
    let value = decoded(resource, &result, accept.shape, &options.include_object)?;
    let response = object::object(StatusCode::OK, accept.format, options.pretty, &value)?;
    Ok(compress(response, &value, accept, options, headers))
}

fn decoded(resource: &Resource, result: &ListResult, wanted: Shape, include_object: &str) -> Result<Value> {
    let objects =
        result.objects.iter().map(|object| resource.served(&object.json)).collect::<Result<Vec<Value>>>()?;
    let meta = list_meta(result);
    Ok(shape::many(resource.kind, &resource.kind.api_version(), meta, objects, wanted, include_object))
}

fn list_meta(result: &ListResult) -> Value {
    let mut meta = json!({ "resourceVersion": result.revision.to_string() });
    if let Some(next) = &result.next {
        meta["continue"] = next.encode().into();
    }
    if let Some(remaining) = result.remaining.filter(|remaining| *remaining > 0) {
        meta["remainingItemCount"] = remaining.into();
    }
    meta
}

/// Compresses a large Table or metadata list.
fn compress(
    plain: Response<Body>,
    value: &Value,
    accept: Accept,
    options: &Options,
    headers: &HeaderMap,
) -> Response<Body> {
    let rows = value["rows"].as_array().or(value["items"].as_array()).map_or(0, Vec::len);
    let large = rows >= 256 && accept.format == Format::Json && !options.pretty;
    if !large || !gzip::accepted(headers) {
        return plain;
    }
    match serde_json::to_vec(value).map_err(ApiError::internal) {
        Ok(text) => gzip::stream(Format::Json.content_type(), std::iter::once(text.into()), true),
        Err(_) => plain,
    }
}
