//! One JSON document as a response.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json as json_value};
use tiphys_api::serve::{Body, full};

use crate::{
    protobuf,
    request::{accept::Format, yaml},
    status::{ApiError, Details, Result},
};

/// A JSON document.
pub fn json(code: StatusCode, value: &Value) -> Response<Body> {
    bytes(code, Format::Json.content_type(), text(value))
}

/// A body that is written already.
pub fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// An object in the asked format, indented if `pretty`.
pub fn object(code: StatusCode, format: Format, pretty: bool, value: &Value) -> Result<Response<Body>> {
    Ok(bytes(code, format.content_type(), encoded(format, pretty, value)?))
}

/// A document in a format.
pub fn encoded(format: Format, pretty: bool, value: &Value) -> Result<Vec<u8>> {
    Ok(match format {
        Format::Yaml => yaml::write(value)?.into_bytes(),
        Format::Json if pretty => serde_json::to_vec_pretty(value).map_err(ApiError::internal)?,
        Format::Json => text(value),
        Format::Protobuf => protobuf::encode(value)?,
    })
}

/// The document without spaces. Straight into bytes: by way of `Display` it takes twice as long.
pub fn text(value: &Value) -> Vec<u8> {
    // A Value has text keys only, and a Vec takes all that is written.
    serde_json::to_vec(value).expect("a JSON value can be written")
}

/// The Status of a failed request.
pub fn error(error: &ApiError, format: Format) -> Response<Body> {
    let status = error.to_value();
    let mut response =
        object(error.code, format, false, &status).unwrap_or_else(|_| json(error.code, &status));
    let retry_after = error.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry_after > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, retry_after.into());
    }
    if error.code == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer realm=\"tiphys\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The Status of a deletion that is done.
pub fn status_success(details: &Details) -> Value {
    let mut about = serde_json::Map::new();
    for (key, text) in
        [("name", &details.name), ("group", &details.group), ("kind", &details.kind), ("uid", &details.uid)]
    {
        if !text.is_empty() {
            about.insert(key.into(), text.as_str().into());
        }
    }
    json_value!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about })
}

/// Adds one `Warning` header for each text (RFC 7234, code 299).
pub fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let quoted: String = warning
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
            .collect();
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
