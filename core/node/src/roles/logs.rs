//! A server's part in logs: search over all nodes, and the archive, which of several
//! servers one keeps.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt, runtime::watcher};
use tiphys_api::{auth::MASTERS, names::SERVER_USER};
use tiphys_apiserver::{
    ApiServer,
    pki::{self, ClusterPki},
};
use tiphys_client::{Cache, Shared};
use tiphys_lifecycle::Tasks;
use tiphys_logging::{
    archive::{self, Archive},
    collector::SERVER_METRICS,
    grpc,
    index::Keep,
    loki,
    policy::{self, Told},
    root::{Collectors, LogRoot, PREFIX},
};

use super::{
    component_metrics,
    server_logs::{self, ServerLogs},
};
use crate::{
    addons,
    cli::ServerOptions,
    collectors::{CollectorPods, Others},
    control_plane::Members,
    doors_certificate,
};

pub struct Logs {
    pub root: LogRoot,
    /// What of it is scraped in this server: jobs, and the paths of their figures.
    pub figures: Vec<(&'static str, &'static str)>,
    archive: Option<Archive>,
    collectors: Arc<dyn Collectors>,
}

impl Logs {
    /// Sets the collectors up and answers what is asked of logs.
    ///
    /// # Errors
    /// The place of the archive can't be opened, the server's own logs can't be read.
    pub async fn start(
        options: &ServerOptions,
        api: &ApiServer,
        pki: &Arc<ClusterPki>,
        client: &Client,
        shared: &Shared,
        members: Members,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        doors_certificate::keep(client.clone(), pki.clone(), tasks);
        let token = addons::apply_system(client).await.context("the log collector can't be set up")?;
        let mut figures = Vec::new();
        let own = server_logs::start(options, tasks).await?.map(|ServerLogs { collector, door }| {
            if let Some(door) = door {
                api.mount(door);
                figures.push((component_metrics::COLLECTORS, SERVER_METRICS));
            }
            collector
        });
        let others = Others { members, own: options.advertise, tls: as_server(pki)? };
        let collectors: Arc<dyn Collectors> =
            Arc::new(CollectorPods::start(client, shared, token, own, others, tasks));
        let archive = open_archive(options, client, tasks).await?;
        let root = LogRoot::new(collectors.clone(), api.authorizer()).with_tasks(tasks);
        let mut root = root.with_longest_query(options.log_query_timeout);
        if let Some(archive) = &archive {
            root = root.with_archive(archive.clone());
            api.mount(component_metrics::mount(archive.component()));
            figures.push(("logs", "/metrics/logs"));
        }
        api.mount(tiphys_api::serve::Mount { prefix: PREFIX.to_owned(), handler: root.handler() });
        api.mount(tiphys_api::serve::Mount {
            prefix: loki::PREFIX.to_owned(),
            handler: loki::handler(root.clone()),
        });
        api.mount(tiphys_api::serve::Mount {
            prefix: grpc::PREFIX.to_owned(),
            handler: grpc::handler(root.clone()),
        });
        Ok(Self { root, figures, archive, collectors })
    }

    /// Keeps the archive, until `tasks` stops.
    pub fn keep(&self, tasks: &Tasks) {
        if let Some(archive) = &self.archive {
            archive.pull(self.collectors.clone(), tasks);
        }
    }
}

/// The certificate by which servers let each other ask.
fn as_server(pki: &ClusterPki) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let identity = pki.client(SERVER_USER, Some(MASTERS))?;
    Ok(pki::client_tls(pki.ca_pem(), Some(&identity))?)
}

/// All namespaces, and what they say of how much they keep. Mistakes are logged when they are new.
fn keeps(namespaces: &[Arc<Namespace>], told: &Told) -> BTreeMap<String, Keep> {
    let keep = |namespace: &Arc<Namespace>| {
        let name = namespace.name_any();
        let (keep, mistakes) = Keep::read(&policy::own(namespace.annotations()));
        for why in told.news(&name, &mistakes) {
            tracing::warn!(
                namespace = name,
                why,
                "what a namespace keeps of its logs isn't understood: the archive's own bounds hold"
            );
        }
        (name, keep)
    };
    namespaces.iter().map(keep).collect()
}

async fn open_archive(
    options: &ServerOptions,
    client: &Client,
    tasks: &Tasks,
) -> anyhow::Result<Option<Archive>> {
    let Some(objects) = options.log_archive.open(&options.data_dir)? else { return Ok(None) };
    let config = archive::Config {
        cluster: super::server::cluster_name(client).await?,
        cache: options.data_dir.join("archive/cache"),
        cache_bytes: options.log_archive.log_archive_cache,
        retention: options.log_archive.retention(),
    };
    let namespaces: Cache<Namespace> =
        Cache::start(tasks, Api::all(client.clone()), watcher::Config::default());
    // Before it is known what namespaces keep, nothing may be taken for too old.
    namespaces.ready().await;
    let told = Told::default();
    let keeps = move || keeps(&namespaces.list(), &told);
    let archive = Archive::new(&objects, &config, Box::new(keeps), tasks);
    Ok(Some(archive.context("logs can't be archived")?))
}

#[cfg(test)]
mod tests;
