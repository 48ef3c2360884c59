//! Who asks: client certificates, bearer tokens, impersonation.
//!
//! ```text
//! TLS peer certificate ──> CN is the user, O the groups
//! Authorization: Bearer ─> static token | bootstrap token (a Secret of kube-system)
//!                          | service account JWT (signature, times, audience, the account and
//!                            what it is bound to still there with the same uid)
//!                          | JWT of a Secret (that still holds it) | ID token of an OIDC issuer
//! Authorization: Basic ──> for Arrow Flight only: the password is the token
//! neither ───────────────> system:anonymous, whom RBAC lets reach health and version only
//! then Impersonate-* ────> each part is authorized by the verb impersonate
//! ```
//!
//! Headers of an authenticating front proxy (`X-Remote-User` and its kin) are
//! never read: there is no front proxy before this server (it is one itself, to extension servers: [`aggregation`](crate::aggregation)). Credentials and impersonation headers are
//! taken out of the request, so that nothing behind can log or forward them; only Flight's
//! handshake is handed the password again, since its client asks which token to show. A
//! token in a query is no credential here; it stays in the request (a proxied one
//! may need it), and the audit log leaves its value out.

mod authenticator;
mod bearer;
mod bootstrap_token;
mod certificate;
mod discovery;
mod impersonate;
mod jwt;
mod legacy;
pub mod oidc;
mod review;
mod service_account;
mod token_request;

pub use authenticator::{Anonymous, Authenticated, Authenticator, Config};
pub use certificate::PeerCertificate;
pub use impersonate::impersonate;
pub use jwt::{TokenKeyError, TokenKeys};
pub use review::self_subject_review;
pub(crate) use service_account::user_name as service_account_user;

/// The issuer of service account tokens, and the audience of the API server.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub const ANONYMOUS: &str = "system:anonymous";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

#[cfg(test)]
mod tests;
