//! The keys of an issuer: fetched when they are needed, kept, and fetched again
//! for a key that is not among them or when they are old.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::{
    DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use parking_lot::Mutex;
use serde::Deserialize;

use super::{config::Jwt, fetch, mapping::Claims};

/// A key that the issuer has withdrawn is not believed for longer, unless the
/// issuer can't be reached: then what is held does.
const OLD: Duration = Duration::from_secs(600);
/// Tokens with made-up keys must not make us ask the issuer at their pace.
const PAUSE: Duration = Duration::from_secs(2);
/// How far ahead an issuer's clock may be.
const AHEAD: i64 = 300;

pub struct Keys {
    discovery_url: String,
    issuer: String,
    tls: Arc<rustls::ClientConfig>,
    /// Between two fetches.
    pub pause: Duration,
    held: Mutex<Held>,
    /// One fetch at a time; who waited for it looks again.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Arc<Vec<Jwk>>,
    fetched: Option<Instant>,
    /// When the last fetch ended, and how, if not well.
    tried: Option<Instant>,
    failure: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub fn new(discovery_url: String, issuer: String, tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            discovery_url,
            issuer,
            tls,
            pause: PAUSE,
            held: Mutex::default(),
            fetching: Default::default(),
        }
    }

    /// The claims of a token that one of the keys signed, with the right times and audience.
    pub async fn verify(&self, token: &str, jwt: &Jwt) -> Result<Claims, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
        if !jwt.algorithms.contains(&header.alg) {
            return Err(format!("the algorithm {:?} is not allowed", header.alg));
        }
        let mut held = self.current().await?;
        let signed_by = |keys: &[Jwk]| -> Vec<Jwk> {
            let fits = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
            keys.iter().filter(fits).cloned().collect()
        };
        if signed_by(&held.keys).is_empty() {
            held = self.fetch(held.fetched).await?;
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&jwt.issuer.url]);
        validation.set_audience(&jwt.issuer.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.leeway = 0;
        let mut why = "no key of the issuer has signed the token".to_owned();
        for key in signed_by(&held.keys) {
            let Ok(key) = DecodingKey::from_jwk(&key) else { continue };
            match jsonwebtoken::decode::<Claims>(token, &key, &validation) {
                Ok(token) => return begun(token.claims),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    /// The keys as they are, unless there are none or they are old.
    async fn current(&self) -> Result<Held, String> {
        let held = self.held.lock().clone();
        match held.fetched {
            Some(fetched) if fetched.elapsed() < OLD => Ok(held),
            fetched => self.fetch(fetched).await,
        }
    }

    /// Newer keys than those of `seen`, unless the issuer has just been asked; then, and
    /// while it can't be reached, those that are held do.
    async fn fetch(&self, seen: Option<Instant>) -> Result<Held, String> {
        let tried = self.held.lock().tried;
        let _one = self.fetching.lock().await;
        let held = self.held.lock().clone();
        let just_tried = held.tried.is_some_and(|tried| tried.elapsed() < self.pause);
        if held.fetched == seen && held.tried == tried && !just_tried {
            let downloaded = self.download().await;
            let mut held = self.held.lock();
            held.tried = Some(Instant::now());
            match downloaded {
                Ok(keys) => {
                    held.keys = Arc::new(keys);
                    held.fetched = held.tried;
                    held.failure = None;
                }
                Err(error) => {
                    tracing::warn!(issuer = %self.issuer, %error, "keys of an OIDC issuer can't be fetched");
                    held.failure = Some(error);
                }
            }
        }
        let held = self.held.lock().clone();
        match held.failure {
            Some(error) if held.fetched.is_none() => Err(error),
            _ => Ok(held),
        }
    }

    async fn download(&self) -> Result<Vec<Jwk>, String> {
        let found = fetch::get(&self.discovery_url, &self.tls).await?;
        let discovery: Discovery =
            serde_json::from_slice(&found).map_err(|error| format!("discovery document: {error}"))?;
        if discovery.issuer != self.issuer {
            return Err(format!("the discovery document is of the issuer {:?}", discovery.issuer));
        }
        let found = fetch::get(&discovery.jwks_uri, &self.tls).await?;
        // A key of a kind that is not known here must not hide the others.
        #[derive(Deserialize)]
        struct Loose {
            keys: Vec<serde_json::Value>,
        }
        let loose: Loose = serde_json::from_slice(&found).map_err(|error| format!("key set: {error}"))?;
        let known = loose.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(JwkSet { keys: known.collect() }.keys)
    }
}

fn begun(claims: Claims) -> Result<Claims, String> {
    let starts = claims.get("nbf").and_then(serde_json::Value::as_f64).unwrap_or_default();
    let latest = jiff::Timestamp::now().as_second() + AHEAD;
    if starts > latest as f64 { Err("the token is not valid yet".into()) } else { Ok(claims) }
}
