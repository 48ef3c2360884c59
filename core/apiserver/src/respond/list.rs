//! A LIST out of cached bytes: nothing is decoded unless the client wants
//! another version, shape or format than the stored one. Then a long one is made
//! where blocking is allowed: other requests must not wait for its thread.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tiphys_api::serve::Body;
use tokio::runtime::Handle;

use super::{gzip, object, protobuf::message, shape};
use crate::{
    cache::{ContinueToken, Items, ListChunks, ListHead, ListResult},
    protobuf,
    registry::Resource,
    request::{
        accept::{Accept, Format, Shape},
        options::Options,
    },
    status::{ApiError, Result},
};

/// Stored bytes that are transcoded in a few milliseconds at most.
const SHORT: usize = 256 * 1024;

/// The answer to a LIST.
pub async fn respond(
    resource: &Arc<Resource>,
    result: ListResult,
    accept: Accept,
    options: &Options,
    headers: &HeaderMap,
) -> Result<Response<Body>> {
    let bytes: usize = result.objects.iter().map(|object| object.json.len()).sum();
    let gzip = gzip::accepted(headers);
    if let Some(items) = as_held(resource, accept).filter(|_| !options.pretty) {
        let gzip = gzip && bytes >= gzip::FROM_BYTES;
        let (api_version, kind) = match items {
            Items::Whole => (resource.kind.api_version(), resource.kind.list_kind().into_owned()),
            Items::Metadata(version) => {
                (format!("meta.k8s.io/{version}"), "PartialObjectMetadataList".to_owned())
            }
        };
        let chunks = ListChunks::new(ListHead { api_version: &api_version, kind: &kind, items }, result);
        return Ok(gzip::stream(Format::Json.content_type(), chunks, gzip));
    }
    let wanted =
        Wanted { accept, pretty: options.pretty, include_object: options.include_object.clone(), gzip };
    if bytes <= SHORT {
        return wanted.made(resource, &result).await;
    }
    let (resource, runtime) = (resource.clone(), Handle::current());
    let made = tokio::task::spawn_blocking(move || runtime.block_on(wanted.made(&resource, &result)));
    made.await.map_err(ApiError::internal)?
}

/// How the items are cut out of the cached bytes, where these are what is served.
pub fn as_held(resource: &Resource, accept: Accept) -> Option<Items> {
    match (accept.format, accept.shape) {
        _ if !resource.served_as_stored() => None,
        (Format::Json, Shape::Object) => Some(Items::Whole),
        (Format::Json, Shape::Metadata(version)) => Some(Items::Metadata(version)),
        _ => None,
    }
}

/// How the client wants the list, when not as it is stored.
struct Wanted {
    accept: Accept,
    pretty: bool,
    include_object: String,
    gzip: bool,
}

impl Wanted {
    async fn made(self, resource: &Resource, result: &ListResult) -> Result<Response<Body>> {
        let Accept { format, shape } = self.accept;
        if format == Format::Protobuf && shape == Shape::Object {
            return messages(resource, result, self.gzip);
        }
        let value = decoded(resource, result, shape, &self.include_object).await?;
        let body = object::encoded(format, self.pretty, &value)?;
        if self.gzip && body.len() >= gzip::FROM_BYTES {
            return Ok(gzip::stream(format.content_type(), std::iter::once(body.into()), true));
        }
        Ok(object::bytes(StatusCode::OK, format.content_type(), body))
    }
}

/// The list in protobuf, of messages that the cached objects share with all who read so.
fn messages(resource: &Resource, result: &ListResult, gzip: bool) -> Result<Response<Body>> {
    let api_version = resource.kind.api_version();
    let kind = resource.kind.list_kind();
    let head = protobuf::ListHead {
        api_version: &api_version,
        kind: &kind,
        resource_version: result.revision.to_string(),
        next: result.next.as_ref().map(ContinueToken::encode),
        remaining: result.next.is_some().then_some(result.remaining).flatten(),
    };
    let items = result.objects.iter().map(|object| message(resource, object)).collect::<Result<_>>()?;
    let chunks = protobuf::list(&head, items);
    let gzip = gzip && chunks.total() >= gzip::FROM_BYTES;
    Ok(gzip::stream(Format::Protobuf.content_type(), chunks, gzip))
}

async fn decoded(
    resource: &Resource,
    result: &ListResult,
    wanted: Shape,
    include_object: &str,
) -> Result<Value> {
    let objects = resource.served_all(result.objects.iter().map(|object| &*object.json).collect()).await?;
    Ok(shape::many(resource, list_meta(result), objects, wanted, include_object))
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
