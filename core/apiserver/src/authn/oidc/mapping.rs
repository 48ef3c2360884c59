//! Claims of a verified token as a user. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tiphys_api::auth::UserInfo;

use super::config::{Jwt, Mapping};
use crate::authn::AUTHENTICATED;

pub type Claims = Map<String, Value>;

/// The user, or which rule the claims break.
pub fn user(jwt: &Jwt, claims: &Claims) -> Result<UserInfo, String> {
    for rule in &jwt.claim_validation_rules {
        let Some(value) = claims.get(&rule.claim) else {
            return Err(format!("required claim {} not present in ID token", rule.claim));
        };
        if value.as_str() != Some(&rule.required_value) {
            return Err(format!("required claim {} value does not match", rule.claim));
        }
    }
    let mappings = &jwt.claim_mappings;
    let claim = &mappings.username.claim;
    if claim == "email" && claims.get("email_verified").is_some_and(|verified| *verified != true) {
        return Err("email not verified".into());
    }
    let name = text(claims, claim)?;
    if name.is_empty() {
        return Err(format!("claim {claim:?} is empty"));
    }
    let mut groups = groups(&mappings.groups, claims)?;
    groups.push(AUTHENTICATED.into());
    let uid = match mappings.uid.claim.as_str() {
        "" => String::new(),
        claim => text(claims, claim)?.to_owned(),
    };
    let id = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty());
    let extra = id.map(|id| ("authentication.kubernetes.io/credential-id".into(), vec![format!("JTI={id}")]));
    Ok(UserInfo { name: prefixed(&mappings.username, name), uid, groups, extra: BTreeMap::from_iter(extra) })
}

fn text<'a>(claims: &'a Claims, claim: &str) -> Result<&'a str, String> {
    let value = claims.get(claim).ok_or_else(|| format!("claim {claim:?} is not present"))?;
    value.as_str().ok_or_else(|| format!("claim {claim:?} is no text"))
}

/// One text or a list of texts; a missing claim is no group.
fn groups(mapping: &Mapping, claims: &Claims) -> Result<Vec<String>, String> {
    let wrong = || format!("claim {:?} is neither text nor a list of texts", mapping.claim);
    let names: Vec<&str> = match claims.get(&mapping.claim) {
        _ if mapping.claim.is_empty() => Vec::new(),
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => {
            many.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(wrong)?
        }
        Some(_) => return Err(wrong()),
    };
    Ok(names.into_iter().map(|name| prefixed(mapping, name)).collect())
}

fn prefixed(mapping: &Mapping, name: &str) -> String {
    format!("{}{name}", mapping.prefix.as_deref().unwrap_or_default())
}
