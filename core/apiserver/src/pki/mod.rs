//! The cluster's own certificate authority, its keys, and TLS configurations.
//!
//! [`ClusterPki`] lives in one folder with the files `ca.crt`, `ca.key` and
//! `service-account.key`. From it the server issues its own certificate, those
//! of its kubelets and those of its users, as needed: leaf certificates are cheap
//! (ECDSA P-256), so they are made anew at each start rather than kept.
//! [`FrontProxy`] is another authority, with the files `front-proxy-ca.crt` and `front-proxy-ca.key`.
//! [`server_tls`] and [`client_tls`] turn PEM text into rustls configurations,
//! always with the aws-lc-rs provider, whatever the process has installed.
//!
//! What it must not do: write anything but its five files and what
//! [`Identity::write`] is asked to write; every one of them has mode 0600.

mod authority;
mod files;
mod front_proxy;
mod self_signed;
mod tls;

pub use authority::{ClusterPki, Identity};
pub use front_proxy::{FRONT_PROXY_NAME, FrontProxy};
pub use tls::{client_tls, machine_tls, server_tls, unverified_tls};

use std::path::PathBuf;

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("{} cannot be {what}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} exists, but {} is missing; restore it, or remove both to begin with a new authority", present.display(), missing.display())]
    HalfAuthority { present: PathBuf, missing: PathBuf },
    #[error("certificate cannot be made")]
    Issue(#[from] rcgen::Error),
    #[error("PEM text of {what} is not valid: {why}")]
    Pem { what: &'static str, why: String },
    #[error("TLS cannot be configured")]
    Tls(#[from] rustls::Error),
    #[error("client certificates cannot be verified")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}
