//! `rest_client_requests_total`: what a component asks of the API, and how that was answered. The
//! name is that of Kubernetes' own components.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: String,
    code: String,
}

/// The requests of one client. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Requests(Family<Labels, Counter>);

impl Requests {
    /// From now on `component` tells of them.
    pub fn register(&self, component: &Component) {
        component.registry(|registry| {
            registry.register(
                "rest_client_requests",
                "Requests to the API by method and status",
                self.0.clone(),
            );
        });
    }

    /// One was answered with the status `code`, or not at all.
    pub fn count(&self, method: &str, code: Option<u16>) {
        let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        self.0.get_or_create(&Labels { method: method.to_owned(), code }).inc();
    }
}
