//! Who asks: client certificates, bearer tokens, impersonation.
//!
//! ```text
//! PeerCertificate(DER)                 request extension, set by the listener from the TLS session (verified against the CA there)
//! Authenticator::new(Config{ keys: TokenKeys, static_tokens, anonymous }, objects: Arc<dyn Objects>)
//! auth.authenticate(Option<&PeerCertificate>, &mut HeaderMap).await -> Result<UserInfo, Refusal>     401; takes the credentials out of the headers
//! impersonate(UserInfo, &mut HeaderMap, &dyn Authorizer) -> Result<UserInfo, Refusal>                403; takes the headers out
//! auth.token_request(namespace, name, body: Value).await -> Result<Value, Refusal>                   serviceaccounts/token
//! auth.token_review(body: Value).await -> Value                                                       tokenreviews
//! self_subject_review(&UserInfo) -> Value                                                             selfsubjectreviews
//! auth.openid_configuration(issuer host) / auth.jwks() -> Value                                       /.well-known/openid-configuration, /openid/v1/jwks
//! ```
