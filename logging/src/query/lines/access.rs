//! Access logs: a time in brackets, the request in quotes, the status.
//!
//! ```text
//! 10.0.0.1 - bob [31/Jan/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 502 157 "-" "curl/8" "10.1.0.9" 0.003
//! shop.example:80 ::1 - - [31/Jan/2026:12:00:00 +0000] "GET / HTTP/1.0" 200 -
//! [2026-01-31T12:00:00.000Z] "GET / HTTP/2" 503 UF 0 91 12 - "-" "curl" "1f" "shop" "10.1.0.7:80"
//! ```
//!
//! nginx's and Apache's, common and combined, with a host before the client or not; behind it
//! what nginx's packages, its ingress controller and Traefik add. And Envoy's, with what Istio
//! puts between. Clients choose what stands in quotes. Envoy alone writes quotes in there as they
//! come, so that in its lines more can be a client's words: what stands before the request and at
//! once behind it is not.

use super::{Found, Part, Run, Tell, cut, show};

pub(super) const DURATION: &str = "duration";

pub(super) const NAMES: [&str; 17] = [
    "remote_addr",
    "user",
    "host",
    "method",
    "path",
    "query",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
    "x_forwarded_for",
    DURATION,
    "response_flags",
    "bytes_received",
    "request_id",
    "upstream_host",
];

/// Words behind the usual ones that are looked at.
const MAX_MORE: usize = 16;
/// Letters of a method. A longer word may be an id.
const MAX_METHOD: usize = 20;

pub(super) fn may_be(text: &[u8]) -> bool {
    memchr::memchr(b'"', text).is_some_and(|quote| text[..quote].ends_with(b"] "))
}

pub(super) fn read<'a>(line: &'a str, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) -> Option<()> {
    let (before, quoted) = line.split_once('"')?;
    let (head, time) = before.strip_suffix("] ")?.rsplit_once('[')?;
    let end = quote_end(quoted)?;
    let mut rest = Rest(quoted[end + 1..].strip_prefix(' ')?);
    let Some(Element::Word(status)) = rest.next() else { return None };
    let stamp = &time[..time.find(['Z', '+', ' ']).unwrap_or(time.len())];
    if !tell.time(stamp) || !tell.run(status, Run::Digits) {
        return None;
    }
    client(head, found);
    request(&quoted[..end], found);
    show(found, "status", status);
    if head.is_empty() && time.strip_suffix('Z') == Some(stamp) {
        envoy(rest, tell, found);
    } else {
        common(rest, tell, found);
    }
    Some(())
}

/// `client identity user`, with the host that was asked before it or not.
fn client<'a>(head: &'a str, found: &mut Found<'_, 'a>) {
    let (first, rest) = cut(head.trim_end_matches(' '));
    let (second, rest) = cut(rest);
    // A user's name may have spaces; nobody has an identity.
    if second == "-" || !rest.contains(' ') {
        show(found, "remote_addr", first);
        show(found, "user", rest);
    } else {
        show(found, "host", first);
        show(found, "remote_addr", second);
        show(found, "user", cut(rest).1);
    }
}

/// Method, target and protocol. What was sent to the port may be anything else.
fn request<'a>(text: &'a str, found: &mut Found<'_, 'a>) {
    let Some((method, rest)) = text.split_once(' ').filter(|(method, _)| is_method(method)) else { return };
    let (target, protocol) = match rest.rsplit_once(' ') {
        Some((target, protocol)) if protocol == "-" || protocol.starts_with("HTTP/") => (target, protocol),
        _ => (rest, ""),
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    show(found, "method", method);
    show(found, "path", path);
    show(found, "query", query);
    show(found, "protocol", protocol);
}

fn is_method(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase())
        && text.len() <= MAX_METHOD
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(&byte))
}

/// Bytes, referer, client, proxies; then anything, of which the first duration is understood.
fn common<'a>(mut rest: Rest<'a>, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) {
    let mut next = rest.next();
    if let Some(Element::Word(bytes)) = next
        && (bytes == "-" || tell.run(bytes, Run::Digits))
    {
        show(found, "bytes", bytes);
        next = rest.next();
    }
    if let Some(Element::Quoted(referer)) = next {
        next = rest.next();
        // One alone can be either.
        if let Some(Element::Quoted(agent)) = next {
            show(found, "referer", referer);
            show(found, "user_agent", agent);
            next = rest.next();
            if let Some(Element::Quoted(forwarded)) = next {
                show(found, "x_forwarded_for", forwarded);
            }
        }
    }
    let took = next.into_iter().chain(rest).take(MAX_MORE).find_map(|element| match element {
        Element::Word(word) => duration(word, tell),
        Element::Quoted(_) => None,
    });
    if let Some(took) = took {
        found(DURATION, took);
    }
}

/// Seconds with a point, or `12ms`. A whole number may be anything: bytes, microseconds.
fn duration<'a>(word: &'a str, tell: &mut dyn Tell) -> Option<Part<'a>> {
    let number = word.strip_suffix("ms").unwrap_or(word);
    let is_duration = match number.split_once('.') {
        Some((whole, fraction)) => tell.run(fraction, Run::Digits) && tell.run(whole, Run::Digits),
        None => number.len() < word.len() && tell.run(number, Run::Digits),
    };
    is_duration.then_some(Part { text: word, unit: "" })
}

/// Flags, bytes in and out, milliseconds, those of the upstream, and texts.
fn envoy<'a>(mut rest: Rest<'a>, tell: &mut dyn Tell, found: &mut Found<'_, 'a>) {
    let Some(Element::Word(flags)) = rest.next() else { return };
    show(found, "response_flags", flags);
    let Some(received) = bytes_received(&mut rest, tell) else { return };
    show(found, "bytes_received", received);
    let Some(Element::Word(sent)) = rest.next() else { return };
    show(found, "bytes", sent);
    let Some(Element::Word(took)) = rest.next() else { return };
    if tell.run(took, Run::Digits) {
        found(DURATION, Part { text: took, unit: "ms" });
    }
    rest.next();
    for name in ["x_forwarded_for", "user_agent", "request_id", "host", "upstream_host"] {
        let Some(Element::Quoted(text)) = rest.next() else { return };
        show(found, name, text);
    }
}

/// Istio says before it how the answer came about, how the connection ended, and why.
fn bytes_received<'a>(rest: &mut Rest<'a>, tell: &mut dyn Tell) -> Option<&'a str> {
    let Some(Element::Word(word)) = rest.next() else { return None };
    if tell.run(word, Run::Digits) {
        return Some(word);
    }
    match (rest.next(), rest.next(), rest.next()) {
        (Some(Element::Word(_)), Some(Element::Quoted(_)), Some(Element::Word(word))) => {
            tell.run(word, Run::Digits).then_some(word)
        }
        _ => None,
    }
}

/// What stands behind the request.
struct Rest<'a>(&'a str);

#[derive(Debug, Clone, Copy)]
enum Element<'a> {
    Word(&'a str),
    /// Without its quotes, of which the last may be missing: the line was cut.
    Quoted(&'a str),
}

impl<'a> Iterator for Rest<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let text = self.0.trim_start_matches(' ');
        if text.is_empty() {
            return None;
        }
        let Some(quoted) = text.strip_prefix('"') else {
            let (word, rest) = text.split_at(text.find(' ').unwrap_or(text.len()));
            self.0 = rest;
            return Some(Element::Word(word));
        };
        let (inside, rest) = match quote_end(quoted) {
            Some(end) => (&quoted[..end], &quoted[end + 1..]),
            None => (quoted, ""),
        };
        self.0 = rest;
        Some(Element::Quoted(inside))
    }
}

/// The quote that ends a text; one in it is escaped.
fn quote_end(text: &str) -> Option<usize> {
    let text = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}
