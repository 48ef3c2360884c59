//! Asks the TiphysMetrics: a task each, with its own pace. A namespace has one seat, so that its slow
//! statements wait for each other and not others for them.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tiphys_api::quantity::Quantity;
use tiphys_lifecycle::{OnError, Tasks};
use tokio::{sync::watch, time::Instant};

use super::{Latest, Queries, TiphysMetric, TiphysMetricStatus, rows, seats::Seats, viewer};
use crate::{
    custom::ExternalValue,
    sql::{Asker, Engine, Format},
};

/// How often a status is written that says nothing new but its number.
const STATUS: Duration = Duration::from_secs(15);
/// Bytes of an error in a status.
const LONGEST_ERROR: usize = 1000;
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(3600);

struct Running {
    tasks: Tasks,
    metric: watch::Sender<Arc<TiphysMetric>>,
}

pub fn start(queries: Arc<Queries>, engine: Engine, client: Client, tasks: &Tasks) {
    let seats = Arc::new(Seats::default());
    let group = tasks.clone();
    tasks.spawn("metrics by SQL", OnError::Log, async move {
        let mut changes = Box::pin(queries.metrics.changes());
        queries.metrics.ready().await;
        let mut running: HashMap<String, Running> = HashMap::new();
        loop {
            let all = queries.metrics.list();
            running.retain(|uid, one| {
                let stays = all.iter().any(|metric| metric.uid().as_ref() == Some(uid));
                if !stays {
                    one.tasks.token().cancel();
                    let metric = one.metric.borrow().clone();
                    queries.forget(&metric.namespace().unwrap_or_default(), &metric.name_any(), uid);
                }
                stays
            });
            for metric in all {
                let uid = metric.uid().unwrap_or_default();
                if let Some(one) = running.get(&uid) {
                    // Our own writes of the status change nothing that counts.
                    one.metric.send_if_modified(|known| {
                        let changed = known.spec != metric.spec;
                        *known = metric.clone();
                        changed
                    });
                    continue;
                }
                let (sender, receiver) = watch::channel(metric.clone());
                let keeper = Keeper {
                    queries: queries.clone(),
                    engine: engine.clone(),
                    client: client.clone(),
                    seats: seats.clone(),
                    metric: receiver,
                    written: None,
                };
                let own = group.child();
                own.spawn(format!("metric {}", metric.name_any()), OnError::Log, keeper.run());
                running.insert(uid, Running { tasks: own, metric: sender });
            }
            if changes.next().await.is_none() {
                return Ok::<(), Infallible>(());
            }
        }
    });
}

struct Keeper {
    queries: Arc<Queries>,
    engine: Engine,
    client: Client,
    seats: Arc<Seats>,
    metric: watch::Receiver<Arc<TiphysMetric>>,
    /// The status as it was written last, and when.
    written: Option<(TiphysMetricStatus, Instant)>,
}

impl Keeper {
    async fn run(mut self) -> Result<(), Infallible> {
        loop {
            let begun = Instant::now();
            let metric = self.metric.borrow_and_update().clone();
            let namespace = metric.namespace().unwrap_or_default();
            let answer = self.ask(&namespace, &metric.spec.query).await;
            let (uid, time) = (metric.uid().unwrap_or_default(), Timestamp::now());
            let latest = Latest { answer: answer.clone(), uid, time: time.as_microsecond() };
            self.queries.put(&namespace, &metric.name_any(), latest);
            self.tell(&metric, &namespace, &answer, time).await;
            tokio::select! {
                () = tokio::time::sleep_until(begun + pace(&metric.spec.refresh)) => {}
                changed = self.metric.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }

    async fn ask(&self, namespace: &str, query: &str) -> Result<Vec<ExternalValue>, String> {
        let seat = self.seats.take(namespace).await;
        let (user, authorizer) = viewer::of(namespace);
        let time = Timestamp::now().as_microsecond();
        let asker = Asker::new(user, authorizer);
        let notes = asker.notes.clone();
        let answer = self.engine.answer(query, Format::Json, asker).await;
        drop(seat);
        let answer = answer.map_err(|error| error.to_string())?;
        // A node that is missing makes a number too small, and an autoscaler scale down.
        if let Some(note) = notes.lacking().first() {
            return Err(format!("the answer is not whole: {note}"));
        }
        rows::read(&answer.text, time)
    }

    async fn tell(
        &mut self,
        metric: &TiphysMetric,
        namespace: &str,
        answer: &Result<Vec<ExternalValue>, String>,
        time: Timestamp,
    ) {
        let status = status(answer, time);
        let is_new = self.written.as_ref().is_none_or(|(written, at)| {
            written.error != status.error || (written.value != status.value && at.elapsed() >= STATUS)
        });
        let is_due = self.written.as_ref().is_none_or(|(_, at)| at.elapsed() >= 4 * STATUS);
        if !is_new && !is_due {
            return;
        }
        let api: Api<TiphysMetric> = Api::namespaced(self.client.clone(), namespace);
        let patch = Patch::Merge(json!({ "status": status }));
        match api.patch_status(&metric.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => self.written = Some((status, Instant::now())),
            Err(error) => tracing::debug!(%error, namespace, "a metric's status was not written"),
        }
    }
}

fn status(answer: &Result<Vec<ExternalValue>, String>, time: Timestamp) -> TiphysMetricStatus {
    let time = Some(Time(time));
    match answer {
        Ok(rows) => {
            let total: f64 = rows.iter().map(|row| row.reading.value).sum();
            TiphysMetricStatus {
                value: Some(Quantity::from_millis((total * 1000.0).round() as i64).to_string()),
                rows: i32::try_from(rows.len()).ok(),
                time,
                error: None,
            }
        }
        Err(error) => {
            let error = error.chars().take(LONGEST_ERROR).collect();
            TiphysMetricStatus { value: None, rows: None, time, error: Some(error) }
        }
    }
}

/// `15s`, `2m`, `1h`, within its bounds; what is none of it is 15 s.
pub fn pace(text: &str) -> Duration {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return STATUS,
    };
    number
        .parse::<u64>()
        .map_or(STATUS, |number| Duration::from_secs(number.saturating_mul(scale)).clamp(LEAST, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_second_at_the_least_and_an_hour_at_the_most() {
        for (text, seconds) in
            [("0s", 1), ("1s", 1), ("90s", 90), ("2m", 120), ("9h", 3600), ("soon", 15), ("", 15)]
        {
            assert_eq!(pace(text), Duration::from_secs(seconds), "{text}");
        }
    }
}
