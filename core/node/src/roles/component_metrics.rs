//! `/metrics/<component>`: what each component of the server tells of itself.
//!
//! The API server's own figures are at `/metrics`. A registry a component, so
//! that no endpoint prints another's.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response, header};
use tiphys_api::serve::{Body, Handler, Mount, full};
use tiphys_metrics::Own;
use tiphys_telemetry::Component;

/// Which components of a server and of its nodes are scraped, by the jobs' names that
/// dashboards know.
pub fn own() -> Own {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let server = if host.trim().is_empty() { "localhost" } else { host.trim() };
    Own {
        server: server.to_owned(),
        components: vec![
            ("apiserver", "/metrics"),
            ("kube-controller-manager", "/metrics/controllers"),
            ("kube-scheduler", "/metrics/scheduler"),
            ("autoscaler", "/metrics/autoscaler"),
            ("metrics", "/metrics/metrics"),
        ],
        kubelet_paths: vec!["/metrics"],
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
