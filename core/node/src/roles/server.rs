//! The control plane: store, API server, controllers, scheduler, metrics server,
//! autoscaler, log search, dashboard. Of several servers on one etcd, one leads: it
//! runs the controllers, and one (maybe another) the scheduler.
//!
//! Every port is bound before anything is built, so that a taken one is told at
//! once. All parts but the API server are its clients, wired in memory.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use tiphys_api::{
    auth::{MASTERS, UserInfo},
    names::SERVER_USER,
};
use tiphys_apiserver::{
    ApiServer, Config, MountedGroup, MountedResource, aggregation,
    authn::{self, TokenKeys},
    encryption::{Encrypted, Keyring},
    pki::{self, ClusterPki, FrontProxy},
};
use tiphys_client::{Shared, in_memory};
use tiphys_lifecycle::Tasks;
use tiphys_metrics::{Engine, EventLog, FollowConfig, Metrics, ScrapeConfig};
use tiphys_network::{NodeRoutes, RoutesConfig};
use tiphys_store::Store;
use tiphys_telemetry::{Component, Storage};
use tokio::net::TcpListener;

use super::{component_metrics, logs::Logs, rest_client, server_logs, sql_doors};
use crate::{
    addons, authority,
    cli::ServerOptions,
    control_plane, files, kubeconfig, leader,
    log_table::LogTables,
    metric_source::{self, RecordDecisions},
    object_tables::ObjectTables,
    snapshots, store_figures, store_health, stores,
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
    let postgres = sql_doors::bind(options.postgres_listen).await?;
    let store = stores::open(&options.store, &options.data_dir, tasks).await?;
    let pki = Arc::new(cluster_keys(&options, &*store).await?);
    let api = start_api(&options, &pki, store.clone(), tasks).await?;
    let identity = pki.server("kube-apiserver", &server_names(&options)?)?;
    let tls = pki::server_tls(&identity, Some(pki.ca_pem()))?;
    for listener in listeners {
        api.serve(listener, tls.clone());
    }
    write_admin_kubeconfig(&options, &pki)?;
    let members = match options.advertise.filter(|_| !options.store.etcd_servers.is_empty()) {
        Some(address) => {
            let client = in_memory(api.handler(), UserInfo::master("system:apiserver"));
            let own = control_plane::Member { address, logs: server_logs::node(&options)? };
            control_plane::join(store.clone(), client, own, tasks)
        }
        None => control_plane::alone(),
    };
    let client = in_memory(api.handler(), UserInfo::master(SERVER_USER));
    let shared = Shared::start(&client, tasks);
    let observers = start_observers(&options, &api, &pki, &client, &shared, members, tasks).await?;
    if let Some(listener) = postgres {
        sql_doors::postgres(&api, observers.engine.clone(), tls.clone(), listener, tasks);
    }
    let identity = leader::identity();
    let is_one_of_several = !options.store.etcd_servers.is_empty();
    let controllers = controllers(&options, &api, &pki, &shared, observers);
    for (component, lease, start) in [
        ("controller-manager", "kube-controller-manager", controllers),
        ("scheduler", "kube-scheduler", scheduler(&api, &shared)),
    ] {
        let standing = if is_one_of_several {
            let user = UserInfo::master(format!("system:{lease}"));
            leader::elect(lease, identity.clone(), in_memory(api.handler(), user), tasks, start)
        } else {
            leader::alone(tasks, &start)?
        };
        api.watch_over(component, Arc::new(standing));
    }
    store_health::watch_over(&api, &store);
    let web = tiphys_web::Web::new(api.handler(), format!("http://{}", options.dashboard_listen));
    api.mount(web.link_mount());
    web.serve(dashboard, tasks);
    Ok(())
}

/// An administrator's way in, for who may read the data folder.
fn write_admin_kubeconfig(options: &ServerOptions, pki: &ClusterPki) -> anyhow::Result<()> {
    let Some(address) = options.listen.first() else { return Ok(()) };
    let ip = if address.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
    let identity = pki.client("kubernetes-admin", Some(MASTERS))?;
    let credential = kubeconfig::Credential {
        server: &format!("https://{}", SocketAddr::new(ip, address.port())),
        ca_pem: pki.ca_pem(),
        certificate_pem: &identity.certificate_pem,
        key_pem: &identity.key_pem,
    };
    let text = kubeconfig::to_yaml(&kubeconfig::document("tiphys", &credential))?;
    let path = options.data_dir.join("admin.kubeconfig");
    files::write_atomically(&path, text.as_bytes(), 0o600)
        .with_context(|| format!("{} can't be written", path.display()))
}

/// Several servers share their keys through the store; a single one has them in its folder.
async fn cluster_keys(options: &ServerOptions, store: &dyn Store) -> anyhow::Result<ClusterPki> {
    let folder = options.data_dir.join("pki");
    if options.store.etcd_servers.is_empty() {
        return Ok(ClusterPki::load_or_create(&folder)?);
    }
    let secret = options.cluster_secret_file.as_ref().map(|path| {
        std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
    });
    let secret = secret.transpose()?;
    authority::load(store, &folder, secret.as_deref().map(str::trim)).await
}

async fn start_api(
    options: &ServerOptions,
    pki: &ClusterPki,
    store: Arc<dyn Store>,
    tasks: &Tasks,
) -> anyhow::Result<ApiServer> {
    let keyring = options.encryption_provider_config.as_deref().map(Keyring::read).transpose()?;
    let figures = Storage::default();
    let counted = store_figures::count(store.clone(), &figures, tasks);
    let encrypted = Encrypted::open(counted, keyring.unwrap_or_default(), tasks)
        .await
        .context("what the store holds can't be read with --encryption-provider-config")?;
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
        aggregation: aggregation::Config::new(
            FrontProxy::load_or_create(&options.data_dir.join("pki"))?,
            pki.ca_pem(),
        ),
        service_cidr: options.service_cidr.parse()?,
        node_ports: 30000..=32767,
        // Of several servers each is an endpoint: see control_plane.rs.
        advertise: options
            .advertise
            .filter(|_| options.store.etcd_servers.is_empty())
            .map(|address| (address.ip(), address.port())),
        enable_admission_plugins: options.enable_admission_plugins.clone(),
    };
    let api = ApiServer::start(config, encrypted, tasks).await?;
    figures.register(&api.component());
    api.mount(snapshots::mount(store));
    Ok(api)
}

/// The certificate that kubelets let in.
fn kubelet_client(pki: &ClusterPki) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let identity = pki.client("kube-apiserver-kubelet-client", Some(MASTERS))?;
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

/// What one server of a cluster does: controllers, autoscaler, archive of logs. Each term
/// has figures of its own.
fn controllers(
    options: &ServerOptions,
    api: &ApiServer,
    pki: &ClusterPki,
    shared: &Shared,
    observers: Observers,
) -> leader::Start {
    let config = tiphys_controllers::Config {
        cluster_cidr: options.cluster_cidr.clone(),
        root_ca_pem: pki.ca_pem().to_owned(),
        authority: tiphys_controllers::Authority {
            certificate_pem: pki.ca_pem().to_owned(),
            key_pem: pki.ca_key_pem(),
        },
        token_key: tiphys_controllers::TokenKey(pki.service_account_key().to_owned()),
    };
    let (api, shared, Observers { metrics, engine, logs }) = (api.clone(), shared.clone(), observers);
    let autoscaler = options.autoscaler.config();
    Box::new(move |tasks| {
        let component = Component::new("controllers");
        let handler = rest_client::counted(api.handler(), &component);
        let client = in_memory(handler, UserInfo::master("system:kube-controller-manager"));
        tiphys_controllers::start(config.clone(), client, &shared, tasks, &component)?;
        api.mount(component_metrics::mount(component));
        let component = Component::new("autoscaler");
        let handler = rest_client::counted(api.handler(), &component);
        tiphys_autoscaler::start(
            autoscaler,
            in_memory(handler, UserInfo::master("system:horizontal-pod-autoscaler")),
            shared.pods.clone(),
            Arc::new(metric_source::Metrics::new(metrics.memory.clone(), metrics.custom())),
            Arc::new(RecordDecisions::new(metrics.decisions.clone())),
            tasks,
            &component,
        );
        api.mount(component_metrics::mount(component));
        let client = in_memory(api.handler(), UserInfo::master("system:tiphys-metrics"));
        metrics.keep_queries(engine.clone(), client, tasks);
        if let Some(logs) = &logs {
            logs.keep(tasks);
        }
        Ok(())
    })
}

/// The other thing that one server does.
fn scheduler(api: &ApiServer, shared: &Shared) -> leader::Start {
    let (api, shared) = (api.clone(), shared.clone());
    Box::new(move |tasks| {
        let component = Component::new("scheduler");
        let handler = rest_client::counted(api.handler(), &component);
        let client = in_memory(handler, UserInfo::master("system:kube-scheduler"));
        tiphys_scheduler::start(tiphys_scheduler::Config::default(), client, &shared, tasks, &component);
        api.mount(component_metrics::mount(component));
        Ok(())
    })
}

struct Observers {
    metrics: Arc<Metrics>,
    engine: Engine,
    logs: Option<Logs>,
}

/// What looks at the cluster: metrics, logs; and the host's routes to Pods.
async fn start_observers(
    options: &ServerOptions,
    api: &ApiServer,
    pki: &Arc<ClusterPki>,
    client: &Client,
    shared: &Shared,
    members: control_plane::Members,
    tasks: &Tasks,
) -> anyhow::Result<Observers> {
    addons::apply_metrics(client).await.context("metrics by SQL can't be set up")?;
    let config = tiphys_metrics::Config {
        data_dir: options.data_dir.join("metrics"),
        follow: FollowConfig { tls: kubelet_client(pki)? },
        client: client.clone(),
        limits: options.metrics_retention.limits(),
        keep: options.metrics_retention.metrics_retention,
        keep_bytes: options.metrics_retention.metrics_retention_bytes,
        downsampling: options.metrics_retention.downsampling(),
        archive: options.metrics_archive.open(&cluster_name(client).await?)?,
        decisions: options.kept.decisions(),
        spans: options.kept.spans(),
        words: options.metrics_retention.words(),
    };
    let component = Component::new("metrics");
    let metrics = Arc::new(Metrics::start(config, shared, tasks, &component)?);
    api.mount(component_metrics::mount(component));
    for group in metrics_groups() {
        api.announce(group);
    }
    let pod_range: Ipv4Net = options.cluster_cidr.parse().context("--cluster-cidr is no IPv4 range")?;
    NodeRoutes::start(RoutesConfig { own_node: None, pod_range }, shared.nodes.clone(), tasks);
    let mut tables: Vec<Arc<dyn tiphys_metrics::Extension>> = Vec::new();
    let logs = match options.no_collector {
        true => None,
        false => Some(Logs::start(options, api, pki, client, shared, members, tasks).await?),
    };
    tables.push(Arc::new(ObjectTables::new(api.clone())));
    let kept = options.data_dir.join("metrics/events");
    let events = EventLog::start(kept.clone(), options.kept.events(), client.clone(), tasks);
    tables.push(Arc::new(events.with_context(|| format!("{} can't be read", kept.display()))?));
    if let Some(logs) = &logs {
        tables.push(Arc::new(LogTables::new(logs.root.clone())));
    }
    let figures = logs.as_ref().map(|logs| logs.figures.as_slice()).unwrap_or_default();
    let config = ScrapeConfig {
        client: client.clone(),
        kubelets: kubelet_client(pki)?,
        own: component_metrics::own(figures),
    };
    for mount in metrics.scrape(config, tasks).mounts(api.authorizer()) {
        api.mount(mount);
    }
    for mount in metrics.doors(api.authorizer()) {
        api.mount(mount);
    }
    let engine = metrics.engine(tables);
    let engine = engine.with_memory_limit(options.metrics_retention.sql_memory);
    let engine = engine.with_deadline(options.metrics_retention.sql_timeout);
    for mount in metrics.mounts(api.authorizer(), engine.clone()) {
        api.mount(mount);
    }
    Ok(Observers { metrics, engine, logs })
}

/// Tells the cluster from all others, also in a place that they share.
pub async fn cluster_name(client: &Client) -> anyhow::Result<String> {
    let namespace = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let namespace = namespace.context("the cluster's name in an archive can't be had")?;
    namespace.metadata.uid.context("a namespace has a UID")
}

/// Which metrics there are of a custom or external group, its own discovery tells.
fn metrics_groups() -> Vec<MountedGroup> {
    let resource = |name, kind, namespaced| MountedResource {
        name,
        singular: "",
        kind,
        namespaced,
        verbs: &["get", "list"],
        short_names: &[],
    };
    let usage = vec![resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)];
    let group = |group, version, resources| MountedGroup { group, version, resources };
    vec![
        group("metrics.k8s.io", "v1beta1", usage),
        group("custom.metrics.k8s.io", "v1beta1", Vec::new()),
        group("custom.metrics.k8s.io", "v1beta2", Vec::new()),
        group("external.metrics.k8s.io", "v1beta1", Vec::new()),
    ]
}
