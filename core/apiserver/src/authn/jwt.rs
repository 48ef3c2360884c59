//! Signed tokens: the claims of a service account, made and verified.
//!
//! ES256 with the cluster's service account key. Here only what the token itself
//! says is checked; whether its service account still exists is
//! [`service_account`](super::service_account)'s part.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rcgen::{KeyPair, PublicKeyData};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ISSUER, legacy};

/// The key that signs service account tokens, and its public half.
pub struct TokenKeys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// Uncompressed point: 0x04, x, y.
    point: Vec<u8>,
    id: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    #[error("service account key is not a private key in PEM form")]
    Pem(#[from] rcgen::Error),
    #[error("service account key cannot sign ES256 tokens")]
    Algorithm(#[from] jsonwebtoken::errors::Error),
    #[error("service account key is not on the curve P-256")]
    Curve,
}

/// The claims of a service account token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    #[serde(deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// Seconds since the Unix epoch, as `iat` and `nbf`.
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub iss: String,
    pub jti: String,
    pub sub: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
}

/// What a token is bound to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Bound {
    pub namespace: String,
    pub serviceaccount: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// Of a Pod's token: where the Pod runs. Else: the Node the token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub name: String,
    #[serde(default)]
    pub uid: String,
}

impl TokenKeys {
    /// From the PEM of [`ClusterPki::service_account_key`](crate::pki::ClusterPki::service_account_key).
    pub fn from_pem(pem: &str) -> Result<Self, TokenKeyError> {
        let pair = KeyPair::from_pem(pem)?;
        let point = pair.der_bytes().to_vec();
        if point.len() != 65 || point[0] != 4 {
            return Err(TokenKeyError::Curve);
        }
        Ok(Self {
            encoding: EncodingKey::from_ec_pem(pem.as_bytes())?,
            decoding: DecodingKey::from_ec_der(&point),
            id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info())),
            point,
        })
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenKeyError> {
        let header = Header { typ: None, kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding)?)
    }

    /// The claims of a token whose signature, issuer and times are right, and that is
    /// meant for one of `audiences`. With them: for which of those it is meant.
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<(Claims, Vec<String>), String> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        // Audiences are compared below: what is common to both sides is needed, not only whether there is any.
        validation.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| error.to_string())?
            .claims;
        let common: Vec<String> =
            audiences.iter().filter(|audience| claims.aud.contains(audience)).cloned().collect();
        if common.is_empty() {
            return Err(format!(
                "token audiences {:?} is invalid for the target audiences {audiences:?}",
                claims.aud
            ));
        }
        Ok((claims, common))
    }

    /// The claims of a token out of a Secret, if its signature is right. It has no times.
    pub fn verify_legacy(&self, token: &str) -> Result<legacy::Claims, String> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[legacy::ISSUER]);
        validation.set_required_spec_claims(&["iss", "sub"]);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let verified = jsonwebtoken::decode::<legacy::Claims>(token, &self.decoding, &validation);
        verified.map(|token| token.claims).map_err(|error| error.to_string())
    }

    /// The public key as a JSON web key set.
    pub fn jwks(&self) -> Value {
        let (x, y) = self.point[1..].split_at(32);
        json!({ "keys": [{
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": BASE64_URL_SAFE_NO_PAD.encode(x),
            "y": BASE64_URL_SAFE_NO_PAD.encode(y),
        }]})
    }
}

/// Who a token says has issued it; nothing of it is verified yet.
pub fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Issued>(&payload).ok().map(|issued| issued.iss)
}

/// `aud` may be a string or a list of strings (RFC 7519, 4.1.3).
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audience::deserialize(deserializer)? {
        Audience::One(audience) => vec![audience],
        Audience::Many(audiences) => audiences,
    })
}
