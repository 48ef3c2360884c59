//! Formats of strings in custom resources' schemas. One that isn't known checks nothing.
//!
//! Names are without dashes: `date-time` is `datetime`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::OnceLock,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::Regex;

use crate::validate::names;

const KNOWN: &[&str] = &[
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "bsonobjectid",
    "k8sshortname",
    "k8slongname",
];

pub fn is_known(format: &str) -> bool {
    KNOWN.contains(&format)
}

pub fn holds(format: &str, text: &str) -> bool {
    match format {
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => matches(text, HOSTNAME),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(format, text),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "mac" => matches(text, MAC),
        "ssn" => matches(text, r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
        "hexcolor" => matches(text, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        "rgbcolor" => matches(text, RGB),
        "bsonobjectid" => matches(text, "^[0-9a-fA-F]{24}$"),
        "byte" => STANDARD.decode(text).is_ok(),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "datetime" => text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok(),
        "duration" => is_duration(text),
        "k8sshortname" => names::dns_label(text).is_empty(),
        "k8slongname" => names::dns_subdomain(text).is_empty(),
        _ => true,
    }
}

const HOSTNAME: &str = r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$";
const MAC: &str = "^([0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){7}|[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){2})$";
const RGB: &str = r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$";
const CARD: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$";

/// The expressions are few and fixed: each is compiled once.
fn matches(text: &str, pattern: &'static str) -> bool {
    static COMPILED: OnceLock<compiled::Cache> = OnceLock::new();
    COMPILED.get_or_init(compiled::Cache::default).get(pattern).is_match(text)
}

mod compiled {
    //! Compiled expressions by their text.

    use std::{collections::HashMap, sync::RwLock};

    use super::Regex;

    #[derive(Default)]
    pub struct Cache(RwLock<HashMap<&'static str, Regex>>);

    impl Cache {
        pub fn get(&self, pattern: &'static str) -> Regex {
            let known = self.0.read().expect("no holder panics").get(pattern).cloned();
            known.unwrap_or_else(|| {
                let compiled = Regex::new(pattern).expect("a fixed expression, under test");
                self.0.write().expect("no holder panics").insert(pattern, compiled.clone());
                compiled
            })
        }
    }
}

fn is_uri(text: &str) -> bool {
    if text.starts_with('/') {
        return http::uri::PathAndQuery::try_from(text).is_ok();
    }
    let scheme_ends = text.find(':').unwrap_or(0);
    let scheme = &text[..scheme_ends];
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    named && !text.chars().any(|c| c.is_ascii_control() || c == ' ')
}

fn is_email(text: &str) -> bool {
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(at), Some(_)) => &text[at + 1..text.len() - 1],
        _ => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let odd = |c: char| c.is_ascii_control() || c == ' ' || "()<>[]:;@\\,\"".contains(c);
    !local.is_empty()
        && !local.contains(odd)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !domain.is_empty()
        && !domain.contains(odd)
        && domain.split('.').all(|part| !part.is_empty())
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.len() <= 3 && bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|n| n <= most)
}

fn is_uuid(format: &str, text: &str) -> bool {
    let hex: Vec<u8> = text.bytes().filter(|b| *b != b'-').map(|b| b.to_ascii_lowercase()).collect();
    let dashes_fit = matches(text, "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$");
    let variant = |hex: &[u8]| matches!(hex[16], b'8' | b'9' | b'a' | b'b');
    dashes_fit
        && match format {
            "uuid3" => hex[12] == b'3',
            "uuid4" => hex[12] == b'4' && variant(&hex),
            "uuid5" => hex[12] == b'5' && variant(&hex),
            _ => true,
        }
}

fn digits_of(text: &str) -> Vec<char> {
    text.chars().filter(|c| !matches!(c, '-' | ' ')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = digits_of(text);
    let value = |(at, c): (usize, &char)| match c {
        'X' | 'x' if at == 9 => Some(10 * (at as u32 + 1)),
        c => Some(c.to_digit(10)? * (at as u32 + 1)),
    };
    digits.len() == 10
        && digits.iter().enumerate().map(value).sum::<Option<u32>>().is_some_and(|sum| sum % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits_of(text);
    let value = |(at, c): (usize, &char)| Some(c.to_digit(10)? * if at % 2 == 0 { 1 } else { 3 });
    digits.len() == 13
        && digits.iter().enumerate().map(value).sum::<Option<u32>>().is_some_and(|sum| sum % 10 == 0)
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let doubled = |(at, c): (usize, char)| {
        let digit = c.to_digit(10).unwrap_or_default();
        match at % 2 {
            1 if digit * 2 > 9 => digit * 2 - 9,
            1 => digit * 2,
            _ => digit,
        }
    };
    matches(&digits, CARD) && digits.chars().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// `1h30m`, `22 ns`, `3 days`.
fn is_duration(text: &str) -> bool {
    text == "0" || matches(text, DURATION) || matches(text, SPOKEN)
}

const DURATION: &str =
    r"^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*$";
const SPOKEN: &str = r"^(\d+)\s*(ns|us|µs|ms|s|m|h|d|w|nanos?|nanoseconds?|micros?|microseconds?|millis?|milliseconds?|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|wks?|weeks?)$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_hold() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("ipv4", &["10.0.0.1"], &["10.0.0", "::1", "10.0.0.256"]),
            ("ipv6", &["::1"], &["10.0.0.1", "x"]),
            ("cidr", &["10.0.0.0/8", "fd00::/64"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"]),
            ("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567", "123e4567_e89b_12d3"]),
            ("uuid4", &["123e4567-e89b-42d3-a456-426614174000"], &["123e4567-e89b-12d3-a456-426614174000"]),
            ("uri", &["https://a.b/c?d", "/a/b"], &["a b", "", "://x"]),
            ("email", &["a@b.c", "Me <a@b.c>"], &["a", "@b", "a@", "a b@c"]),
            ("hostname", &["a.example.com", "web"], &["-a", "a b"]),
            ("mac", &["00:00:5e:00:53:01"], &["00:00", "x"]),
            ("byte", &["aGVsbG8="], &["a*"]),
            ("date", &["2026-02-28"], &["2026-02-30", "2026-2-1", "now"]),
            ("datetime", &["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5+01:00"], &["2026-01-01", "x"]),
            ("duration", &["1h30m", "22 ns", "0", "3 days", "-1.5s"], &["1", "h", "1 year"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044", "1"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111 1111 1111 1112", "1"]),
            ("ssn", &["123-45-6789"], &["12-345"]),
            ("hexcolor", &["#fff", "00ff00"], &["#ffff"]),
            ("rgbcolor", &["rgb(1, 2,255)"], &["rgb(1,2,256)"]),
            ("k8sshortname", &["a-b"], &["A", "a.b"]),
            ("k8slongname", &["a.b"], &["-a"]),
            ("password", &["anything"], &[]),
        ];
        for (format, good, bad) in table {
            assert!(is_known(format));
            good.iter().for_each(|text| assert!(holds(format, text), "{format} {text}"));
            bad.iter().for_each(|text| assert!(!holds(format, text), "{format} {text}"));
        }
    }
}
