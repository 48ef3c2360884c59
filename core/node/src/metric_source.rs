//! The autoscaler's readings, out of the metrics server; its decisions, into the
//! metrics server's table. Here the two meet, since neither may know the other.

use std::{collections::HashMap, ops::Range, sync::Arc};

use async_trait::async_trait;
use tiphys_api::decisions::Decision;
use tiphys_autoscaler::{DecisionSink, Described, MetricSource, Reading, Series};
use tiphys_metrics::{CustomMetrics, Decisions, Memory};
use tokio::sync::{Semaphore, watch};

pub struct Metrics {
    memory: Arc<Memory>,
    custom: CustomMetrics,
}

impl Metrics {
    pub fn new(memory: Arc<Memory>, custom: CustomMetrics) -> Self {
        Self { memory, custom }
    }
}

#[async_trait]
impl MetricSource for Metrics {
    async fn resource(
        &self,
        namespace: &str,
        pods: &[&str],
        resource: &str,
        container: Option<&str>,
        window: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        if !["cpu", "memory"].contains(&resource) {
            return Err(format!("there is no resource metric {resource}; use cpu or memory"));
        }
        let found = self.custom.sampled(window, namespace, pods, container, resource)?;
        Ok(found.into_iter().map(|(pod, reading)| (pod, thousandths(reading))).collect())
    }

    async fn pods(
        &self,
        namespace: &str,
        pods: &[&str],
        series: &Series,
        window: i64,
    ) -> Result<HashMap<String, Reading>, String> {
        let Series { name, selector } = series;
        let found = self.custom.pods_over(window, namespace, pods, None, name, selector).await?;
        Ok(found.into_iter().map(|(pod, reading)| (pod, thousandths(reading))).collect())
    }

    async fn object(&self, namespace: &str, object: &Described, series: &Series) -> Result<Reading, String> {
        let (kind, name) = (&object.kind, &object.name);
        self.custom.object(namespace, kind, name, &series.name, &series.selector).await.map(thousandths)
    }

    async fn external(&self, namespace: &str, series: &Series) -> Result<Vec<Reading>, String> {
        let found = self.custom.external(namespace, &series.name, &series.selector).await?;
        Ok(found.into_iter().map(|one| thousandths(one.reading)).collect())
    }

    fn fresh(&self) -> watch::Receiver<u64> {
        self.memory.fresh()
    }
}

fn thousandths(reading: tiphys_metrics::Reading) -> Reading {
    let milli = (reading.value * 1000.0).round() as i64;
    Reading { milli, time: reading.time, window: reading.window, ways: reading.ways }
}

/// Threads that read past decisions at once. One reads and the next is ready; more would only wait.
const READING: usize = 2;

pub struct RecordDecisions {
    decisions: Arc<Decisions>,
    reading: Arc<Semaphore>,
}

impl RecordDecisions {
    pub fn new(decisions: Arc<Decisions>) -> Self {
        Self { decisions, reading: Arc::new(Semaphore::new(READING)) }
    }
}

#[async_trait]
impl DecisionSink for RecordDecisions {
    fn record(&self, decision: Decision) {
        self.decisions.record(decision);
    }

    async fn asked(&self, namespace: &str, autoscaler: &str, ranges: &[Range<i64>]) -> Vec<Option<i32>> {
        let (decisions, ranges) = (self.decisions.clone(), ranges.to_vec());
        let (namespace, autoscaler) = (namespace.to_owned(), autoscaler.to_owned());
        let turn = self.reading.clone().acquire_owned().await.expect("it is never closed");
        // Past days are in files. The turn lasts as long as the thread, whoever still waits for it.
        let read = tokio::task::spawn_blocking(move || {
            let asked = decisions.asked(&namespace, &autoscaler, &ranges);
            drop(turn);
            asked
        });
        read.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "past decisions can't be read");
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiphys_api::decisions::MetricReading;
    use tiphys_lifecycle::Tasks;

    #[tokio::test]
    async fn the_past_is_what_metrics_asked_for_and_no_forecast() {
        let folder = tempfile::tempdir().expect("a folder");
        let tasks = Tasks::new();
        let decisions = Decisions::open(folder.path().join("decisions"), &tasks).expect("opened");
        let sink = RecordDecisions::new(decisions);
        for (time, name, proposal) in [(5, "web", 3), (6, "web", 4), (6, "other", 9), (20, "web", 8)] {
            let metric = MetricReading { proposal: Some(proposal), ..MetricReading::default() };
            sink.record(Decision {
                time,
                namespace: "shop".into(),
                autoscaler: name.into(),
                metrics: vec![metric],
                proposed_replicas: 50,
                ..Decision::default()
            });
        }
        let past = [0_i64..10, 10..15, 15..30];
        assert_eq!(sink.asked("shop", "web", &past).await, [Some(4), None, Some(8)]);
        // Who asks while others read takes no thread.
        let turns = sink.reading.clone().acquire_many_owned(2).await.expect("open");
        let mut waits = sink.asked("shop", "web", &past);
        assert!(futures::poll!(waits.as_mut()).is_pending());
        assert_eq!(sink.reading.available_permits(), 0);
        drop(turns);
        assert_eq!(waits.await, [Some(4), None, Some(8)]);
        assert_eq!(sink.reading.available_permits(), 2, "a turn was not given back");
        tasks.shutdown(std::time::Duration::from_secs(120)).await;
    }
}
