//! What scraping and the doors tell of themselves on the component's `/metrics`.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use tiphys_telemetry::Component;

use crate::series::{Appended, Refused};

/// Different words on one metric; what is beyond is counted without them.
const WORDS: usize = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedSeries {
    namespace: String,
    reason: &'static str,
    /// The metric with the most series, or the one that is wrong.
    worst: String,
}

/// A request that was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusedRequest {
    pub door: &'static str,
    pub reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    pub result: &'static str,
}

/// Clones share them.
#[derive(Clone, Default)]
pub struct Counts {
    refused: Family<RefusedSeries, Counter>,
    words: Arc<AtomicUsize>,
    pub requests_refused: Family<RefusedRequest, Counter>,
    pub scrapes: Family<ByResult, Counter>,
    pub targets: Gauge,
    pub samples: Counter,
    pub out_of_order: Counter,
    pub duplicates: Counter,
    pub ahead: Counter,
    pub too_large: Counter,
    pub exemplars_refused: Counter,
}

impl Counts {
    pub fn register(&self, component: &Component) {
        component.registry(|registry| {
            registry.register(
                "tiphys_metrics_series_refused",
                "Series that were not taken; `worst` has the most series, or is wrong",
                self.refused.clone(),
            );
            registry.register(
                "tiphys_metrics_requests_refused",
                "Requests of senders refused as a whole; the samples that they had are counted nowhere",
                self.requests_refused.clone(),
            );
            registry.register("tiphys_metrics_scrapes", "Scrapes by how they ended", self.scrapes.clone());
            registry.register("tiphys_metrics_targets", "Targets that are scraped", self.targets.clone());
            registry.register("tiphys_metrics_samples", "Samples taken in", self.samples.clone());
            registry.register(
                "tiphys_metrics_samples_out_of_order",
                "Samples older than the newest of their series",
                self.out_of_order.clone(),
            );
            registry.register(
                "tiphys_metrics_samples_duplicate",
                "Samples that say another value for a time that has one",
                self.duplicates.clone(),
            );
            registry.register(
                "tiphys_metrics_samples_ahead",
                "Samples with a time more than ten minutes ahead of the clock",
                self.ahead.clone(),
            );
            registry.register(
                "tiphys_metrics_samples_too_large",
                "Native histograms not taken, as they have too many buckets, spans and bounds",
                self.too_large.clone(),
            );
            registry.register(
                "tiphys_metrics_exemplars_refused",
                "Exemplars not taken: more than 128 characters of labels, or of a series that is gone",
                self.exemplars_refused.clone(),
            );
        });
    }

    /// Counts a series that the store did not take.
    pub fn refused(&self, namespace: &str, refused: &Refused) {
        let worst = match refused {
            Refused::NamespaceFull { worst, .. } => worst.clone(),
            Refused::TooManyLabels { labels, .. } => labels.clone(),
            Refused::LabelTooLong { metric, .. } => metric.clone(),
            Refused::Full(_) | Refused::NoName => String::new(),
        };
        let short = |text: &str| text.chars().take(100).collect::<String>();
        let label =
            RefusedSeries { namespace: short(namespace), reason: refused.reason(), worst: short(&worst) };
        if let Some(counter) = self.refused.get(&label) {
            counter.inc();
            return;
        }
        let label = match self.words.fetch_add(1, Ordering::Relaxed) < WORDS {
            true => label,
            false => RefusedSeries { namespace: String::new(), reason: label.reason, worst: String::new() },
        };
        self.refused.get_or_create(&label).inc();
    }

    /// Counts what became of samples.
    pub fn appended(&self, appended: &Appended) {
        self.samples.inc_by(appended.taken);
        self.untaken(appended);
    }

    /// Counts only those that were not taken.
    pub fn untaken(&self, appended: &Appended) {
        self.out_of_order.inc_by(appended.out_of_order);
        self.duplicates.inc_by(appended.duplicate);
        self.ahead.inc_by(appended.future);
        self.too_large.inc_by(appended.too_large);
    }

    pub fn ended(&self, result: &'static str) {
        self.scrapes.get_or_create(&ByResult { result }).inc();
    }
}
