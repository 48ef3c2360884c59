//! Evaluates a group once: each rule's query, and its answer as samples under the rule's name.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tiphys_api::ways::Way;

use super::{
    Bounds, Health, SAMPLES, Standing,
    spec::{Group, Reach, Rule},
};
use crate::{
    custom::viewer,
    promql::{self, Column, Limits, Outcome, Scoped},
    scope::Scope,
    series::{Labels, NAME, STALE, Sample, Select, SeriesId, Store, Symbols, Untaken, Value},
};

/// A query of a group with a short interval may take so long.
const LEAST_DEADLINE: Duration = Duration::from_secs(10);

/// What a group's rules told last, by rule: what ends is marked. The labels are those of the store's
/// series, whose memory they share.
pub struct Evaluation {
    store: Arc<Store>,
    source: Arc<dyn Select>,
    bounds: Bounds,
    told: Vec<BTreeSet<Symbols>>,
}

/// What one evaluation of a rule appends.
#[derive(Default)]
pub struct Prepared {
    samples: Vec<Sample>,
    /// Those of each sample.
    labels: Vec<Labels>,
    /// What the rule tells now.
    told: BTreeSet<Symbols>,
    /// Why something of it could not be appended.
    wrong: Option<String>,
}

impl Evaluation {
    pub fn new(store: Arc<Store>, group: &Group, bounds: &Bounds) -> Self {
        let source: Arc<dyn Select> = match &group.reach {
            Reach::Cluster => store.clone(),
            Reach::Namespace(namespace) => {
                let (user, authorizer) = viewer::of(namespace);
                Arc::new(Scoped::new(store.clone(), Scope::of(user, authorizer)))
            }
        };
        let told = vec![BTreeSet::new(); group.rules.len()];
        Self { store, source, bounds: bounds.clone(), told }
    }

    /// Evaluates all rules for a time, milliseconds since the Unix epoch.
    pub async fn run(&mut self, standing: &Standing, time: i64) {
        let group = &standing.group;
        for (number, rule) in group.rules.iter().enumerate() {
            // For each rule anew: who has many, or slow ones, lets others in between.
            let _seat = self.bounds.seat(&group.reach).await;
            let begun = Instant::now();
            let done = self.evaluate(number, group, rule, time).await;
            let error = done.err().unwrap_or_default();
            if !error.is_empty() && standing.health.lock()[number].error != error {
                tracing::warn!(rule = rule.record, group = ?group.place, error, "a rule can't be evaluated");
            }
            let health = Health { at: Some(SystemTime::now()), took: begun.elapsed(), error };
            standing.health.lock()[number] = health;
        }
    }

    async fn evaluate(&mut self, number: usize, group: &Group, rule: &Rule, time: i64) -> Result<(), String> {
        if let Some(why) = &rule.wrong {
            return Err(why.clone());
        }
        let at = time - i64::try_from(group.offset.as_millis()).unwrap_or(i64::MAX / 2);
        let limits = limits(group, &self.bounds);
        let answer = promql::instant(self.source.as_ref(), &rule.query, at, &limits).await;
        let columns = match answer.map_err(|error| error.to_string())?.outcome {
            Outcome::Vector(_, columns) => columns,
            Outcome::Scalar(_, number) => vec![Column::of_numbers(Labels::default(), vec![number])],
            _ => return Err("a rule's query gives one value a series, not samples or text".to_owned()),
        };
        let told = answered(group, rule, &columns)?;
        self.write(number, told, time)
    }

    /// Appends what was told, and marks what no longer is.
    fn write(&mut self, number: usize, told: Vec<(Labels, Value)>, time: i64) -> Result<(), String> {
        let prepared = self.prepare(number, told, time);
        self.append(number, prepared)
    }

    /// The samples of what was told, and of what no longer is.
    pub fn prepare(&self, number: usize, told: Vec<(Labels, Value)>, time: i64) -> Prepared {
        let mut prepared = Prepared::default();
        for (labels, value) in told {
            if let Some(series) = self.resolved(&labels, &mut prepared.wrong) {
                prepared.told.insert(self.store.symbols(series, &labels));
                prepared.samples.push(Sample { series, time, value });
                prepared.labels.push(labels);
            }
        }
        for ended in self.told[number].difference(&prepared.told) {
            let labels = ended.labels();
            if let Some(series) = self.resolved(&labels, &mut prepared.wrong) {
                prepared.samples.push(Sample { series, time, value: Value::Number(STALE) });
                prepared.labels.push(labels);
            }
        }
        prepared
    }

    /// Appends samples. A series that the store let go since it was resolved is resolved again.
    pub fn append(&mut self, number: usize, prepared: Prepared) -> Result<(), String> {
        let Prepared { told, mut samples, labels, mut wrong } = prepared;
        let tell = |at: usize, why: Untaken| {
            if why == Untaken::Unknown {
                wrong = Some(format!("a sample of {} is lost: its series was let go", labels[at]));
            }
        };
        self.store.append_of(&mut samples, |at| &labels[at], Way::Recorded, tell);
        self.told[number] = told;
        wrong.map_or(Ok(()), Err)
    }

    /// The series of these labels; absent: it is refused, and `why` says so.
    fn resolved(&self, labels: &Labels, why: &mut Option<String>) -> Option<SeriesId> {
        self.store.resolve_by(labels, Way::Recorded).map_err(|refused| *why = Some(refused.to_string())).ok()
    }

    /// What the rules told last.
    #[cfg(test)]
    pub fn told(&self) -> Vec<Symbols> {
        self.told.iter().flatten().cloned().collect()
    }

    /// The group is gone: all that it told ends.
    pub fn end(&mut self, time: i64) {
        for number in 0..self.told.len() {
            if let Err(why) = self.write(number, Vec::new(), time) {
                tracing::debug!(why, "the end of a rule's series can't be marked");
            }
        }
    }
}

/// What a query of a group may take.
pub fn limits(group: &Group, bounds: &Bounds) -> Limits {
    let most = Limits::default();
    let deadline = group.interval.clamp(LEAST_DEADLINE, most.deadline);
    Limits { deadline, samples: SAMPLES, share: bounds.share(), ..most }
}

/// The samples of an answer under the rule's name and labels. Pure.
pub fn answered(group: &Group, rule: &Rule, columns: &[Column]) -> Result<Vec<(Labels, Value)>, String> {
    let mut told = Vec::with_capacity(columns.len());
    for column in columns {
        let mut labels = column.labels.edit();
        labels.set(NAME, &rule.record);
        for (name, value) in &rule.labels {
            labels.set(name, value);
        }
        if let Reach::Namespace(namespace) = &group.reach {
            labels.set("namespace", namespace);
        }
        let value = match column.histogram(0) {
            Some(histogram) => Value::Histogram(histogram.clone()),
            None if column.has(0) => Value::Number(column.numbers[0]),
            None => continue,
        };
        told.push((labels.finish(), value));
    }
    if group.limit > 0 && told.len() > group.limit {
        return Err(format!("exceeded limit of {} with {} series", group.limit, told.len()));
    }
    told.sort_by(|a, b| a.0.cmp(&b.0));
    match told.windows(2).any(|two| two[0].0 == two[1].0) {
        true => Err("vector contains metrics with the same labelset after applying rule labels".to_owned()),
        false => Ok(told),
    }
}
