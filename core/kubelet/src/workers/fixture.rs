//! For tests: what workers share, where neither the API nor the runtime answers,
//! and a worker of one Pod. It must not be used to play a runtime: what needs one
//! is tested with the real one in `tests/`.

use std::{path::Path, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, runtime::watcher};
use tiphys_client::Cache;
use tiphys_lifecycle::Tasks;
use tiphys_runtime::{cgroup::Hierarchy, cri::Cri};

use super::{Context, Desired, Registry, worker::Worker};
use crate::{
    KubeletConfig, ServerIdentity, classes::Classes, events::Recorder, metric_names::Metrics,
    sources::Sources, volumes::Volumes,
};

/// All files below `folder`; the weights of classes, where a test makes the group, in `cgroup` there.
pub(crate) fn context(folder: &Path, identity: ServerIdentity) -> Arc<Context> {
    let (client, tasks, registry) = (unreachable_api(), Tasks::new(), Registry::default());
    let config = KubeletConfig {
        // It is never made: whatever runs on this machine keeps its groups as they are.
        pods_group: "/tiphys-fixture/kubepods".into(),
        root: folder.join("kubelet"),
        log_root: folder.join("logs"),
        listen: ([127, 0, 0, 1], 0).into(),
        ..KubeletConfig::standard("node-1", vec!["127.0.0.1".into()], identity)
    };
    let waker = registry.clone();
    let socket = folder.join("no-runtime.sock");
    Arc::new(Context {
        cri: Cri::new(&socket),
        socket,
        classes: Classes::new(Hierarchy::V2(folder.join("cgroup")), &config.pods_group),
        hierarchy: Hierarchy::detect().expect("control groups"),
        events: Recorder::start(client.clone(), &config.node_name, &tasks),
        sources: Sources::new(client.clone(), tasks.clone(), move |uid| waker.sources_changed(uid)),
        services: Cache::start(&tasks, Api::<Service>::all(client.clone()), watcher::Config::default()),
        volumes: Volumes::new(&config.root),
        metrics: Metrics::new(&config.node_name, &registry),
        registry,
        tasks,
        client,
        config,
    })
}

/// A kubelet that serves nobody.
pub(crate) fn no_identity() -> ServerIdentity {
    ServerIdentity { certificate: String::new(), key: String::new(), client_ca: String::new() }
}

fn unreachable_api() -> Client {
    let refuse = |_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(std::io::Error::from(
            std::io::ErrorKind::ConnectionRefused,
        ))
    };
    Client::new(tower::service_fn(refuse), "default")
}

/// The Pod's worker, not running.
pub(super) fn worker(context: &Arc<Context>, pod: Pod) -> Worker {
    let seat = context.registry.tell(Desired::As(Arc::new(pod))).expect("the Pod is new");
    Worker::new(context.clone(), seat)
}
