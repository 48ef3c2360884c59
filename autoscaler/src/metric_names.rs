//! Every metric of the autoscaler, with its help.

use prometheus_client::metrics::{counter::Counter, histogram::Histogram};
use tiphys_telemetry::Component;

/// Seconds, around the second between two samples.
const AGE_BUCKETS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0];

pub struct Metrics {
    pub rounds: Counter,
    pub failures: Counter,
    pub scaled: Counter,
    pub sample_age: Histogram,
}

impl Metrics {
    pub fn register(component: &Component) -> Self {
        let metrics = Self {
            rounds: Counter::default(),
            failures: Counter::default(),
            scaled: Counter::default(),
            sample_age: Histogram::new(AGE_BUCKETS),
        };
        component.registry(|registry| {
            registry.register("tiphys_autoscaler_rounds", "Looks at one autoscaler", metrics.rounds.clone());
            registry.register(
                "tiphys_autoscaler_failures",
                "Looks that the API did not let end",
                metrics.failures.clone(),
            );
            registry.register(
                "tiphys_autoscaler_scaled",
                "Writes of a target's scale",
                metrics.scaled.clone(),
            );
            registry.register(
                "tiphys_autoscaler_sample_age_seconds",
                "Age of the newest sample that a decision rests on",
                metrics.sample_age.clone(),
            );
        });
        metrics
    }
}
