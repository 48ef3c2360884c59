//! A span, a count and a time for each request.

use std::{sync::Arc, time::Instant};

use http::{Method, Request, Response, header};
use tiphys_api::serve::Body;
use tracing::{Instrument, Span, field::Empty};

use crate::{
    metrics::{InFlight, Metrics, RequestLabels},
    request::info::{RequestInfo, Target},
    state::Core,
};

/// A request that is being answered.
pub struct Observed {
    span: Span,
    labels: RequestLabels,
    metrics: Metrics,
    started: Instant,
    in_flight: InFlight,
}

impl Observed {
    /// Begins; the span is put below the caller's, if it names one.
    pub fn begin(core: &Arc<Core>, request: &Request<Body>, target: Option<&Target>) -> Self {
        let labels = labels(core, request, target);
        let verb = match target {
            Some(Target::Resource(info)) if !labels.resource.is_empty() => info.verb.to_owned(),
            _ => labels.verb.to_ascii_lowercase(),
        };
        let span = tracing::info_span!(
            "api request",
            method = %request.method(),
            verb,
            resource = %labels.resource,
            subresource = %labels.subresource,
            path = %request.uri().path(),
            code = Empty,
        );
        let parent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        if let Some(parent) = parent {
            tiphys_telemetry::trace::set_parent(&span, parent);
        }
        let metrics = core.metrics.clone();
        let in_flight = metrics.begin(matches!(*request.method(), Method::GET | Method::HEAD));
        Self { span, labels, metrics, started: Instant::now(), in_flight }
    }

    /// Runs the request to its response's head.
    pub async fn run(self, work: impl Future<Output = Response<Body>>) -> Response<Body> {
        let Self { span, mut labels, metrics, started, in_flight } = self;
        let response = work.instrument(span.clone()).await;
        drop(in_flight);
        labels.code = response.status().as_u16();
        span.record("code", labels.code);
        tracing::debug!(
            parent: &span,
            verb = %labels.verb,
            resource = %labels.resource,
            code = labels.code,
            took = ?started.elapsed(),
            "request answered"
        );
        metrics.end(labels, started.elapsed());
        response
    }
}

/// Only what is served becomes a label: a caller can't make up series.
fn labels(core: &Core, request: &Request<Body>, target: Option<&Target>) -> RequestLabels {
    let mut labels = RequestLabels {
        verb: method(request.method()),
        group: String::new(),
        version: String::new(),
        resource: String::new(),
        subresource: String::new(),
        scope: "",
        code: 0,
    };
    let Some(Target::Resource(info)) = target else { return labels };
    let Some(resource) = core.registry.find(&info.group, &info.version, &info.resource) else {
        return labels;
    };
    let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    labels.group = info.group.clone();
    labels.version = info.version.clone();
    labels.resource = info.resource.clone();
    labels.scope = scope(info);
    let mut subresource = "";
    if resource.kind.subresource(&info.subresource).is_some() {
        subresource = info.subresource.as_str();
        labels.subresource = info.subresource.clone();
    }
    labels.verb = verb(info.verb, subresource, content.unwrap_or_default());
    labels
}

/// Of what is no resource.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "OTHER",
    }
}

/// The verb of a request for a resource, as kube-apiserver counts it; `content` is its Content-Type.
fn verb(verb: &str, subresource: &str, content: &str) -> &'static str {
    if matches!(subresource, "exec" | "attach" | "portforward" | "proxy") {
        return "CONNECT";
    }
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" if content.starts_with("application/apply-patch") => "APPLY",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "OTHER",
    }
}

/// How much of the cluster a request for a resource is about.
fn scope(info: &RequestInfo) -> &'static str {
    match info {
        info if !info.name.is_empty() || info.verb == "create" => "resource",
        info if !info.namespace.is_empty() => "namespace",
        _ => "cluster",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_upstreams_verbs() {
        let apply = "application/apply-patch+yaml";
        for (spoken, subresource, content, expected) in [
            ("get", "", "", "GET"),
            ("get", "log", "", "GET"),
            ("list", "", "", "LIST"),
            ("watch", "", "", "WATCH"),
            ("create", "", "application/json", "POST"),
            ("create", "binding", "application/json", "POST"),
            ("update", "status", "application/json", "PUT"),
            ("patch", "", "application/merge-patch+json", "PATCH"),
            ("patch", "status", apply, "APPLY"),
            ("create", "", apply, "POST"),
            ("delete", "", "", "DELETE"),
            ("deletecollection", "", "", "DELETECOLLECTION"),
            ("get", "proxy", "", "CONNECT"),
            ("create", "exec", "", "CONNECT"),
        ] {
            assert_eq!(verb(spoken, subresource, content), expected, "{spoken} {subresource} {content}");
        }
        for (given, expected) in [(Method::HEAD, "HEAD"), (Method::OPTIONS, "OTHER")] {
            assert_eq!(method(&given), expected);
        }
    }

    #[test]
    fn the_scope_is_what_a_request_is_about() {
        for (verb, namespace, name, expected) in [
            ("get", "shop", "web", "resource"),
            ("get", "", "node-1", "resource"),
            ("create", "shop", "", "resource"),
            ("list", "shop", "", "namespace"),
            ("deletecollection", "shop", "", "namespace"),
            ("watch", "", "", "cluster"),
        ] {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            let info = RequestInfo { verb, namespace, name, ..RequestInfo::default() };
            assert_eq!(scope(&info), expected, "{info:?}");
        }
    }
}
