//! The control plane: store, API server, controllers, scheduler, metrics server,
//! autoscaler, log search, dashboard.
//!
//! Every port is bound before anything is built, so that a taken one is told at
//! once. All parts but the API server are its clients, wired in memory.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client, runtime::watcher};
use tiphys_api::auth::UserInfo;
use tiphys_apiserver::{
    ApiServer, Config, MountedGroup, MountedResource,
    authn::{self, TokenKeys},
    pki::{self, ClusterPki},
};
use tiphys_client::{Cache, in_memory};
use tiphys_lifecycle::Tasks;
use tiphys_logging::root::LogRoot;
use tiphys_metrics::{FollowConfig, Metrics};
use tiphys_network::{NodeRoutes, RoutesConfig};
use tiphys_store::Embedded;
use tiphys_telemetry::Component;
use tokio::net::TcpListener;

use super::component_metrics;
use crate::{
    addons,
    cli::ServerOptions,
    collectors::CollectorPods,
    metric_source::{RecordDecisions, SampledMetrics},
};

/// Starts the control plane; it ends with `tasks`.
///
/// # Errors
/// A port in use, a damaged store, keys that can't be read.
pub async fn start(options: ServerOptions, tasks: &Tasks) -> anyhow::Result<()> {
    let mut listeners = Vec::new();
    for address in &options.listen {
        listeners.push(
            TcpListener::bind(address).await.with_context(|| format!("{address} can't be listened on"))?,
        );
    }
    let dashboard = TcpListener::bind(options.dashboard_listen)
        .await
        .with_context(|| format!("{} can't be listened on", options.dashboard_listen))?;
    let pki = ClusterPki::load_or_create(&options.data_dir.join("pki"))?;
    let api = start_api(&options, &pki, tasks).await?;
    let identity = pki.server("kube-apiserver", &server_names(&options)?)?;
    let tls = pki::server_tls(&identity, Some(pki.ca_pem()))?;
    for listener in listeners {
        api.serve(listener, tls.clone());
    }
    let components = ["controllers", "scheduler", "metrics", "autoscaler"].map(Component::new);
    let [controllers, scheduler, metrics, autoscaler] = &components;
    start_controllers(&options, &api, &pki, tasks, [controllers, scheduler])?;
    start_observers(&options, &api, &pki, tasks, [metrics, autoscaler]).await?;
    for component in components {
        api.mount(component_metrics::mount(component));
    }
    let web = tiphys_web::Web::new(api.handler(), format!("http://{}", options.dashboard_listen));
    api.mount(web.link_mount());
    web.serve(dashboard, tasks);
    Ok(())
}

async fn start_api(options: &ServerOptions, pki: &ClusterPki, tasks: &Tasks) -> anyhow::Result<ApiServer> {
    let store =
        Embedded::open(options.data_dir.join("store"), tasks).await.context("the store can't be opened")?;
    let (oidc, anonymous) = options.authentication.config()?;
    let config = Config {
        authn: authn::Config {
            keys: TokenKeys::from_pem(pki.service_account_key())?,
            static_tokens: Vec::new(),
            anonymous,
            oidc,
        },
        audit: options.audit.config()?,
        seats: options.max_requests_inflight + options.max_mutating_requests_inflight,
        kubelet_tls: kubelet_client(pki)?,
        service_cidr: options.service_cidr.parse()?,
        node_ports: 30000..=32767,
        advertise: options.advertise.map(|address| (address.ip(), address.port())),
        enable_admission_plugins: options.enable_admission_plugins.clone(),
    };
    Ok(ApiServer::start(config, store, tasks).await?)
}

/// The certificate that kubelets let in.
fn kubelet_client(pki: &ClusterPki) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let identity = pki.client("kube-apiserver-kubelet-client", Some("system:masters"))?;
    Ok(pki::client_tls(pki.ca_pem(), Some(&identity))?)
}

fn server_names(options: &ServerOptions) -> anyhow::Result<Vec<String>> {
    let service = options.service_cidr.parse::<tiphys_apiserver::Cidr>()?.nth(1).to_string();
    let fixed = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
    ];
    let addresses = options.listen.iter().chain(&options.advertise).map(SocketAddr::ip);
    let addresses = addresses.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let mut names: Vec<_> = fixed.iter().map(ToString::to_string).chain([service]).chain(addresses).collect();
    names.extend(options.tls_san.iter().cloned());
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn start_controllers(
    options: &ServerOptions,
    api: &ApiServer,
    pki: &ClusterPki,
    tasks: &Tasks,
    [controllers, scheduler]: [&Component; 2],
) -> anyhow::Result<()> {
    let client = in_memory(api.handler(), UserInfo::master("system:kube-controller-manager"));
    let config = tiphys_controllers::Config {
        cluster_cidr: options.cluster_cidr.clone(),
        root_ca_pem: pki.ca_pem().to_owned(),
        authority: tiphys_controllers::Authority {
            certificate_pem: pki.ca_pem().to_owned(),
            key_pem: pki.ca_key_pem(),
        },
        token_key: tiphys_controllers::TokenKey(pki.service_account_key().to_owned()),
    };
    tiphys_controllers::start(config, client, tasks, controllers)?;
    let client = in_memory(api.handler(), UserInfo::master("system:kube-scheduler"));
    tiphys_scheduler::start(tiphys_scheduler::Config::default(), client, tasks, scheduler);
    Ok(())
}

/// What looks at the cluster: metrics, autoscaler, logs; and the host's routes to Pods.
async fn start_observers(
    options: &ServerOptions,
    api: &ApiServer,
    pki: &ClusterPki,
    tasks: &Tasks,
    [metrics, autoscaler]: [&Component; 2],
) -> anyhow::Result<()> {
    let client = in_memory(api.handler(), UserInfo::master("system:tiphys-server"));
    let config = tiphys_metrics::Config {
        data_dir: options.data_dir.join("metrics"),
        follow: FollowConfig { tls: kubelet_client(pki)? },
    };
    let metrics = Metrics::start(config, &client, tasks, metrics)?;
    for mount in metrics.mounts(api.authorizer()) {
        api.mount(mount);
    }
    api.announce(metrics_group());
    tiphys_autoscaler::start(
        tiphys_autoscaler::Config::default(),
        in_memory(api.handler(), UserInfo::master("system:horizontal-pod-autoscaler")),
        Arc::new(SampledMetrics::new(metrics.memory.clone())),
        Arc::new(RecordDecisions::new(metrics.decisions.clone())),
        tasks,
        autoscaler,
    );
    let pod_range: Ipv4Net = options.cluster_cidr.parse().context("--cluster-cidr is no IPv4 range")?;
    let nodes = Cache::start(tasks, Api::<Node>::all(client.clone()), watcher::Config::default());
    NodeRoutes::start(RoutesConfig { own_node: None, pod_range }, nodes, tasks);
    if !options.no_collector {
        start_logs(api, &client, tasks).await?;
    }
    Ok(())
}

async fn start_logs(api: &ApiServer, client: &Client, tasks: &Tasks) -> anyhow::Result<()> {
    let token = addons::apply_system(client).await.context("the log collector can't be set up")?;
    let collectors = CollectorPods::start(client, token, tasks);
    let logs = LogRoot::new(Arc::new(collectors), api.authorizer());
    api.mount(tiphys_api::serve::Mount {
        prefix: tiphys_logging::root::PREFIX.to_owned(),
        handler: logs.handler(),
    });
    Ok(())
}

fn metrics_group() -> MountedGroup {
    let resource = |name, kind, namespaced| MountedResource {
        name,
        singular: "",
        kind,
        namespaced,
        verbs: &["get", "list"],
        short_names: &[],
    };
    MountedGroup {
        group: "metrics.k8s.io",
        version: "v1beta1",
        resources: vec![resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    }
}
