//! The kubelet, put together.

use std::{path::Path, sync::Arc};

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{Api, Client, runtime::watcher};
use tiphys_client::Cache;
use tiphys_lifecycle::{OnError, Tasks};
use tiphys_runtime::{cgroup::Hierarchy, cri::Cri};
use tiphys_telemetry::Component;

use crate::{
    Error, KubeletConfig, classes::Classes, events::Recorder, logs, metric_names::Metrics, node, samples,
    server, sources::Sources, statics, volumes::Volumes, workers,
};

/// A running kubelet.
pub struct Kubelet {
    component: Component,
}

impl Kubelet {
    /// Registers the node (it waits for the API server), takes over what runs, and
    /// serves on the kubelet's port. `socket` is the runtime's. It ends with `tasks`;
    /// containers go on.
    ///
    /// # Errors
    /// No control groups, a certificate that can't be used, a port that is taken.
    pub async fn start(
        config: KubeletConfig,
        client: Client,
        socket: &Path,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let listener = server::bind(&config).await?;
        let hierarchy = Hierarchy::detect()?;
        let registry = workers::Registry::default();
        let waker = registry.clone();
        let metrics = Metrics::new(&config.node_name, &registry);
        let context = Arc::new(workers::Context {
            cri: metrics.observe(Cri::new(socket)),
            socket: socket.to_path_buf(),
            classes: Classes::new(hierarchy.clone(), &config.pods_group),
            hierarchy,
            events: Recorder::start(client.clone(), &config.node_name, tasks),
            sources: Sources::new(client.clone(), tasks.clone(), move |uid| waker.sources_changed(uid)),
            services: Cache::start(tasks, Api::<Service>::all(client.clone()), watcher::Config::default()),
            volumes: Volumes::new(&config.root),
            metrics,
            registry,
            tasks: tasks.clone(),
            client: client.clone(),
            config,
        });
        let node = node::register(&context).await;
        let own = format!("spec.nodeName={}", context.config.node_name);
        let pods =
            Cache::start(tasks, Api::<Pod>::all(client.clone()), watcher::Config::default().fields(&own));
        let (folder, name) = (context.config.static_pods.clone(), context.config.node_name.clone());
        let manifests = statics::start(folder, name, tasks);
        context.classes.make(&context.config.capacity)?;
        workers::dispatch(&context, &pods, &manifests);
        let (keeper, own_node) = (context.clone(), node.clone());
        let own = format!("metadata.name={}", context.config.node_name);
        let shown = watcher::Config::default().fields(&own);
        let shown = Cache::start(tasks, Api::<Node>::all(client.clone()), shown);
        let keep = move || node::keep(keeper.clone(), own_node.clone(), shown.clone());
        tasks.spawn_restarting("kubelet node status", keep);
        tasks.spawn("kubelet lease", OnError::Log, node::renew(client, node));
        let house = context.clone();
        tasks.spawn_restarting("kubelet log files", move || logs::keep_house(house.clone()));
        let seconds = samples::start(&context)?;
        server::serve(&context, listener, seconds);
        Ok(Self { component: context.metrics.component.clone() })
    }

    /// The kubelet's own metrics, which its server prints too.
    pub fn component(&self) -> &Component {
        &self.component
    }
}
