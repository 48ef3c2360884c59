//! The body of a request: read with a limit, decoded by its Content-Type.

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;
use tiphys_api::serve::Body;

use super::yaml;
use crate::{
    protobuf,
    status::{ApiError, Result},
};

/// The largest body, as upstream's: 3 MiB.
pub const LIMIT: usize = 3 * 1024 * 1024;

/// Reads the whole body; more than [`LIMIT`] is a 413.
pub fn read(body: Body) -> BoxFuture<'static, Result<Bytes>> {
    Box::pin(Limited::new(body, LIMIT).collect().map(|collected| match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(LIMIT)),
        Err(error) => Err(ApiError::bad_request(format!("the body could not be read: {error}"))),
    }))
}

/// The media type of the body, lower case, without parameters; JSON when none is named.
pub fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase() {
        empty if empty.is_empty() => "application/json".into(),
        media_type => media_type,
    }
}

/// Whether the body is JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers) == "application/json"
}

/// An object out of JSON, YAML or protobuf. CBOR is a 415: such clients turn to JSON then.
pub fn decode(headers: &HeaderMap, body: &[u8]) -> Result<Value> {
    let value = match media_type(headers).as_str() {
        "application/json" => json(body)?,
        "application/yaml" => from_yaml(body)?,
        "application/vnd.kubernetes.protobuf" => protobuf::decode(body)?,
        _ => return Err(ApiError::unsupported_media_type(super::accept::MEDIA_TYPES)),
    };
    object(value)
}

/// JSON, of which nesting beyond serde_json's 128 levels is refused.
pub fn json(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

/// A patch that is written in JSON.
pub fn json_patch(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).map_err(|_| ApiError::bad_request("invalid JSON patch"))
}

pub fn from_yaml(body: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not valid UTF-8"))?;
    yaml::read(text)
}

fn object(value: Value) -> Result<Value> {
    if value.is_object() {
        return Ok(value);
    }
    Err(ApiError::bad_request("couldn't get version/kind; the body is not an object"))
}

#[cfg(test)]
mod tests {
    use tiphys_api::serve::full;

    use super::*;

    #[tokio::test]
    async fn three_mebibytes_and_no_more() {
        assert_eq!(read(full(vec![b' '; LIMIT])).await.expect("fits").len(), LIMIT);
        assert_eq!(read(full(vec![b' '; LIMIT + 1])).await.expect_err("too large").code.as_u16(), 413);
    }

    #[test]
    fn cbor_and_text_are_unsupported() {
        for media_type in ["application/cbor", "text/plain"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, media_type.parse().expect("a header"));
            assert_eq!(decode(&headers, b"{}").expect_err(media_type).code.as_u16(), 415);
        }
        assert!(decode(&HeaderMap::new(), b"{\"a\":1}").is_ok());
    }

    #[test]
    fn abuse_16_deep_json_is_refused() {
        assert_eq!(json("[".repeat(10_000).as_bytes()).expect_err("deep").code.as_u16(), 400);
    }
}
