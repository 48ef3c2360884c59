//! `tiphys_otlp_requests_total`: how the receiver answers what is sent to it by HTTP. It goes out
//! with the other figures: one signal may be refused while another is taken.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::{Component, export::signal::Signal};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    signal: &'static str,
    code: String,
}

/// The answers that a process gets. Clones share them.
#[derive(Clone)]
pub struct Answers {
    requests: Family<Labels, Counter>,
    /// Is told of as long as somebody holds it.
    _component: Component,
}

impl Answers {
    /// None yet, as a component of its own.
    pub fn counted() -> Self {
        let (component, requests) = (Component::new("telemetry"), Family::<Labels, Counter>::default());
        component.registry(|registry| {
            let help = "Requests to the receiver of telemetry by signal and status";
            registry.register("tiphys_otlp_requests", help, requests.clone());
        });
        Self { requests, _component: component }
    }

    /// One was answered with the status `code`, or not at all.
    pub fn count(&self, signal: Signal, code: Option<u16>) {
        self.requests.get_or_create(&labels(signal, code)).inc();
    }

    /// How many were answered so.
    #[cfg(test)]
    pub fn counted_of(&self, signal: Signal, code: Option<u16>) -> u64 {
        self.requests.get_or_create(&labels(signal, code)).get()
    }
}

fn labels(signal: Signal, code: Option<u16>) -> Labels {
    let code = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
    Labels { signal: signal.name(), code }
}
