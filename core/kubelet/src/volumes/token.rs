//! Service account tokens of Pods: asked for, kept in the volume, renewed in time.
//!
//! A token is bound to its Pod and expires. It is renewed when four fifths of its
//! life are over, or after a day; the file's own age and the token's own dates tell
//! when, so a restart of the kubelet asks for none anew.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection},
};
use kube::{Api, api::PostParams};
use serde::Deserialize;

use super::{content::ContentContext, files::File};
use crate::pod::{security, spec};

const DEFAULT_LIFE: i64 = 3600;
const RENEW_AFTER_AT_MOST: i64 = 24 * 3600;

pub(super) struct Token {
    pub text: String,
    pub renew_at: Instant,
}

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    #[serde(default)]
    aud: Audience,
}

/// One name or several.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

/// The token that lies there if it is young enough, else a new one.
pub(super) async fn current(
    context: &ContentContext<'_>,
    wanted: &ServiceAccountTokenProjection,
    at: &Path,
) -> Result<Token, String> {
    let audience = wanted.audience.as_deref().unwrap_or_default();
    if let Ok(text) = std::fs::read_to_string(at)
        && let Some(claims) = claims(&text)
        && claims.is_for(audience)
        && let Some(renew_at) = renew_at(&claims, jiff::Timestamp::now().as_second())
    {
        return Ok(Token { text, renew_at });
    }
    let pod = context.pod;
    let account = spec::of(pod).service_account_name.as_deref().unwrap_or("default");
    let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), spec::namespace(pod));
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: (!audience.is_empty()).then(|| vec![audience.to_owned()]),
            expiration_seconds: Some(wanted.expiration_seconds.unwrap_or(DEFAULT_LIFE)),
            bound_object_ref: Some(BoundObjectReference {
                kind: Some("Pod".into()),
                api_version: Some("v1".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let answer = api.create_token_request(account, &PostParams::default(), &request).await;
    let answer =
        answer.map_err(|error| format!("cannot get a token of service account {account:?}: {error}"))?;
    let text = answer.status.and_then(|status| status.token).unwrap_or_default();
    let now = jiff::Timestamp::now().as_second();
    let renew_at = claims(&text).and_then(|claims| renew_at(&claims, now));
    // A token whose dates cannot be read, or that is old at once, is asked for again in a while.
    Ok(Token { text, renew_at: renew_at.unwrap_or_else(|| Instant::now() + Duration::from_secs(60)) })
}

impl Claims {
    fn is_for(&self, audience: &str) -> bool {
        audience.is_empty()
            || match &self.aud {
                Audience::One(one) => one == audience,
                Audience::Many(many) => many.iter().any(|one| one == audience),
                Audience::None => false,
            }
    }
}

/// Dates and audience; the signature is the API server's business.
fn claims(token: &str) -> Option<Claims> {
    let payload = token.trim().split('.').nth(1)?;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// `None` when it is time.
fn renew_at(claims: &Claims, now: i64) -> Option<Instant> {
    let life = claims.exp - claims.iat;
    let left = claims.iat + (life * 4 / 5).min(RENEW_AFTER_AT_MOST) - now;
    (left > 0).then(|| Instant::now() + Duration::from_secs(left.unsigned_abs()))
}

/// Readable for its group or its only user, not for the world, if that is known.
pub(super) fn file(pod: &Pod, token: String, mode: i32) -> File {
    let context = security::pod_context(pod);
    let users: Vec<Option<i64>> = spec::all_containers(pod)
        .map(|container| {
            container.security_context.as_ref().and_then(|own| own.run_as_user).or(context.run_as_user)
        })
        .collect();
    let only_user =
        users.first().copied().flatten().filter(|user| users.iter().all(|other| *other == Some(*user)));
    let (mode, owner) = match (context.fs_group, only_user) {
        (Some(_), _) => (0o600, None),
        (None, Some(user)) => (0o600, u32::try_from(user).ok()),
        (None, None) => (u32::try_from(mode).unwrap_or(0o644), None),
    };
    File { bytes: token.into_bytes(), mode, owner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_in_time() {
        let claims = |iat, exp| Claims { iat, exp, aud: Audience::None };
        for (iat, exp, now, left) in
            [(0, 1000, 0, true), (0, 1000, 799, true), (0, 1000, 800, false), (0, 1_000_000, 86_400, false)]
        {
            assert_eq!(renew_at(&claims(iat, exp), now).is_some(), left, "{iat}..{exp} at {now}");
        }
    }

    #[test]
    fn dates_are_read_from_the_token() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iat":1,"exp":2,"aud":["x"]}"#);
        let claims = claims(&format!("head.{payload}.signature")).expect("claims");
        assert_eq!((claims.iat, claims.exp), (1, 2));
        assert!(claims.is_for("x") && claims.is_for("") && !claims.is_for("y"));
    }
}
