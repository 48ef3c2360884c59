//! The cluster's own certificate authority, its keys, and TLS configurations.
//!
//! ```text
//! ClusterPki::load_or_create(dir: &Path) -> Result<ClusterPki, PkiError>
//! pki.ca_pem() -> &str
//! pki.service_account_key() -> &str                                     PEM (PKCS#8, ES256)
//! pki.server(cn: &str, sans: &[String]) -> Result<Identity, PkiError>   IP addresses are recognized
//! pki.client(cn: &str, groups: &[&str]) -> Result<Identity, PkiError>
//! pki.kubelet_serving(node: &str, sans: &[String]) -> Result<Identity, PkiError>
//! pki.stored(name, make) -> Result<Identity, PkiError>                  kept in dir as NAME.crt, NAME.key; made again near its end
//! Identity { certificate_pem: String, key_pem: String }
//! server_tls(&Identity, client_ca: Option<&str>) -> Result<Arc<rustls::ServerConfig>, PkiError>      client certificates optional
//! client_tls(ca_pem: &str, Option<&Identity>) -> Result<Arc<rustls::ClientConfig>, PkiError>
//! ```
