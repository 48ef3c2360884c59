//! Bootstrap tokens: `ID.SECRET`, kept as the Secret `bootstrap-token-ID` in
//! kube-system, by which a new machine joins before it has anything better.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::auth::UserInfo;

use super::AUTHENTICATED;
use crate::authz::{Objects, find};

const NAMESPACE: &str = "kube-system";
const TYPE: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// Id and secret, when the token has the form of a bootstrap token.
pub fn split(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let fits = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    (fits(id, 6) && fits(secret, 16)).then_some((id, secret))
}

/// The user of the token, when its Secret is there and good. `now` is seconds since the Unix epoch.
pub async fn user(objects: &dyn Objects, id: &str, secret: &str, now: i64) -> Result<UserInfo, String> {
    let stored = find(objects, "", "secrets", NAMESPACE, &format!("bootstrap-token-{id}"))
        .await
        .ok_or("there is no such bootstrap token")?;
    check(&stored, id, secret, now)
}

fn check(stored: &Value, id: &str, secret: &str, now: i64) -> Result<UserInfo, String> {
    if stored["type"] != TYPE {
        return Err(format!("the bootstrap token's Secret is not of the type {TYPE}"));
    }
    if stored["metadata"]["deletionTimestamp"].is_string() {
        return Err("the bootstrap token is being deleted".into());
    }
    let data = |key: &str| decoded(&stored["data"][key]);
    // Hashes are compared, so that the time tells nothing of the secret.
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    if digest(&data("token-secret")) != digest(secret) || data("token-id") != id {
        return Err("the bootstrap token's secret is another one".into());
    }
    if expiration(&data("expiration"), now)? {
        return Err("the bootstrap token has expired".into());
    }
    if data("usage-bootstrap-authentication") != "true" {
        return Err("the bootstrap token is not for authentication".into());
    }
    let mut groups = vec![GROUP.to_owned()];
    for group in data("auth-extra-groups").split(',').filter(|group| !group.is_empty()) {
        if !is_group(group) {
            return Err(format!("the bootstrap token's group {group:?} does not begin with {GROUP}:"));
        }
        groups.push(group.to_owned());
    }
    groups.push(AUTHENTICATED.into());
    Ok(UserInfo { name: format!("system:bootstrap:{id}"), groups, ..UserInfo::default() })
}

/// Whether the time has passed; an empty one never does.
fn expiration(text: &str, now: i64) -> Result<bool, String> {
    if text.is_empty() {
        return Ok(false);
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| "the bootstrap token's expiration is no time")?;
    Ok(time.as_second() <= now)
}

fn is_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else { return false };
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b':' || byte == b'-';
    !rest.is_empty()
        && rest.len() <= 256
        && rest.bytes().all(good)
        && rest.ends_with(|last: char| last.is_ascii_alphanumeric())
}

fn decoded(value: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stored(changes: &[(&str, &str)]) -> Value {
        let mut data = vec![
            ("token-id", "abcdef"),
            ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-authentication", "true"),
            ("auth-extra-groups", "system:bootstrappers:worker"),
            ("expiration", "2030-01-01T00:00:00Z"),
        ];
        data.retain(|(key, _)| !changes.iter().any(|(changed, _)| changed == key));
        data.extend(changes);
        let data: serde_json::Map<_, _> =
            data.iter().map(|(key, text)| ((*key).to_owned(), BASE64_STANDARD.encode(text).into())).collect();
        json!({"type": TYPE, "metadata": {}, "data": data})
    }

    fn refused(stored: &Value, why: &str) {
        let error = check(stored, "abcdef", "0123456789abcdef", 1_800_000_000).unwrap_err();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn a_good_token_is_a_bootstrapper() {
        let user = check(&stored(&[]), "abcdef", "0123456789abcdef", 1_800_000_000).unwrap();
        assert_eq!(user.name, "system:bootstrap:abcdef");
        assert_eq!(user.groups, [GROUP, "system:bootstrappers:worker", AUTHENTICATED]);
        assert_eq!(split("abcdef.0123456789abcdef"), Some(("abcdef", "0123456789abcdef")));
        for other in ["abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123", "a.b.c"] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn abuse_02_an_expired_or_wrong_bootstrap_token_is_refused() {
        refused(&stored(&[("expiration", "2020-01-01T00:00:00Z")]), "expired");
        refused(&stored(&[("expiration", "soon")]), "no time");
        refused(&stored(&[("token-secret", "0123456789abcdee")]), "another one");
        refused(&stored(&[("token-id", "abcdee")]), "another one");
        refused(&stored(&[("usage-bootstrap-authentication", "false")]), "not for authentication");
        refused(&stored(&[("auth-extra-groups", "system:masters")]), "does not begin");
        let mut other = stored(&[]);
        other["type"] = "Opaque".into();
        refused(&other, "not of the type");
        let mut leaving = stored(&[]);
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        refused(&leaving, "being deleted");
    }
}
