//! The metrics of the controllers: their names and what they mean.
//!
//! Those of their queues are `workqueue_*`, with the controller as `name`, as dashboards for
//! kube-controller-manager ask for them. A queue counts by itself and is read when a page is
//! asked for, so that its depth is that of the moment.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
};
use tiphys_telemetry::Component;

use crate::queue::{Counts, Queue};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByName {
    /// The controller.
    pub name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByResult {
    pub controller: &'static str,
    /// `ok`, `conflict`, `error`.
    pub result: &'static str,
}

/// Seconds of a reconcile, and of waiting for it.
pub fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
}

/// Clones share the figures.
#[derive(Clone)]
pub struct Metrics {
    pub reconciles: Family<ByResult, Counter>,
    pub work_seconds: Family<ByName, Histogram>,
    queues: Queues,
}

impl Metrics {
    pub fn register(component: &Component) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            work_seconds: Family::new_with_constructor(seconds),
            queues: Queues::default(),
        };
        component.registry(|registry| {
            registry.register("controller_reconciles", "Reconciles by result", metrics.reconciles.clone());
            registry.register(
                "workqueue_work_duration_seconds",
                "Time of a reconcile",
                metrics.work_seconds.clone(),
            );
            registry.register_collector(Box::new(metrics.queues.clone()));
        });
        metrics
    }

    /// From now on the queue of the controller `name` is told of, as long as it is there.
    pub fn queue(&self, name: &'static str, queue: &Arc<Queue>) {
        self.queues.0.lock().push((name, Arc::downgrade(queue)));
    }
}

/// A queue with the name of its controller.
type Named = (&'static str, Weak<Queue>);

#[derive(Clone, Default)]
struct Queues(Arc<Mutex<Vec<Named>>>);

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queues")
    }
}

/// A number of a queue: what it is called and means, and where it stands.
struct Number {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: fn(&Counts) -> u64,
}

const NUMBERS: [Number; 3] = [
    Number {
        name: "workqueue_depth",
        help: "Keys in line.",
        kind: MetricType::Gauge,
        value: |counts| counts.depth as u64,
    },
    Number {
        name: "workqueue_adds",
        help: "Keys that came into line.",
        kind: MetricType::Counter,
        value: |counts| counts.adds,
    },
    Number {
        name: "workqueue_retries",
        help: "Keys that were to come again because something had failed.",
        kind: MetricType::Counter,
        value: |counts| counts.retries,
    },
];

impl Collector for Queues {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let known = self.0.lock().clone();
        let queues: Vec<_> =
            known.into_iter().filter_map(|(name, queue)| Some((ByName { name }, queue.upgrade()?))).collect();
        if queues.is_empty() {
            return Ok(());
        }
        let counts: Vec<_> = queues.iter().map(|(labels, queue)| (labels, queue.counts())).collect();
        for Number { name, help, kind, value } in &NUMBERS {
            let mut family = encoder.encode_descriptor(name, help, None, *kind)?;
            for (labels, counts) in &counts {
                let metric = family.encode_family(*labels)?;
                match kind {
                    MetricType::Counter => ConstCounter::new(value(counts)).encode(metric)?,
                    _ => ConstGauge::new(value(counts)).encode(metric)?,
                }
            }
        }
        let (name, help) = ("workqueue_queue_duration_seconds", "Time that a key stood in line.");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, queue) in &queues {
            queue.waited().encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn queues_are_told_of_as_they_are_and_as_long_as_they_are() {
        let component = Component::new("controllers");
        let metrics = Metrics::register(&component);
        assert!(!component.render().contains("workqueue_"));
        let queues: [Arc<Queue>; 2] = Default::default();
        for (name, queue) in ["deployment", "endpoints"].into_iter().zip(&queues) {
            metrics.queue(name, queue);
        }
        queues[0].add(Key::new("shop", "web"));
        queues[0].add(Key::new("shop", "db"));
        queues[0].retry(Key::new("shop", "api"));
        let text = component.render();
        for line in [
            "# TYPE workqueue_depth gauge",
            "# TYPE workqueue_adds counter",
            r#"workqueue_depth{name="deployment"} 2"#,
            r#"workqueue_adds_total{name="deployment"} 2"#,
            r#"workqueue_retries_total{name="deployment"} 1"#,
            r#"workqueue_queue_duration_seconds_count{name="deployment"} 0"#,
            r#"workqueue_depth{name="endpoints"} 0"#,
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        drop(queues);
        assert!(!component.render().contains("workqueue_"));
    }
}
