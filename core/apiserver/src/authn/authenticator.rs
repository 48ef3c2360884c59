//! The order of the ways to authenticate, and what each gives.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::auth::UserInfo;

use super::{
    ANONYMOUS, AUTHENTICATED, ISSUER, PeerCertificate, TokenKeys, UNAUTHENTICATED, bearer, certificate,
    discovery, review, service_account, token_request,
};
use crate::authz::{Objects, Refusal};

/// What the API server authenticates with.
pub struct Config {
    pub keys: TokenKeys,
    /// Tokens that are not signed: of the bootstrap, of the dashboard. `system:authenticated` is added.
    pub static_tokens: Vec<(String, UserInfo)>,
    /// Whether a request without credentials is `system:anonymous`, or refused.
    pub anonymous: bool,
}

/// Answers who a request comes from.
pub struct Authenticator {
    keys: TokenKeys,
    /// By the SHA-256 of the token: finding one takes the same time whatever is sent.
    static_tokens: HashMap<[u8; 32], UserInfo>,
    anonymous: bool,
    objects: Arc<dyn Objects>,
}

impl Authenticator {
    pub fn new(config: Config, objects: Arc<dyn Objects>) -> Self {
        let static_tokens = config
            .static_tokens
            .into_iter()
            .map(|(token, user)| (digest(&token), with_authenticated(user)))
            .collect();
        Self { keys: config.keys, static_tokens, anonymous: config.anonymous, objects }
    }

    /// Who asks. Credentials are taken out of the headers. 401 for credentials
    /// that are wrong, and for none where anonymous requests are not allowed.
    pub async fn authenticate(
        &self,
        peer: Option<&PeerCertificate>,
        headers: &mut HeaderMap,
    ) -> Result<UserInfo, Refusal> {
        let token = bearer::take(headers);
        if let Some(peer) = peer {
            return certificate::user(peer).map_err(|why| refuse(&why));
        }
        match token.map_err(|why| refuse(&why))? {
            Some(token) => self
                .token_user(&token, &[ISSUER.into()])
                .await
                .map(|(user, _)| user)
                .map_err(|why| refuse(&why)),
            None if self.anonymous => Ok(UserInfo {
                name: ANONYMOUS.into(),
                groups: vec![UNAUTHENTICATED.into()],
                ..UserInfo::default()
            }),
            None => Err(refuse("no credentials")),
        }
    }

    /// The token of a service account: POST on `serviceaccounts/NAME/token`.
    pub async fn token_request(&self, namespace: &str, name: &str, body: Value) -> Result<Value, Refusal> {
        token_request::answer(&self.keys, &*self.objects, namespace, name, body, now()).await
    }

    /// A TokenReview with its status filled in.
    pub async fn token_review(&self, body: Value) -> Value {
        let audiences = review::audiences(&body);
        let token = body["spec"]["token"].as_str().unwrap_or_default().to_owned();
        let result = self.token_user(&token, &audiences).await;
        review::token_review(body, result)
    }

    /// `/.well-known/openid-configuration`.
    pub fn openid_configuration(&self) -> Value {
        discovery::openid_configuration()
    }

    /// `/openid/v1/jwks`: the keys that verify service account tokens.
    pub fn jwks(&self) -> Value {
        self.keys.jwks()
    }

    /// The user of a token, and those of `audiences` that it is meant for.
    async fn token_user(&self, token: &str, audiences: &[String]) -> Result<(UserInfo, Vec<String>), String> {
        if let Some(user) = self.static_tokens.get(&digest(token)) {
            let meant_for_us = audiences.iter().any(|audience| audience == ISSUER);
            return match meant_for_us {
                true => Ok((user.clone(), vec![ISSUER.into()])),
                false => Err("the token is for the API server only".into()),
            };
        }
        let (claims, common) = self.keys.verify(token, audiences)?;
        let user = service_account::user(&*self.objects, &claims, now()).await?;
        Ok((user, common))
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn with_authenticated(mut user: UserInfo) -> UserInfo {
    if !user.groups.iter().any(|group| group == AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.into());
    }
    user
}

/// The reason is for the log: a stranger learns nothing from the answer.
fn refuse(why: &str) -> Refusal {
    tracing::debug!(why, "request is not authenticated");
    Refusal::unauthorized()
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
