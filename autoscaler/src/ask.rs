//! Asks each metric of an autoscaler for its figure and what it proposes.
//!
//! Errors are upstream's sentences: a reader may look them up.

use std::{collections::HashMap, sync::Arc};

use tiphys_api::ways::Ways;
use tiphys_client::LeanPod;

use crate::{
    controller::{Config, micros},
    decide::Asked,
    formula::{Goal, PodView, Proposal, Question, Rules, Whole, propose},
    pods::view,
    source::{MetricName, MetricSource, Reading},
    spec::{Metric, Spec},
    trouble::Type,
    wording,
};

/// What all metrics of one autoscaler are asked with.
pub struct Asking<'a> {
    pub source: &'a dyn MetricSource,
    pub config: Config,
    pub spec: &'a Spec,
    pub namespace: &'a str,
    pub pods: &'a [Arc<LeanPod>],
    /// `spec.replicas` and `status.replicas` of the target's scale.
    pub current: i32,
    pub status: i32,
    /// What rates are taken over, microseconds.
    pub window: i64,
    pub now: i64,
}

impl Asking<'_> {
    /// What each metric proposes, and when the newest sample among them was taken (0: never).
    pub async fn all(&self) -> (Vec<Asked>, i64) {
        let mut newest = 0;
        let mut all = Vec::with_capacity(self.spec.metrics.len());
        for metric in &self.spec.metrics {
            all.push(match metric {
                Err(trouble) => Asked { metric: None, result: Err(trouble.clone()) },
                Ok(metric) => {
                    let result = self.one(metric, &mut newest).await;
                    let result =
                        result.map_err(|why| Type::of(&metric.name).failed(&metric.name, metric.goal, &why));
                    Asked { metric: Some(metric.clone()), result }
                }
            });
        }
        (all, newest)
    }

    async fn one(&self, metric: &Metric, newest: &mut i64) -> Result<Proposal, String> {
        let views: Vec<_> = self.pods.iter().map(|pod| view(pod, &metric.name)).collect();
        let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
        let mut seen = |time: i64| *newest = time.max(*newest);
        match &metric.name {
            MetricName::Resource { resource, container } => {
                let (namespace, container) = (self.namespace, container.as_deref());
                let asked = self.source.resource(namespace, &names, resource, container, self.window);
                let readings = per_pod(asked.await, "resource")
                    .map_err(|why| format!("unable to get metrics for resource {resource}: {why}"))?;
                readings.values().for_each(|reading| seen(reading.time));
                self.propose(metric.goal, &views, &readings, resource == "cpu")
            }
            MetricName::Pods(series) => {
                let asked = self.source.pods(self.namespace, &names, series, self.window).await;
                let readings = per_pod(asked, "custom")
                    .map_err(|why| format!("unable to get metric {}: {why}", series.name))?;
                readings.values().for_each(|reading| seen(reading.time));
                self.propose(metric.goal, &views, &readings, false)
            }
            MetricName::Object { object, series } => {
                let reading = self.source.object(self.namespace, object, series).await.map_err(|why| {
                    let (metric, namespace, why) = (&series.name, self.namespace, unable("custom", &why));
                    format!(
                        "unable to get metric {metric} on {} {namespace}/{}: {why}",
                        object.kind, object.name
                    )
                })?;
                seen(reading.time);
                self.propose_whole(metric.goal, &views, (reading.milli, reading.ways))
            }
            MetricName::External(series) => {
                let readings = self.source.external(self.namespace, series).await;
                let readings = match readings {
                    Ok(readings) if readings.is_empty() => Err(none("external")),
                    readings => readings.map_err(|why| unable("external", &why)),
                };
                let readings = readings.map_err(|why| {
                    let selector = wording::go_syntax(metric.identifier.selector.as_ref());
                    format!(
                        "unable to get external metric {}/{}/{selector}: {why}",
                        self.namespace, series.name
                    )
                })?;
                readings.iter().for_each(|reading| seen(reading.time));
                let figure = readings.iter().fold((0i64, Ways::default()), |(sum, ways), one| {
                    (sum.saturating_add(one.milli), ways.and(one.ways))
                });
                self.propose_whole(metric.goal, &views, figure)
            }
        }
    }

    fn propose(
        &self,
        goal: Goal,
        pods: &[PodView],
        readings: &HashMap<String, Reading>,
        is_cpu: bool,
    ) -> Result<Proposal, String> {
        let (current_replicas, rules, now) = (self.current, self.rules(), self.now);
        propose(&Question { current_replicas, goal, pods, readings, is_cpu, rules, now })
    }

    /// Of a figure in thousandths, and the ways by which it came.
    fn propose_whole(
        &self,
        goal: Goal,
        pods: &[PodView],
        (total, ways): (i64, Ways),
    ) -> Result<Proposal, String> {
        let whole = Whole {
            total,
            current_replicas: self.current,
            status_replicas: self.status,
            pods,
            rules: self.rules(),
            ways,
        };
        match goal {
            Goal::Value(target) => whole.propose_value(target),
            Goal::AverageValue(target) => Ok(whole.propose_average(target)),
            // No spec has it: the API refuses it, and `spec` reads no such goal for these types.
            Goal::Utilization(_) => Err("a utilization is a figure of Pods".to_owned()),
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            tolerance_up: self.spec.up.tolerance,
            tolerance_down: self.spec.down.tolerance,
            cpu_initialization: micros(self.config.cpu_initialization),
            initial_readiness: micros(self.config.initial_readiness),
        }
    }
}

fn per_pod(
    asked: Result<HashMap<String, Reading>, String>,
    api: &str,
) -> Result<HashMap<String, Reading>, String> {
    let readings = asked.map_err(|why| unable(api, &why))?;
    if readings.is_empty() { Err(none(api)) } else { Ok(readings) }
}

fn unable(api: &str, why: &str) -> String {
    format!("unable to fetch metrics from {api} metrics API: {why}")
}

fn none(api: &str) -> String {
    format!("no metrics returned from {api} metrics API")
}

#[cfg(test)]
mod tests;
