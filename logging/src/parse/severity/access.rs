//! Access logs of nginx, Apache (common and combined, with a host before it or not)
//! and Envoy: a time in brackets, the request in quotes, the status.
//!
//! ```text
//! 10.0.0.1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 502 157 "-" "curl/8"
//! [2026-01-31T12:00:00.000Z] "GET / HTTP/2" 503 UF 0 91 ...
//! ```
//!
//! They have no level of their own; the status says how it went.

use crate::record::Level;

/// Clients' names and the time before the request.
const MAX_BEFORE: usize = 512;

pub(super) fn level(text: &[u8]) -> Option<Level> {
    let quote = memchr::memchr(b'"', &text[..text.len().min(MAX_BEFORE)])?;
    let before = text[..quote].strip_suffix(b"] ")?;
    let time = &before[before.iter().rposition(|byte| *byte == b'[')? + 1..];
    if !time.contains(&b':') || !time.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let after = &text[quote + 1..];
    let status = after[request_end(after)? + 1..].strip_prefix(b" ")?;
    let ended = status.get(3).is_none_or(|byte| *byte == b' ');
    let digits = status.get(..3).filter(|digits| ended && digits.iter().all(u8::is_ascii_digit))?;
    Some(match digits[0] {
        b'1' | b'2' | b'3' => Level::Info,
        b'4' => Level::Warn,
        b'5' => Level::Error,
        // Envoy's 000: the client went away before there was an answer.
        b'0' => Level::Warn,
        _ => return None,
    })
}

/// The quote that ends the request; one in it is escaped.
fn request_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_level() {
        let check = |text: &str, expected| assert_eq!(level(text.as_bytes()), expected, "{text}");
        let nginx = |status| {
            format!(
                r#"10.0.0.1 - bob [31/Jan/2026:12:00:00 +0000] "GET /error HTTP/1.1" {status} 157 "-" "curl/8""#
            )
        };
        check(&nginx("200"), Some(Level::Info));
        check(&nginx("304"), Some(Level::Info));
        check(&nginx("404"), Some(Level::Warn));
        check(&nginx("502"), Some(Level::Error));
        check(&nginx("2000"), None);
        check(&nginx("-"), None);
        let common = r#"shop.example:80 ::1 - - [31/Jan/2026:12:00:00 +0000] "GET /\"a HTTP/1.0" 500"#;
        check(common, Some(Level::Error));
        check(r#"1.2.3.4 - - [31/Jan/2026:12:00:00 +0000] "\x16\x03" 400 0"#, Some(Level::Warn));
        let envoy = r#"[2026-01-31T12:00:00.000Z] "GET /a HTTP/2" 503 UF 0 91 12 - "-" "curl""#;
        check(envoy, Some(Level::Error));
        check(r#"[2026-01-31T12:00:00.000Z] "- - -" 0 - 1 2"#, None);
        check(r#"[main] "GET / HTTP/1.1" 500"#, None);
        check(r#"said "hello" 500 times"#, None);
        check(r#"1.2.3.4 - - [31/Jan/2026:12:00:00 +0000] "GET / no end"#, None);
    }
}
