//! Compression of large answers, chunk by chunk, so that a long list is never
//! held twice.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tiphys_api::serve::{Body, BoxError, boxed};

/// Smaller answers aren't worth it.
pub const FROM_BYTES: usize = 128 * 1024;

/// Whether the caller takes gzip.
pub fn accepted(headers: &HeaderMap) -> bool {
    let text = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        name.eq_ignore_ascii_case("gzip") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
    })
}

/// A body of chunks made on demand; compressed if `gzip`.
pub fn stream(
    content_type: &'static str,
    chunks: impl Iterator<Item = Bytes> + Send + 'static,
    gzip: bool,
) -> Response<Body> {
    let mut response =
        if gzip { Response::new(body(compressed(chunks))) } else { Response::new(body(chunks)) };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    if gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

fn body(chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Body {
    let frames = chunks.map(|bytes| Ok::<_, BoxError>(Frame::data(bytes)));
    boxed(StreamBody::new(futures::stream::iter(frames)))
}

/// The gzip stream of the chunks. Level 1: the network is near, the processor is shared.
fn compressed(chunks: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut chunks = chunks;
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    std::iter::from_fn(move || {
        loop {
            let Some(chunk) = chunks.next() else {
                let last = encoder.take()?.finish().expect("a Vec takes every write");
                return Some(Bytes::from(last));
            };
            let gz = encoder.as_mut()?;
            gz.write_all(&chunk).expect("a Vec takes every write");
            if gz.get_ref().len() >= 16 * 1024 {
                return Some(Bytes::from(std::mem::take(gz.get_mut())));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_comes_back() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| n.to_string().into_bytes()).collect();
        let chunks: Vec<Bytes> = text.chunks(10_000).map(Bytes::copy_from_slice).collect();
        let packed: Vec<u8> = compressed(chunks.into_iter()).flatten().collect();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut back).expect("a gzip stream");
        assert_eq!(back, text);
    }

    #[test]
    fn only_who_asks_gets_gzip() {
        let mut headers = HeaderMap::new();
        assert!(!accepted(&headers));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip"));
        assert!(accepted(&headers));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0"));
        assert!(!accepted(&headers));
    }
}
