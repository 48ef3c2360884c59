//! What an API server has to be told.

use std::{net::IpAddr, ops::RangeInclusive, sync::Arc};

use crate::{
    aggregation, audit,
    authn::{self, TokenKeyError, TokenKeys},
    pki::{ClusterPki, FrontProxy, PkiError, client_tls},
    service::addresses::Cidr,
};

/// Why a cluster's keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Key(#[from] TokenKeyError),
}

/// The configuration of one API server.
pub struct Config {
    /// Keys of service account tokens, static tokens, anonymous access.
    pub authn: authn::Config,
    /// None: no audit log.
    pub audit: Option<audit::Config>,
    /// How many requests may be worked on at once; those of `system:masters` are not counted.
    pub seats: usize,
    /// For the way to the kubelets: the cluster's CA and a certificate of
    /// CN=kube-apiserver-kubelet-client.
    pub kubelet_tls: Arc<rustls::ClientConfig>,
    /// For the way to extension servers.
    pub aggregation: aggregation::Config,
    /// Addresses of Services. The first one is the Service `kubernetes`.
    pub service_cidr: Cidr,
    pub node_ports: RangeInclusive<u16>,
    /// Where Pods reach this server: the endpoint of the Service `kubernetes`.
    /// None: the Service has no endpoint.
    pub advertise: Option<(IpAddr, u16)>,
    /// Admission plug-ins beside those that are always on: `DenyServiceExternalIPs`.
    pub enable_admission_plugins: Vec<String>,
}

impl Config {
    /// A server of these authorities, with the usual addresses, ports and seats, and nothing else:
    /// no static tokens, nobody anonymous, no audit log, no endpoint, and no certificate that
    /// kubelets would let in.
    ///
    /// # Errors
    /// One of the authorities' keys is damaged.
    pub fn standard(pki: &ClusterPki, front_proxy: FrontProxy) -> Result<Self, ConfigError> {
        Ok(Self {
            authn: authn::Config {
                keys: TokenKeys::from_pem(pki.service_account_key())?,
                static_tokens: Vec::new(),
                anonymous: authn::Anonymous::Never,
                oidc: authn::oidc::Issuers::default(),
            },
            audit: None,
            seats: 600,
            kubelet_tls: client_tls(pki.ca_pem(), None)?,
            aggregation: aggregation::Config::new(front_proxy, pki.ca_pem()),
            service_cidr: "10.96.0.0/16".parse().expect("a range that is written here"),
            node_ports: 30000..=32767,
            advertise: None,
            enable_admission_plugins: Vec::new(),
        })
    }
}
