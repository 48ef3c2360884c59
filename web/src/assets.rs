//! The pages, embedded in the binary as the UI's build leaves them: compressed
//! once there, sent as they are.
//!
//! Names under `assets/` carry a hash of their content and are cached for good;
//! any other path is the one page, which reads the path itself. Without a built
//! UI a page says how to build it.

use std::io::Read;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Files;

const PAGE: &str = "index.html";
const PLACEHOLDER: &str = "<!doctype html><title>Tiphys</title><p>This binary was built without the dashboard. \
                           Build it with <code>make ui</code>, then build the binary again.";

pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_asset = path.starts_with("assets/");
    let name = if path.contains('.') || is_asset { path } else { PAGE };
    let accepts_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    let Some((bytes, compressed)) = find(name, accepts_gzip) else {
        return if name == PAGE {
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PLACEHOLDER).into_response()
        } else {
            StatusCode::NOT_FOUND.into_response()
        };
    };
    let cache = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response =
        ([(header::CONTENT_TYPE, content_type(name)), (header::CACHE_CONTROL, cache)], bytes).into_response();
    if compressed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The file's bytes, and whether they are compressed.
fn find(name: &str, accepts_gzip: bool) -> Option<(Vec<u8>, bool)> {
    if let Some(file) = Files::get(&format!("{name}.gz")) {
        if accepts_gzip {
            return Some((file.data.into_owned(), true));
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(file.data.as_ref()).read_to_end(&mut plain).ok()?;
        return Some((plain, false));
    }
    Files::get(name).map(|file| (file.data.into_owned(), false))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
