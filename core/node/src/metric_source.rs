//! The autoscaler's readings, out of the metrics server; its decisions, into the
//! metrics server's table. Here the two meet, since neither may know the other.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use tiphys_api::{decisions::Decision, selector::LabelSelector};
use tiphys_autoscaler::{DecisionSink, Described, MetricSource, Reading, Series};
use tiphys_metrics::{CustomMetrics, Decisions, Memory};
use tokio::sync::watch;

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
    ) -> Result<HashMap<String, Reading>, String> {
        if !["cpu", "memory"].contains(&resource) {
            return Err(format!("there is no resource metric {resource}; use cpu or memory"));
        }
        let all = LabelSelector::default();
        let found = self.custom.pods(namespace, pods, container, resource, &all).await?;
        Ok(found.into_iter().map(|(pod, reading)| (pod, thousandths(reading))).collect())
    }

    async fn pods(
        &self,
        namespace: &str,
        pods: &[&str],
        series: &Series,
    ) -> Result<HashMap<String, Reading>, String> {
        let found = self.custom.pods(namespace, pods, None, &series.name, &series.selector).await?;
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
    Reading { milli, time: reading.time, window: reading.window }
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
