//! `tiphys why hpa NAME`: the autoscaler's last decisions in words.

mod explain;

use std::{collections::BTreeMap, process::ExitCode};

use jiff::{SignedDuration, Timestamp};
use tiphys_api::decisions::Decision;

use super::{Global, connect::Connect};
use crate::{
    failure::{Failure, OrAsked, OrNext, Outcome},
    output,
};

/// Say why something is as it is.
///
/// Examples:
///   tiphys why hpa web
///   tiphys why hpa web -n shop --since 1d
///   tiphys why hpa web -o json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Why {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Why a HorizontalPodAutoscaler scaled, did not scale, or is held back
    Hpa(Hpa),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Sentences
    Text,
    /// The decisions as they are kept, one JSON array
    Json,
}

#[derive(Debug, clap::Args)]
struct Hpa {
    /// The HorizontalPodAutoscaler
    name: String,
    /// Its namespace; by default that of the kubeconfig's context
    #[arg(short, long)]
    namespace: Option<String>,
    /// How far to look back: 30m, 6h, 2d
    #[arg(long, default_value = "1h", value_parser = period)]
    since: SignedDuration,
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
    #[command(flatten)]
    connect: Connect,
}

impl Why {
    pub async fn run(self, global: &Global) -> Outcome<ExitCode> {
        match self.what {
            What::Hpa(hpa) => hpa.run(global).await,
        }
    }
}

impl Hpa {
    async fn run(self, global: &Global) -> Outcome<ExitCode> {
        let client = self.connect.client(global).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let now = Timestamp::now();
        let sql = statement(&namespace, &self.name, now - self.since);
        let body = serde_json::to_vec(&serde_json::json!({ "sql": sql }))?;
        let request = http::Request::post("/tiphys/v1/sql")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)?;
        let next = "tiphys status";
        let text = client.request_text(request).await.or_asked(next)?;
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).or_next(next)?;
        let decisions: Vec<Decision> =
            rows.into_iter().map(decision).collect::<Result<_, _>>().or_next(next)?;
        if decisions.is_empty() {
            let hpa = format!("{namespace}/{}", self.name);
            return Err(Failure::new(
                format!("the autoscaler has decided nothing about {hpa} in this time, or you may not see it"),
                format!("kubectl get hpa -n {namespace}; or look farther back with --since 1d"),
            ));
        }
        match self.output {
            Format::Json => output::data(&format!("{}\n", serde_json::to_string_pretty(&decisions)?))?,
            Format::Text => {
                let beside = Beside::read(&client, &namespace, &self.name).await;
                output::data(&explain::explain(&decisions, &beside, now))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What stands beside decisions, as far as who asks may see it.
#[derive(Debug, Default)]
struct Beside {
    /// Of TiphysMetrics, by name.
    units: BTreeMap<String, String>,
    /// What can't be understood of the autoscaler's annotations.
    mistake: Option<String>,
}

impl Beside {
    async fn read(client: &kube::Client, namespace: &str, name: &str) -> Self {
        let metrics = format!("/apis/metrics.tiphys.io/v1/namespaces/{namespace}/tiphysmetrics");
        let scaler = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}");
        let (metrics, scaler) = (object(client, &metrics).await, object(client, &scaler).await);
        Self::of(&metrics.unwrap_or_default(), &scaler.unwrap_or_default())
    }

    /// Of a list of TiphysMetrics, and of an autoscaler.
    fn of(metrics: &serde_json::Value, scaler: &serde_json::Value) -> Self {
        let unit = |metric: &serde_json::Value| {
            let unit = metric["spec"]["unit"].as_str().filter(|unit| !unit.is_empty())?;
            Some((metric["metadata"]["name"].as_str()?.to_owned(), unit.to_owned()))
        };
        let units = metrics["items"].as_array().into_iter().flatten().filter_map(unit).collect();
        let annotation = scaler["metadata"]["annotations"][tiphys_autoscaler::PREDICT].as_str();
        Self { units, mistake: annotation.and_then(tiphys_autoscaler::mistake) }
    }
}

async fn object(client: &kube::Client, path: &str) -> Option<serde_json::Value> {
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    serde_json::from_str(&client.request_text(request).await.ok()?).ok()
}

/// The rows of one autoscaler, oldest first; times as numbers, so that they are read as they are kept.
fn statement(namespace: &str, name: &str, since: Timestamp) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    format!(
        "select cast(time as bigint) as \"time\", namespace, autoscaler, target, current_replicas as \
         \"currentReplicas\", desired_replicas as \"desiredReplicas\", min_replicas as \"minReplicas\", \
         max_replicas as \"maxReplicas\", metrics, proposed_replicas as \"proposedReplicas\", \
         stabilized_replicas as \"stabilizedReplicas\", limited_by as \"limitedBy\", policy, \
         cast(held_until as bigint) as \"heldUntil\", tolerance_up as \"toleranceUp\", tolerance_down as \
         \"toleranceDown\", forecast, failure, reason, sample_age_ms as \"sampleAgeMs\", scaled \
         from decisions where namespace = '{}' and autoscaler = '{}' and time >= timestamp '{since}' order by 1",
        quoted(namespace),
        quoted(name),
    )
}

/// A row as it came; its metrics are JSON within.
fn decision(mut row: serde_json::Value) -> serde_json::Result<Decision> {
    if let Some(metrics) = row["metrics"].as_str() {
        row["metrics"] = serde_json::from_str(metrics)?;
    }
    // What is absent has its default; a null has not.
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    serde_json::from_value(row)
}

pub fn period(text: &str) -> Result<SignedDuration, String> {
    let wrong = || format!("{text:?} is no time span; use 30m, 6h or 2d");
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let number: i64 = text[..split].parse().map_err(|_| wrong())?;
    let seconds = match &text[split..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 366 * 86_400);
    seconds.map(SignedDuration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_the_decision_that_it_was() {
        let row = serde_json::json!({"time": 5, "autoscaler": "web", "heldUntil": null, "forecast": null,
            "limitedBy": "tolerance", "metrics": r#"[{"name":"cpu","podsMissing":1,"missing":["web-1"]}]"#});
        let decision = decision(row).expect("a decision");
        assert_eq!((decision.time, decision.held_until, &*decision.limited_by), (5, None, "tolerance"));
        assert_eq!(decision.metrics[0].missing, ["web-1"]);
    }

    #[test]
    fn units_and_mistakes_are_read_from_objects() {
        let metric =
            |name: &str, unit: &str| serde_json::json!({"metadata": {"name": name}, "spec": {"unit": unit}});
        let metrics = serde_json::json!({"items": [metric("orders", "orders"), metric("plain", "")]});
        let scaler =
            |days: &str| serde_json::json!({"metadata": {"annotations": {tiphys_autoscaler::PREDICT: days}}});
        let beside = Beside::of(&metrics, &scaler("7 days"));
        assert_eq!(beside.units, BTreeMap::from([("orders".to_owned(), "orders".to_owned())]));
        assert!(beside.mistake.is_some_and(|mistake| mistake.contains("7 days")));
        assert_eq!(Beside::of(&metrics, &scaler("7d")).mistake, None);
        let nothing = Beside::of(&serde_json::Value::Null, &serde_json::Value::Null);
        assert!(nothing.units.is_empty() && nothing.mistake.is_none());
    }

    #[test]
    fn names_are_quoted_and_spans_are_read() {
        assert!(statement("a'b", "c", Timestamp::UNIX_EPOCH).contains("namespace = 'a''b'"));
        assert_eq!(period("2h"), Ok(SignedDuration::from_hours(2)));
        assert!(period("2").is_err() && period("h").is_err() && period("2w").is_err());
    }
}
