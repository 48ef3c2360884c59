//! The order of the ways to authenticate, and what each gives.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tiphys_api::auth::{AsPassword, UserInfo};

use super::{
    ANONYMOUS, AUTHENTICATED, ISSUER, PeerCertificate, TokenKeys, UNAUTHENTICATED, bearer, bootstrap_token,
    discovery, jwt, legacy, oidc::Issuers, review, service_account, token_request,
};
use crate::authz::{Objects, Refusal};

/// What the API server authenticates with.
pub struct Config {
    pub keys: TokenKeys,
    /// Tokens that are not signed: of the bootstrap, of the dashboard. `system:authenticated` is added.
    pub static_tokens: Vec<(String, UserInfo)>,
    pub anonymous: Anonymous,
    /// Issuers of ID tokens that are trusted.
    pub oidc: Issuers,
}

/// Whether a request without credentials is `system:anonymous`, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anonymous {
    Never,
    Always,
    /// For these paths only.
    For(Vec<String>),
}

/// Who asks, and what the audit log should say of how that was found out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authenticated {
    pub user: UserInfo,
    pub notes: Vec<(&'static str, String)>,
    /// The token, where it came as a password.
    pub password: Option<AsPassword>,
}

/// Answers who a request comes from.
pub struct Authenticator {
    keys: TokenKeys,
    /// By the SHA-256 of the token: finding one takes the same time whatever is sent.
    static_tokens: HashMap<[u8; 32], UserInfo>,
    anonymous: Anonymous,
    oidc: Issuers,
    objects: Arc<dyn Objects>,
}

/// What a token has shown to be.
struct Token {
    user: UserInfo,
    /// Those of the audiences asked about that it is meant for.
    audiences: Vec<String>,
    notes: Vec<(&'static str, String)>,
}

impl Authenticator {
    pub fn new(config: Config, objects: Arc<dyn Objects>) -> Self {
        let static_tokens = config
            .static_tokens
            .into_iter()
            .map(|(token, user)| (digest(&token), with_authenticated(user)))
            .collect();
        Self { keys: config.keys, static_tokens, anonymous: config.anonymous, oidc: config.oidc, objects }
    }

    /// Who asks for a path. Credentials are taken out of the headers. 401 for
    /// credentials that are wrong, and for none where anonymous requests are not allowed.
    pub async fn authenticate(
        &self,
        peer: Option<&PeerCertificate>,
        path: &str,
        headers: &mut HeaderMap,
    ) -> Result<Authenticated, Refusal> {
        let shown = bearer::take(path, headers);
        if let Some(peer) = peer {
            let user = peer.user().map_err(refuse)?.clone();
            let password = shown.ok().flatten().and_then(bearer::Shown::password);
            return Ok(Authenticated { user, password, ..Authenticated::default() });
        }
        match shown.map_err(|why| refuse(&why))? {
            Some(shown) => {
                let token = self.token(&shown.token, &[ISSUER.into()]).await.map_err(|why| refuse(&why))?;
                Ok(Authenticated { user: token.user, notes: token.notes, password: shown.password() })
            }
            None if self.anonymous.lets_in(path) => Ok(Authenticated {
                user: UserInfo {
                    name: ANONYMOUS.into(),
                    groups: vec![UNAUTHENTICATED.into()],
                    ..UserInfo::default()
                },
                ..Authenticated::default()
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
        let result = self.token(&token, &audiences).await.map(|token| (token.user, token.audiences));
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

    /// Finds out which kind of token it is, and whether it is good.
    async fn token(&self, token: &str, audiences: &[String]) -> Result<Token, String> {
        if let Some(user) = self.static_tokens.get(&digest(token)) {
            return for_the_server(user.clone(), audiences);
        }
        if let Some((id, secret)) = bootstrap_token::split(token) {
            let user = bootstrap_token::user(&*self.objects, id, secret, now()).await?;
            return for_the_server(user, audiences);
        }
        match jwt::issuer(token).as_deref() {
            Some(ISSUER) => self.service_account(token, audiences).await,
            Some(legacy::ISSUER) => {
                let claims = self.keys.verify_legacy(token)?;
                let user = legacy::user(&*self.objects, &claims, token, now()).await?;
                for_the_server(user, audiences)
            }
            Some(issuer) if self.oidc.knows(issuer) => {
                for_the_server(self.oidc.user(issuer, token).await?, audiences)
            }
            Some(issuer) => Err(format!("the issuer {issuer:?} is not known")),
            None => Err("the token is of no known form".into()),
        }
    }

    async fn service_account(&self, token: &str, audiences: &[String]) -> Result<Token, String> {
        let (claims, audiences) = self.keys.verify(token, audiences)?;
        let user = service_account::user(&*self.objects, &claims, now()).await?;
        let late = claims.kubernetes.warnafter.map(|warn| now() - warn).filter(|late| *late > 0);
        let notes = late.map(|late| {
            let text = format!("subject: {}, seconds after warning threshold: {late}", claims.sub);
            ("authentication.k8s.io/stale-token", text)
        });
        Ok(Token { user, audiences, notes: notes.into_iter().collect() })
    }
}

impl Anonymous {
    fn lets_in(&self, path: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::For(paths) => paths.iter().any(|allowed| allowed == path),
        }
    }
}

/// A token that names no audience is for the API server and nobody else.
fn for_the_server(user: UserInfo, audiences: &[String]) -> Result<Token, String> {
    match audiences.iter().any(|audience| audience == ISSUER) {
        true => Ok(Token { user, audiences: vec![ISSUER.into()], notes: Vec::new() }),
        false => Err("the token is for the API server only".into()),
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
