//! What an API server has to be told.

use std::{net::IpAddr, ops::RangeInclusive, sync::Arc};

use crate::{aggregation, audit, authn, service::addresses::Cidr};

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
