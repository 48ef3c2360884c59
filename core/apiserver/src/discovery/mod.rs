//! What is served: groups, versions and resources, as plain documents and as
//! the aggregated one that newer clients ask for first.
//!
//! The Content-Type of the answer says which of the two it is; an ETag spares
//! clients that know it the body. The aggregated one is given as JSON only.

mod aggregated;
mod elsewhere;
mod groups;
mod plain;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::serve::{Body, empty};

pub use elsewhere::{Elsewhere, elsewhere};
pub use groups::{Group, groups};

use crate::{
    request::accept::{self, Clause, Format, MEDIA_TYPES, clauses},
    respond::object::{bytes, encoded},
    state::Core,
    status::{ApiError, Result},
};

/// `/version` and the documents' versions.
pub const GIT_VERSION: &str = "v1.37.0+tiphys";

/// Answers `/api`, `/apis` and what is below them; None for other paths.
pub fn answer(core: &Core, path: &str, headers: &HeaderMap) -> Option<Result<Response<Body>>> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let groups = groups(core);
    let find = |name: &str| groups.iter().find(|group| group.name == name);
    let document = match segments.as_slice() {
        ["api"] => return Some(root(headers, plain::versions(), &groups[..1])),
        ["apis"] => return Some(root(headers, plain::group_list(&groups[1..]), &groups[1..])),
        ["api", "v1"] => plain::resources(&groups[0], "v1"),
        ["apis", group] => find(group).map(plain::group),
        ["apis", group, version] => find(group).and_then(|group| plain::resources(group, version)),
        _ => return None,
    };
    Some(match document {
        Some(document) => formatted(headers, &document),
        None => Err(ApiError::no_such_path()),
    })
}

/// A plain document in the format that is asked for first.
fn formatted(headers: &HeaderMap, document: &Value) -> Result<Response<Body>> {
    let format = clauses(accept::header(headers)).iter().find_map(Clause::format);
    written(headers, format.ok_or_else(|| ApiError::not_acceptable(MEDIA_TYPES))?, document)
}

fn written(headers: &HeaderMap, format: Format, document: &Value) -> Result<Response<Body>> {
    let body = encoded(format, false, document)?;
    let tag = hash(&body);
    Ok(with_tag(headers, format.content_type(), body.into(), &tag))
}

/// `/api` and `/apis`: aggregated for those who ask for it, else the plain list.
fn root(headers: &HeaderMap, plain: Value, groups: &[Group]) -> Result<Response<Body>> {
    for clause in clauses(accept::header(headers)) {
        let Some(format) = clause.format() else { continue };
        match (clause.kind.as_str(), clause.group.as_str(), clause.version.as_str()) {
            ("", ..) => return written(headers, format, &plain),
            _ if format != Format::Json => {}
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
                return Ok(tagged(headers, aggregated::V2, &aggregated::list(groups, "v2")));
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => {
                return Ok(tagged(headers, aggregated::V2_BETA1, &aggregated::list(groups, "v2beta1")));
            }
            _ => {}
        }
    }
    Err(ApiError::not_acceptable(MEDIA_TYPES))
}

/// A document with its ETag; 304 when the client has it.
pub fn tagged(headers: &HeaderMap, content_type: &'static str, document: &Value) -> Response<Body> {
    let text = document.to_string();
    let tag = hash(text.as_bytes());
    with_tag(headers, content_type, text.into(), &tag)
}

/// The same with a body and its hash that are there already.
pub fn with_tag(
    headers: &HeaderMap,
    content_type: &'static str,
    text: ::bytes::Bytes,
    tag: &str,
) -> Response<Body> {
    let quoted = format!("\"{tag}\"");
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let same = known.is_some_and(|known| known.split(',').any(|one| one.trim() == quoted));
    let mut response = if same {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        bytes(StatusCode::OK, content_type, text)
    };
    if let Ok(value) = HeaderValue::from_str(&quoted) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// SHA-256 in upper-case hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02X}")).collect()
}
