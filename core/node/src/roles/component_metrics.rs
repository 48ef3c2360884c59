//! `/metrics/<component>`: what each component of the server tells of itself.
//!
//! The API server's own figures are at `/metrics`. A registry a component, so
//! that no endpoint prints another's. Those of a node's parts are at its kubelet.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response, header};
use tiphys_api::{
    names::{COLLECTOR_APP, COLLECTOR_PORT},
    serve::{Body, Handler, Mount, full},
};
use tiphys_metrics::{Own, OwnPods};
use tiphys_telemetry::Component;

use crate::addons::{COLLECTOR_SECRET, COLLECTOR_TOKEN};

/// The job of all log collectors.
pub const COLLECTORS: &str = "tiphys-collector";

/// Which components of a server, of its nodes and of its Pods are scraped, by the jobs' names
/// that dashboards know. `of_logs` are those that a server has with logs only, each with its path.
pub fn own(of_logs: &[(&'static str, &'static str)]) -> Own {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let server = if host.trim().is_empty() { "localhost" } else { host.trim() };
    let components = [
        ("apiserver", "/metrics"),
        ("kube-controller-manager", "/metrics/controllers"),
        ("kube-scheduler", "/metrics/scheduler"),
        ("autoscaler", "/metrics/autoscaler"),
        ("metrics", "/metrics/metrics"),
    ];
    let collectors = OwnPods {
        job: COLLECTORS,
        app: COLLECTOR_APP,
        port: COLLECTOR_PORT,
        token: (COLLECTOR_SECRET, COLLECTOR_TOKEN),
    };
    Own {
        server: server.to_owned(),
        components: components.iter().chain(of_logs).copied().collect(),
        of_nodes: vec![
            ("kubelet", "/metrics"),
            ("kubelet", "/metrics/probes"),
            ("kube-proxy", "/metrics/proxy"),
            ("coredns", "/metrics/dns"),
        ],
        pods: vec![collectors],
    }
}

/// Serves a component's figures.
pub fn mount(component: Component) -> Mount {
    let prefix = format!("/metrics/{}", component.name());
    let handler = tower::service_fn(move |_: Request<Body>| {
        let mut response = Response::new(full(component.render()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(Component::CONTENT_TYPE));
        async move { Ok::<_, Infallible>(response) }
    });
    Mount { prefix, handler: Handler::new(handler) }
}
