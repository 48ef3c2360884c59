//! The forms that names may have. Each function gives what is wrong, in the words
//! users find when they search for them; empty when nothing is.

const LABEL_LIMIT: usize = 63;
const SUBDOMAIN_LIMIT: usize = 253;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const UNDERSCORES: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
    consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
    '*.example.com', regex used for validation is \
    '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex \
    used for validation is '[-A-Za-z0-9]+')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
    'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.iter().copied().all(inner) && edge(bytes.first()) && edge(bytes.last())
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

fn verdict(text: &str, limit: usize, ok: bool, rule: &str) -> Vec<String> {
    let long = (text.len() > limit).then(|| too_long(limit));
    let wrong = (!ok).then(|| rule.to_owned());
    long.into_iter().chain(wrong).collect()
}

/// Most names: labels with dots between them, 253 bytes.
pub fn dns_subdomain(text: &str) -> Vec<String> {
    verdict(text, SUBDOMAIN_LIMIT, text.split('.').all(is_label), SUBDOMAIN)
}

/// As [`dns_subdomain`], where resolvers also take underscores.
pub fn dns_subdomain_with_underscores(text: &str) -> Vec<String> {
    let ok = text.split('.').all(|label| is_label(&label.replace('_', "a")));
    verdict(text, SUBDOMAIN_LIMIT, ok, UNDERSCORES)
}

/// `*.example.com`
pub fn wildcard_subdomain(text: &str) -> Vec<String> {
    let ok = text.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_label));
    verdict(text, SUBDOMAIN_LIMIT, ok, WILDCARD)
}

/// The name of an HTTP header.
pub fn http_header(text: &str) -> Vec<String> {
    let ok = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    verdict(text, usize::MAX, ok, HEADER)
}

/// Namespaces, containers, volumes: 63 bytes.
pub fn dns_label(text: &str) -> Vec<String> {
    verdict(text, LABEL_LIMIT, is_label(text), LABEL)
}

/// Services: a label that begins with a letter.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let ok = is_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase());
    verdict(text, LABEL_LIMIT, ok, LABEL_1035)
}

/// RBAC objects: anything that can be one segment of a path.
pub fn path_segment(text: &str) -> Vec<String> {
    let reserved = ["", ".", ".."].contains(&text).then(|| format!("may not be '{text}'"));
    let contained =
        ['/', '%'].into_iter().filter(|c| text.contains(*c)).map(|c| format!("may not contain '{c}'"));
    reserved.into_iter().chain(contained).collect()
}

/// A port's name: letters of which one at least, digits and dashes, 15 bytes.
pub fn port_name(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.is_empty() || text.len() > 15 {
        wrong.push("must be no more than 15 characters".to_owned());
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        wrong.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        wrong.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        wrong.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        wrong.push("must not begin or end with a hyphen".into());
    }
    wrong
}

/// A key of labels, annotations, finalizers, resources: `name` or `prefix/name`.
pub fn qualified(text: &str) -> Vec<String> {
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((_, rest)) if rest.contains('/') => {
            return vec![format!(
                "a valid name must have the form 'name' or 'prefix/name' with an optional DNS subdomain prefix (e.g. 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    let mut wrong = Vec::new();
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => wrong.extend(dns_subdomain(prefix).into_iter().map(|w| format!("prefix part {w}"))),
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > LABEL_LIMIT {
        wrong.push(format!("name part {}", too_long(LABEL_LIMIT)));
    }
    if !is_qualified(name) {
        wrong.push(NAME_PART.into());
    }
    wrong
}

pub fn label_value(text: &str) -> Vec<String> {
    verdict(text, LABEL_LIMIT, text.is_empty() || is_qualified(text), LABEL_VALUE)
}

/// A key of a ConfigMap or Secret: also a file's name.
pub fn config_key(text: &str) -> Vec<String> {
    let ok = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let mut wrong = verdict(text, SUBDOMAIN_LIMIT, ok, CONFIG_KEY);
    match text {
        "." | ".." => wrong.push(format!("must not be '{text}'")),
        _ if text.starts_with("..") => wrong.push("must not start with '..'".into()),
        _ => {}
    }
    wrong
}

/// The name of an environment variable: printable ASCII without `=`.
pub fn env_name(text: &str) -> Vec<String> {
    let ok = !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=');
    let rule =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    verdict(text, usize::MAX, ok, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_name() {
        type Rule = fn(&str) -> Vec<String>;
        let long = "a".repeat(64);
        let table: [(Rule, &[&str], &[&str]); 8] = [
            (
                dns_subdomain,
                &["a", "a.b-c.1", long.as_str()],
                &["", "A", "a..b", "-a", "a-", "a_b", "a/b", "ä"],
            ),
            (dns_label, &["a-1", "1"], &["a.b", "", long.as_str(), "-"]),
            (dns_1035_label, &["a-1"], &["1a", "a."]),
            (path_segment, &["system:node", "a b"], &["..", "a/b", "%2e"]),
            (port_name, &["http", "8a"], &["80", "a--b", "toolongforaportname", "-a", "Http"]),
            (qualified, &["app", "app.kubernetes.io/Name_1"], &["", "a/b/c", "/a", "a/", "a b"]),
            (label_value, &["", "A_b.c-1"], &["-a", "a b", long.as_str()]),
            (config_key, &["a.B_c-d"], &["", "..", "..a", "a/b"]),
        ];
        for (rule, good, bad) in table {
            good.iter().for_each(|name| assert!(rule(name).is_empty(), "{name}: {:?}", rule(name)));
            bad.iter().for_each(|name| assert!(!rule(name).is_empty(), "{name}"));
        }
    }
}
