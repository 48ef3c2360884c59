//! Whose connection it is: the doors that aren't HTTP ask who a token or certificate is of.

use async_trait::async_trait;
use rustls_pki_types::CertificateDer;
use tiphys_api::auth::UserInfo;

/// Answers as the API server does for its own requests.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The user of a bearer token.
    ///
    /// # Errors
    /// Why the token isn't good.
    async fn token(&self, token: &str) -> Result<UserInfo, String>;

    /// The user of a certificate that the handshake has verified.
    ///
    /// # Errors
    /// Why it names no user.
    async fn certificate(&self, certificate: &CertificateDer<'_>) -> Result<UserInfo, String>;
}
