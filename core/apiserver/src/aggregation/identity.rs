//! What of a request goes on to an extension server: the user's identity as headers, and
//! nothing by which a client could make up another one. Pure.
//!
//! What the client sent is cleaned first, its `Connection` header included, and only then the
//! identity is added: a client that names `X-Remote-User` as a header of its connection would
//! otherwise have ours taken away again.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tiphys_api::auth::UserInfo;

use crate::streaming::{strip_hop_by_hop, tokens};

pub const USER: &str = "X-Remote-User";
pub const UID: &str = "X-Remote-Uid";
pub const GROUP: &str = "X-Remote-Group";
pub const EXTRA_PREFIX: &str = "X-Remote-Extra-";

/// All of them begin so.
const PREFIX: &str = "x-remote-";
const IMPERSONATE: &str = "impersonate-";

/// Credentials, and what is between a client and this server only.
const OWN: &[HeaderName] =
    &[header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::HOST, header::EXPECT];

/// What may stand in a header's name, but for `%`, which escapes the rest.
const LEGAL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'*')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A user whose name, or what else there is, can't be said in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} of the user can't be passed on in a header")]
pub struct Unspeakable(&'static str);

/// The headers for an extension server. `upgrade` keeps what the connection shall become.
pub fn passed_on(
    received: &HeaderMap,
    user: &UserInfo,
    upgrade: Option<&HeaderValue>,
) -> Result<HeaderMap, Unspeakable> {
    let mut headers = received.clone();
    strip_hop_by_hop(&mut headers);
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_forgery(name)).cloned().collect();
    for name in forged.iter().chain(OWN) {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
    identify(&mut headers, user)?;
    Ok(headers)
}

/// What a client asks its connection to become.
pub fn upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let asked = tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    headers.get(header::UPGRADE).filter(|_| asked)
}

/// Servers that keep headers as variables take `_` for `-`.
fn is_forgery(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    name.starts_with(PREFIX) || name.starts_with(IMPERSONATE)
}

/// Adds who the user is.
pub fn identify(headers: &mut HeaderMap, user: &UserInfo) -> Result<(), Unspeakable> {
    let value = |text: &str, what| HeaderValue::from_bytes(text.as_bytes()).map_err(|_| Unspeakable(what));
    let name = |text: &str| HeaderName::from_bytes(text.as_bytes()).map_err(|_| Unspeakable("an extra key"));
    headers.append(name(USER)?, value(&user.name, "the name")?);
    if !user.uid.is_empty() {
        headers.append(name(UID)?, value(&user.uid, "the uid")?);
    }
    for group in &user.groups {
        headers.append(name(GROUP)?, value(group, "a group")?);
    }
    for (key, values) in &user.extra {
        let key = name(&format!("{EXTRA_PREFIX}{}", utf8_percent_encode(key, LEGAL)))?;
        for one in values {
            headers.append(key.clone(), value(one, "an extra value")?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn jane() -> UserInfo {
        UserInfo {
            name: "jané".into(),
            uid: "7".into(),
            groups: vec!["dev".into(), "ops".into()],
            extra: BTreeMap::from([("acme.com/Team%".into(), vec!["a".into(), "b".into()])]),
        }
    }

    fn lines(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_user_is_said_in_headers() {
        let sent = passed_on(&headers(&[("accept", "x/y"), ("user-agent", "u")]), &jane(), None).unwrap();
        assert_eq!(
            lines(&sent),
            [
                "accept: x/y",
                "user-agent: u",
                "x-remote-extra-acme.com%2fteam%25: a",
                "x-remote-extra-acme.com%2fteam%25: b",
                "x-remote-group: dev",
                "x-remote-group: ops",
                "x-remote-uid: 7",
                "x-remote-user: jané",
            ]
        );
        let broken = UserInfo { name: "a\nx-remote-group: system:masters".into(), ..UserInfo::default() };
        assert_eq!(passed_on(&HeaderMap::new(), &broken, None), Err(Unspeakable("the name")));
    }

    #[test]
    fn abuse_05_what_a_client_says_of_itself_stays_here() {
        let received = headers(&[
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x_remote_group", "system:masters"),
            ("x-remote_uid", "0"),
            ("x-remote-extra-scopes", "all"),
            ("impersonate-user", "root"),
            ("authorization", "Bearer secret"),
            ("proxy-authorization", "Basic secret"),
            ("cookie", "session=secret"),
            ("expect", "100-continue"),
            // A trick of old: to have the proxy's own headers taken for its connection's.
            ("connection", "keep-alive, X-Remote-User, x-remote-group"),
        ]);
        let sent = passed_on(&received, &UserInfo::named("jane", &[]), None).unwrap();
        assert_eq!(lines(&sent), ["x-remote-group: system:authenticated", "x-remote-user: jane"]);
    }

    #[test]
    fn an_upgrade_is_asked_for_again() {
        let asking = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let sent = passed_on(&asking, &UserInfo::default(), upgrade(&asking)).unwrap();
        assert_eq!(
            (&sent["connection"], &sent["upgrade"]),
            (&"Upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        let only_named = headers(&[("upgrade", "websocket")]);
        assert_eq!(upgrade(&only_named), None);
    }
}
