//! What the DNS server says about its own work.

use std::time::Duration;

use hickory_server::proto::op::ResponseCode;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
};
use tiphys_telemetry::Component;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    /// `cluster` or `upstream`.
    source: &'static str,
    code: String,
}

/// The server's figures. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    answers: Family<Answered, Counter>,
    forward_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(component: &Component) -> Self {
        let metrics = Self {
            answers: Family::default(),
            forward_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 13)),
        };
        component.registry(|registry| {
            registry.register("dns_answers", "Answers by their source and code", metrics.answers.clone());
            registry.register(
                "dns_forward_seconds",
                "Time until an upstream resolver had answered, or none had",
                metrics.forward_seconds.clone(),
            );
        });
        metrics
    }

    pub(crate) fn answered(&self, source: &'static str, code: ResponseCode) {
        self.answers.get_or_create(&Answered { source, code: code.to_str().to_owned() }).inc();
    }

    pub(crate) fn forwarded(&self, took: Duration) {
        self.forward_seconds.observe(took.as_secs_f64());
    }
}
