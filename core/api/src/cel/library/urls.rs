//! URLs: absolute ones, or the path of a request.

use std::{collections::HashMap, sync::Arc};

use kube_cel::cel::{
    Value,
    objects::{Key, Map, Opaque},
};

use super::{Table, opaque};
use crate::cel::{evaluate::Outcome, fault::Fault, meter::Meter};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
    /// All of it, for comparison.
    text: String,
}

impl Opaque for Url {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.URL"
    }
}

pub const FUNCTIONS: Table = &[
    ("url", |args, meter| {
        let text = text(args, meter)?;
        let told = |why| {
            Fault::told(format!("URL parse error during conversion from string: parse {text:?}: {why}"))
        };
        Ok(Value::Opaque(Arc::new(parse(text).map_err(told)?)))
    }),
    ("isURL", |args, meter| Ok(Value::Bool(parse(text(args, meter)?).is_ok()))),
    ("getScheme", |args, meter| part(args, meter, |url| url.scheme.clone())),
    ("getHost", |args, meter| part(args, meter, |url| url.host.clone())),
    ("getHostname", |args, meter| {
        part(args, meter, |url| {
            let (name, _) = name_and_port(&url.host);
            name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name).to_owned()
        })
    }),
    ("getPort", |args, meter| part(args, meter, |url| name_and_port(&url.host).1.unwrap_or("").to_owned())),
    ("getEscapedPath", |args, meter| part(args, meter, |url| escaped(&url.path))),
    ("getQuery", |args, meter| {
        let [of] = args else { return Err(Fault::overload()) };
        let url = opaque::<Url>(of)?;
        meter.bytes(url.query.len() * 2)?;
        Ok(query(&url.query))
    }),
];

fn text<'a>(args: &'a [Value], meter: &mut Meter) -> Result<&'a str, Fault> {
    let [Value::String(text)] = args else { return Err(Fault::overload()) };
    meter.bytes(text.len())?;
    Ok(text)
}

fn part(args: &[Value], meter: &mut Meter, of: impl FnOnce(&Url) -> String) -> Outcome {
    let [url] = args else { return Err(Fault::overload()) };
    let url = opaque::<Url>(url)?;
    meter.bytes(url.text.len())?;
    Ok(Value::String(Arc::new(of(url))))
}

/// # Errors
/// It is none.
pub fn parse(text: &str) -> Result<Url, String> {
    if text.is_empty() {
        return Err("empty url".into());
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".into());
    }
    let (without, _) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = scheme(without)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let url = |host: &str, path: &str| Url {
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        text: text.to_owned(),
    };
    if !rest.starts_with('/') {
        // `mailto:somebody`
        return if scheme.is_empty() { Err("invalid URI for request".into()) } else { Ok(url("", "")) };
    }
    let (authority, path) = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    check_host(host)?;
    unescaped(path)?;
    Ok(url(host, path))
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    match end.map(|end| (&text[..end], &text[end..])) {
        Some(("", rest)) if rest.starts_with(':') => Err("missing protocol scheme".into()),
        Some((scheme, rest))
            if rest.starts_with(':') && scheme.starts_with(|c: char| c.is_ascii_alphabetic()) =>
        {
            Ok((scheme, &rest[1..]))
        }
        _ => Ok(("", text)),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = name_and_port(host);
    if name.starts_with('[') != name.ends_with(']') {
        return Err("missing ']' in host".into());
    }
    if port.is_some_and(|port| !port.bytes().all(|digit| digit.is_ascii_digit())) || name.ends_with(':') {
        return Err(format!("invalid port {:?} after host", host[name.len()..].to_owned()));
    }
    let wrong =
        |c: &char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(*c);
    match name.chars().find(wrong) {
        Some(c) => Err(format!("invalid character {:?} in host name", c.to_string())),
        None => unescaped(name).map(drop),
    }
}

fn name_and_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    }
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'%' {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let digit = |offset| bytes.get(at + offset).copied().and_then(hex);
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => out.push(high * 16 + low),
            _ => {
                let end = (at..=text.len().min(at + 3)).rev().find(|end| text.is_char_boundary(*end));
                return Err(format!("invalid URL escape {:?}", &text[at..end.unwrap_or(at)]));
            }
        }
        at += 3;
    }
    Ok(out)
}

/// The path as it was written, if it can be written so.
fn escaped(path: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@/[]%".contains(&byte);
    if path.bytes().all(fits) {
        return path.to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    let mut out = String::new();
    for byte in unescaped(path).unwrap_or_default() {
        if plain(byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn query(text: &str) -> Value {
    let mut found: HashMap<Key, Vec<Value>> = HashMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| {
            let bytes = unescaped(&text.replace('+', " ")).ok()?;
            Some(Arc::new(String::from_utf8_lossy(&bytes).into_owned()))
        };
        if let (Some(key), Some(value)) = (plain(key), plain(value)) {
            found.entry(Key::String(key)).or_default().push(Value::String(value));
        }
    }
    let map = found.into_iter().map(|(key, values)| (key, Value::List(Arc::new(values)))).collect();
    Value::Map(Map { map: Arc::new(map) })
}
