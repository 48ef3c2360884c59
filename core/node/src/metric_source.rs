//! The autoscaler's readings, out of the metrics server's memory; its decisions,
//! into the metrics server's table. Here the two meet, since neither may know the other.

use std::{collections::HashMap, sync::Arc};

use tiphys_api::decisions::Decision;
use tiphys_autoscaler::{DecisionSink, MetricName, MetricSource, Reading};
use tiphys_metrics::{Decisions, Figure, Memory};
use tokio::sync::watch;

/// What a rate is computed over: long enough to be calm, short enough that a
/// load step shows in the next decision. Microseconds.
const WINDOW: i64 = 2 * 1_000_000;

/// Names of figures that an HPA may ask for as a Pods metric.
const POD_METRICS: &[&str] = &[
    "disk_read_bytes_per_second",
    "disk_write_bytes_per_second",
    "disk_reads_per_second",
    "disk_writes_per_second",
    "network_receive_bytes_per_second",
    "network_transmit_bytes_per_second",
];

pub struct SampledMetrics {
    memory: Arc<Memory>,
}

impl SampledMetrics {
    pub fn new(memory: Arc<Memory>) -> Self {
        Self { memory }
    }
}

impl MetricSource for SampledMetrics {
    fn read(
        &self,
        namespace: &str,
        pods: &[&str],
        metric: &MetricName,
    ) -> Result<HashMap<String, Reading>, String> {
        let (name, container) = match metric {
            MetricName::Resource { resource, container } => match resource.as_str() {
                "cpu" => ("cpu_cores", container.as_deref()),
                "memory" => ("memory_working_set_bytes", container.as_deref()),
                other => return Err(format!("there is no resource metric {other}; use cpu or memory")),
            },
            MetricName::Pods { name } if POD_METRICS.contains(&name.as_str()) => (name.as_str(), None),
            MetricName::Pods { name } => {
                return Err(format!("there is no Pods metric {name}; use one of {}", POD_METRICS.join(", ")));
            }
        };
        let figure = Figure::named(name).ok_or_else(|| format!("there is no figure {name}"))?;
        let readings = self.memory.pods(namespace, pods, container, figure, WINDOW);
        let milli = |value: f64| (value * 1000.0).round() as i64;
        Ok(readings
            .into_iter()
            .map(|(pod, one)| (pod, Reading { milli: milli(one.value), time: one.time, window: one.window }))
            .collect())
    }

    fn fresh(&self) -> watch::Receiver<u64> {
        self.memory.fresh()
    }
}

pub struct RecordDecisions {
    decisions: Arc<Decisions>,
}

impl RecordDecisions {
    pub fn new(decisions: Arc<Decisions>) -> Self {
        Self { decisions }
    }
}

impl DecisionSink for RecordDecisions {
    fn record(&self, decision: Decision) {
        self.decisions.record(decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_metric_exists() {
        for name in POD_METRICS {
            assert!(Figure::named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn an_unknown_metric_names_those_that_exist() {
        let source = SampledMetrics::new(Arc::default());
        let error =
            source.read("default", &[], &MetricName::Pods { name: "requests".into() }).expect_err("refused");
        assert!(error.contains("disk_write_bytes_per_second"), "{error}");
    }
}
