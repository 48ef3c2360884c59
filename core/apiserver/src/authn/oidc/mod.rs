//! Users of OpenID Connect issuers: their ID tokens as bearer tokens.
//!
//! ```text
//! --oidc-* or AuthenticationConfiguration (config.rs) ──> Issuer
//! token ──> iss? ──> keys (keys.rs: discovery, JWKS, kept; fetch.rs: HTTPS with the issuer's CA)
//!                      │ signature, times, audience
//!                      └──> mapping.rs: claims ──> user, or which rule they break
//! ```
//!
//! Keys are fetched when a token first needs them, again for a key that is not
//! known, and when they are old. A fetch follows no redirect.

mod config;
mod fetch;
mod keys;
mod mapping;
#[cfg(test)]
mod tests;

pub use config::{AuthenticationConfiguration, ConfigError, Flags};

use tiphys_api::auth::UserInfo;

use config::Jwt;
use keys::Keys;

/// All issuers that are trusted.
#[derive(Default)]
pub struct Issuers(Vec<Issuer>);

struct Issuer {
    jwt: Jwt,
    keys: Keys,
}

impl Issuers {
    /// # Errors
    /// An authority that is no certificate.
    pub fn new(config: &AuthenticationConfiguration) -> Result<Self, ConfigError> {
        let issuer = |jwt: &Jwt| {
            let tls = fetch::tls(jwt.issuer.certificate_authority.as_deref())?;
            let keys = Keys::new(jwt.issuer.discovery_url(), jwt.issuer.url.clone(), tls);
            Ok(Issuer { jwt: jwt.clone(), keys })
        };
        Ok(Self(config.jwt.iter().map(issuer).collect::<Result<_, ConfigError>>()?))
    }

    /// Whether an issuer of this URL is trusted.
    pub fn knows(&self, issuer: &str) -> bool {
        self.0.iter().any(|known| known.jwt.issuer.url == issuer)
    }

    /// The user of a token that names `issuer`.
    ///
    /// # Errors
    /// What is wrong with the token, for the log.
    pub async fn user(&self, issuer: &str, token: &str) -> Result<UserInfo, String> {
        let known = self.0.iter().find(|known| known.jwt.issuer.url == issuer);
        let known = known.ok_or_else(|| format!("issuer {issuer:?} is not trusted"))?;
        let claims = known.keys.verify(token, &known.jwt).await?;
        mapping::user(&known.jwt, &claims)
    }
}
