//! One decision of the autoscaler, as a row: what it saw, what each metric
//! proposed, and what was done with the proposal.

use serde::{Deserialize, Serialize};

/// Names of Pods that a row has at most.
pub const NAMES: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// Microseconds since the Unix epoch.
    pub time: i64,
    pub namespace: String,
    /// The HorizontalPodAutoscaler's name.
    pub autoscaler: String,
    /// `Deployment/web`
    pub target: String,
    pub current_replicas: i32,
    pub desired_replicas: i32,
    pub min_replicas: i32,
    pub max_replicas: i32,
    /// Each metric's name, raw value, target, ratio, proposal and trouble.
    pub metrics: Vec<MetricReading>,
    /// What the metrics asked for, before behaviour and limits.
    pub proposed_replicas: i32,
    /// After stabilization.
    pub stabilized_replicas: i32,
    /// What limited the result: empty, `minReplicas`, `maxReplicas`, `scaleUpPolicy`, `scaleDownPolicy`,
    /// `stabilization`, `tolerance`, `failure`, `disabled`.
    pub limited_by: String,
    /// The policy behind `scaleUpPolicy` and `scaleDownPolicy`, in words.
    pub policy: String,
    /// When the limit lets go, if nothing new happens; microseconds since the Unix epoch.
    pub held_until: Option<i64>,
    /// How far above its target a ratio may be without any change, and below.
    pub tolerance_up: f64,
    pub tolerance_down: f64,
    /// What the load of past days asks for, where the autoscaler has a forecast.
    pub forecast: Option<i32>,
    /// What kept metrics from being used, also where others decided; empty when nothing did.
    pub failure: String,
    /// A sentence for a person.
    pub reason: String,
    /// Age of the newest sample it was made from, in milliseconds.
    pub sample_age_ms: i64,
    /// Whether `/scale` was written.
    pub scaled: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricReading {
    pub name: String,
    /// `Utilization` (percent), `AverageValue` or `Value`.
    pub target_type: String,
    pub current: Option<f64>,
    pub target: f64,
    pub ratio: Option<f64>,
    pub proposal: Option<i32>,
    pub pods_counted: i32,
    pub pods_missing: i32,
    pub pods_unready: i32,
    /// Their names, the first [`NAMES`] of them.
    pub missing: Vec<String>,
    pub unready: Vec<String>,
    /// By which ways the figures came, as [`crate::ways::Way`] names them; empty where it is not known, as in
    /// rows of former versions.
    pub sources: Vec<String>,
    /// Why it gave no proposal.
    pub error: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_former_version_is_read_and_knows_no_sources() {
        let row = r#"{"time": 5, "metrics": [{"name": "cpu", "podsCounted": 2}]}"#;
        let decision: Decision = serde_json::from_str(row).expect("a row");
        let reading = MetricReading { name: "cpu".into(), pods_counted: 2, ..MetricReading::default() };
        assert_eq!(decision, Decision { time: 5, metrics: vec![reading], ..Decision::default() });
    }
}
