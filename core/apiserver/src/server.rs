//! The API server, put together.

use std::{convert::Infallible, sync::Arc};

use http::{Request, StatusCode};
use tiphys_api::{
    auth::SharedAuthorizer,
    kind::Kind,
    serve::{Body, Handler, Mount},
};
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_store::{Store, StoreError};
use tiphys_telemetry::Component;
use tokio::net::TcpListener;

use crate::{
    admission::{Admission, Cluster, UnknownPlugin},
    aggregation::{self, Aggregation},
    audit::Audit,
    authn::Authenticator,
    authz::{Objects, Rbac},
    bootstrap::{self, kubernetes, roles},
    cache::CacheError,
    components::{Components, HealthCheck},
    config::Config,
    custom,
    discovery::{self, Elsewhere},
    flow::{self, Flow},
    front::{listen, route},
    metrics::Metrics,
    mounts::{MountedGroup, Mounts},
    openapi::OpenApi,
    registry::Registry,
    service::{Pools, follow},
    state::Core,
    status::ApiError,
    storage::Storage,
    streaming::Streaming,
    webhook,
};

/// Why a server didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the objects could not be read from the store")]
    Cache(#[from] CacheError),
    #[error("the store can't be read")]
    Store(#[from] StoreError),
    #[error("the admission plug-ins are wrong: {0}")]
    Admission(#[from] UnknownPlugin),
    #[error("the audit log can't be opened: {0}")]
    Audit(#[from] std::io::Error),
    #[error("{what} could not be written: {source}")]
    Bootstrap { what: String, source: ApiError },
}

/// A running API server. Clones share it.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
}

impl ApiServer {
    /// Reads the store into the caches, takes up the Services' addresses, and
    /// writes what every cluster has: namespaces, roles, the Service `kubernetes`.
    pub async fn start(config: Config, store: Arc<dyn Store>, tasks: &Tasks) -> Result<Self, StartError> {
        let tasks = tasks.child();
        let registry = Arc::new(Registry::start(store.clone(), &tasks));
        read_all(&registry).await?;
        let objects: Arc<dyn Objects> = registry.clone();
        let rbac = Rbac::new(objects.clone());
        let webhooks = Arc::new(webhook::Client::new(objects.clone(), tasks.clone()));
        let core = Arc::new(Core {
            storage: Storage::new(store),
            admission: Admission::new(
                Cluster::new(objects.clone(), rbac.clone(), registry.clone(), webhooks.clone()),
                &config.enable_admission_plugins,
            )?,
            authenticator: Authenticator::new(config.authn, objects.clone()),
            rbac,
            aggregation: Aggregation::new(config.aggregation, objects.clone(), tasks.clone()),
            streaming: Streaming::new(objects, config.kubelet_tls, tasks.clone()),
            webhooks,
            service_pools: Pools::new(config.service_cidr, config.node_ports),
            audit: config.audit.map(|config| Audit::start(config, &tasks)).transpose()?,
            flow: Flow::new(config.seats),
            mounts: Mounts::default(),
            components: Components::default(),
            openapi: OpenApi::new(registry.clone()),
            metrics: Metrics::default(),
            registry,
            tasks,
        });
        for service in core.registry.list("", "services", "", &[]) {
            core.service_pools.show(&service);
        }
        bootstrap::run(&core, config.advertise).await?;
        custom::start(&core).await.map_err(StartError::bootstrap("custom resource definitions"))?;
        let published = aggregation::publish(&core).await;
        published.map_err(StartError::bootstrap("what extension servers know this server by"))?;
        aggregation::start(&core).await;
        flow::write(&core).await?;
        flow::follow(&core);
        follow::follow(&core);
        roles::follow(&core);
        kubernetes::follow(&core, config.advertise);
        Ok(Self { core })
    }

    /// The in-memory entrance. It trusts the `UserInfo` in a request's extensions;
    /// without one a request is answered with 401.
    pub fn handler(&self) -> Handler {
        let core = self.core.clone();
        Handler::new(tower::service_fn(move |request: Request<Body>| {
            let core = core.clone();
            async move { Ok::<_, Infallible>(route::handle(core, request).await) }
        }))
    }

    /// The HTTPS entrance, until the tasks stop. It authenticates.
    pub fn serve(&self, listener: TcpListener, tls: Arc<rustls::ServerConfig>) {
        let core = self.core.clone();
        self.core.tasks.spawn_draining("api listener", OnError::Stop, move |stop| {
            listen::serve(core, listener, tls, stop)
        });
    }

    /// The entrance that authenticates, without the TLS before it.
    #[cfg(test)]
    pub(crate) async fn enter(
        &self,
        certificate: Option<crate::authn::PeerCertificate>,
        request: Request<Body>,
    ) -> http::Response<Body> {
        listen::answer(self.core.clone(), certificate, request).await
    }

    /// Answers below a path with another part's handler.
    pub fn mount(&self, mount: Mount) {
        self.core.mounts.add(mount);
    }

    /// Shows a component as a ComponentStatus. It is asked how it is whenever somebody wants to know.
    pub fn watch_over(&self, name: impl Into<String>, check: Arc<dyn HealthCheck>) {
        self.core.components.add(name.into(), check);
    }

    /// Shows a mounted API group in discovery. The handler must be mounted at `/apis/GROUP/VERSION`.
    pub fn announce(&self, group: MountedGroup) {
        self.core.mounts.add_group(group);
        self.core.aggregation.announced();
    }

    /// Every kind in every version that is served now, custom ones too.
    pub fn kinds(&self) -> Vec<&'static Kind> {
        self.core.registry.all().iter().map(|resource| resource.kind).collect()
    }

    /// What is served beside the kinds: by mounted groups and by extension servers, as they were heard
    /// last.
    pub fn elsewhere(&self) -> Vec<Elsewhere> {
        discovery::elsewhere(&self.core)
    }

    /// Whether users may: for parts that ask on their own.
    pub fn authorizer(&self) -> SharedAuthorizer {
        self.core.rbac.clone()
    }

    /// For parts that serve HTTP of their own: who a bearer token belongs to.
    pub fn authenticator(&self) -> &Authenticator {
        &self.core.authenticator
    }

    /// The server's own metrics.
    pub fn component(&self) -> Component {
        self.core.metrics.component.clone()
    }
}

/// Waits until every cache holds what the store held: seconds, where there is very much.
async fn read_all(registry: &Registry) -> Result<(), CacheError> {
    for resource in registry.builtin() {
        let Ok(cache) = resource.cache() else { continue };
        cache.loaded().await?;
    }
    Ok(())
}

impl StartError {
    pub(crate) fn bootstrap(what: impl Into<String>) -> impl FnOnce(ApiError) -> Self {
        let what = what.into();
        move |source| Self::Bootstrap { what, source }
    }

    /// The HTTP code of a failed bootstrap write, for the log.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Bootstrap { source, .. } => Some(source.code),
            _ => None,
        }
    }
}
