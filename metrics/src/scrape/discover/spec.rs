//! `monitoring.coreos.com/v1`: ServiceMonitor and PodMonitor, as the Prometheus operator
//! defines them.
//!
//! The watched objects hold their spec as it is; it is understood one by one, so that a
//! wrong one doesn't hide the others.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::scrape::relabel::Written;

#[derive(CustomResource, Debug, Clone, Default, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "ServiceMonitor",
    plural = "servicemonitors",
    namespaced,
    schema = "disabled"
)]
pub struct ServiceMonitorSpec {
    #[serde(flatten)]
    pub written: Map<String, Value>,
}

#[derive(CustomResource, Debug, Clone, Default, Serialize, Deserialize)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    plural = "podmonitors",
    namespaced,
    schema = "disabled"
)]
pub struct PodMonitorSpec {
    #[serde(flatten)]
    pub written: Map<String, Value>,
}

/// What both kinds say.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitor {
    pub job_label: String,
    pub target_labels: Vec<String>,
    pub pod_target_labels: Vec<String>,
    /// Of a ServiceMonitor.
    pub endpoints: Vec<Endpoint>,
    /// Of a PodMonitor.
    pub pod_metrics_endpoints: Vec<Endpoint>,
    pub selector: LabelSelector,
    pub namespace_selector: NamespaceSelector,
    pub sample_limit: usize,
    pub target_limit: usize,
    pub label_limit: usize,
    pub label_name_length_limit: usize,
    pub label_value_length_limit: usize,
    pub body_size_limit: Option<String>,
    pub scrape_protocols: Vec<String>,
    pub fallback_scrape_protocol: Option<String>,
    pub scrape_native_histograms: bool,
    pub attach_metadata: AttachMetadata,
    /// What else is written.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Whose labels targets get besides their own.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttachMetadata {
    pub node: bool,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSelector {
    pub any: bool,
    pub match_names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    pub port: Option<String>,
    pub port_number: Option<i32>,
    pub target_port: Option<IntOrString>,
    pub path: String,
    pub scheme: String,
    pub params: BTreeMap<String, Vec<String>>,
    pub interval: Option<String>,
    pub scrape_timeout: Option<String>,
    pub tls_config: Option<TlsConfig>,
    pub bearer_token_file: String,
    pub bearer_token_secret: Option<KeyOf>,
    pub authorization: Option<Authorization>,
    pub basic_auth: Option<BasicAuth>,
    pub oauth2: Option<Value>,
    pub proxy_url: Option<String>,
    pub honor_labels: bool,
    pub honor_timestamps: Option<bool>,
    pub track_timestamps_staleness: bool,
    pub relabelings: Vec<Written>,
    pub metric_relabelings: Vec<Written>,
    pub follow_redirects: Option<bool>,
    pub filter_running: Option<bool>,
    /// What else is written.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeyOf {
    pub name: String,
    pub key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretOrConfigMap {
    pub secret: Option<KeyOf>,
    pub config_map: Option<KeyOf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    pub ca: SecretOrConfigMap,
    pub cert: SecretOrConfigMap,
    pub key_secret: Option<KeyOf>,
    pub server_name: Option<String>,
    pub insecure_skip_verify: bool,
    pub ca_file: String,
    pub cert_file: String,
    pub key_file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Authorization {
    #[serde(rename = "type")]
    pub scheme: String,
    pub credentials: Option<KeyOf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BasicAuth {
    pub username: KeyOf,
    pub password: KeyOf,
}
