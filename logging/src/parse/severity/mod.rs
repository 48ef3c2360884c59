//! How grave a record is, found in its body.
//!
//! ```text
//! first line, without colours -> JSON | klog | syslog | access log | logfmt | trace's head | word
//! ```
//!
//! The first that says something counts. A body that says nothing is `unknown`;
//! that it came by stderr says nothing.

mod access;
mod json;
mod klog;
mod logfmt;
mod syslog;
mod word;

pub use syslog::severity as of_syslog;

use super::trace;
use crate::{query::plain::plain, record::Level};

/// Of a line that is no JSON, so much is looked at.
const WITHIN: usize = 4096;

/// The level that the body tells.
pub fn level(body: &[u8]) -> Level {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    let body = &body[start..];
    let end = memchr::memchr(b'\n', body).unwrap_or(body.len());
    let line = trace::without_return(&body[..end]);
    if line.first() == Some(&b'{') {
        let text = plain(line);
        // Only a body of several lines is more than its first one.
        let said = json::level(&text).or_else(|| (end < body.len()).then(|| json::level(&plain(body)))?);
        if let Some(level) = said {
            return level;
        }
    }
    text(plain(&line[..line.len().min(WITHIN)]).trim_ascii_start())
}

fn text(line: &[u8]) -> Level {
    let said = klog::level(line)
        .or_else(|| syslog::level(line))
        .or_else(|| access::level(line))
        .or_else(|| logfmt::level(line))
        .or_else(|| trace::level(line))
        .or_else(|| word::level(line));
    said.unwrap_or_default()
}

#[cfg(test)]
mod tests;
