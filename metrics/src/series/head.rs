//! The recent past of every series, in memory: who writes and who asks meets here.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
};

use parking_lot::RwLock;

use super::{Exemplar, Labels, Matcher, Select, SelectError, SeriesData, Value, labels::NAME};

/// A series, for as long as it is kept. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(u64);

#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub series: SeriesId,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    pub value: Value,
}

/// What became of appended samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    pub taken: u64,
    /// Older than the newest of their series.
    pub out_of_order: u64,
    /// At the time of the newest, with another value. The same value again counts as taken.
    pub duplicate: u64,
    /// Of a series that is no longer kept: resolve its labels again.
    pub unknown: u64,
}

/// How much is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series with the same label `namespace`.
    pub series_of_namespace: usize,
    pub series: usize,
    pub labels_of_series: usize,
    /// Bytes of one name or value.
    pub label_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series_of_namespace: 200_000, series: 2_000_000, labels_of_series: 64, label_bytes: 4096 }
    }
}

/// Why a series was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("namespace {namespace:?} has {limit} series, which is its limit; most of them are {worst}")]
    NamespaceFull { namespace: String, limit: usize, worst: String },
    #[error("{0} series are kept, which is the limit")]
    Full(usize),
    #[error("{labels} has {count} labels; {limit} are taken at most")]
    TooManyLabels { labels: String, count: usize, limit: usize },
    #[error("label {name:?} of {metric:?} has {length} bytes; {limit} are taken at most")]
    LabelTooLong { metric: String, name: String, length: usize, limit: usize },
    #[error("a series has no name")]
    NoName,
}

impl Refused {
    /// One word for counts.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceFull { .. } => "namespace_full",
            Self::Full(_) => "full",
            Self::TooManyLabels { .. } => "too_many_labels",
            Self::LabelTooLong { .. } => "label_too_long",
            Self::NoName => "no_name",
        }
    }
}

/// What kind of metric it is, as OpenMetrics has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetricKind {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

impl MetricKind {
    /// As the exposition formats and the HTTP API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// What a metric's source says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub kind: MetricKind,
    pub help: String,
    pub unit: String,
}

/// A metric with many series in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offender {
    pub namespace: String,
    pub metric: String,
    pub series: usize,
}

/// Exemplars that one series keeps.
const EXEMPLARS: usize = 10;

#[derive(Default)]
struct Kept {
    labels: Labels,
    samples: Vec<(i64, Value)>,
    exemplars: VecDeque<Exemplar>,
}

#[derive(Default)]
struct Inner {
    by_labels: HashMap<Labels, SeriesId>,
    kept: BTreeMap<SeriesId, Kept>,
    namespaces: HashMap<String, HashMap<String, usize>>,
    next: u64,
}

/// All series. Appending and asking may go on at once.
pub struct Store {
    limits: Limits,
    inner: RwLock<Inner>,
    metadata: RwLock<BTreeMap<String, Meta>>,
}

impl Store {
    /// A store that keeps nothing on disk.
    pub fn in_memory(limits: Limits) -> Self {
        Self { limits, inner: RwLock::default(), metadata: RwLock::default() }
    }

    /// The series with these labels, made if there is none.
    ///
    /// # Errors
    /// A limit is reached.
    pub fn resolve(&self, labels: &Labels) -> Result<SeriesId, Refused> {
        if let Some(id) = self.inner.read().by_labels.get(labels) {
            return Ok(*id);
        }
        self.check(labels)?;
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        if inner.kept.len() >= self.limits.series {
            return Err(Refused::Full(self.limits.series));
        }
        let namespace = labels.get("namespace").unwrap_or_default();
        let of_namespace = inner.namespaces.entry(namespace.to_owned()).or_default();
        if of_namespace.values().sum::<usize>() >= self.limits.series_of_namespace {
            let worst = of_namespace.iter().max_by_key(|(_, count)| **count);
            let worst = worst.map(|(metric, _)| metric.clone()).unwrap_or_default();
            let limit = self.limits.series_of_namespace;
            return Err(Refused::NamespaceFull { namespace: namespace.to_owned(), limit, worst });
        }
        *of_namespace.entry(labels.name().to_owned()).or_default() += 1;
        let id = SeriesId(inner.next);
        inner.next += 1;
        inner.by_labels.insert(labels.clone(), id);
        inner.kept.insert(id, Kept { labels: labels.clone(), ..Kept::default() });
        Ok(id)
    }

    fn check(&self, labels: &Labels) -> Result<(), Refused> {
        if labels.name().is_empty() {
            return Err(Refused::NoName);
        }
        let (count, limit) = (labels.iter().count(), self.limits.labels_of_series);
        if count > limit {
            return Err(Refused::TooManyLabels { labels: labels.name().to_owned(), count, limit });
        }
        let limit = self.limits.label_bytes;
        let long = labels.iter().find(|(name, value)| name.len().max(value.len()) > limit);
        match long {
            None => Ok(()),
            Some((name, value)) => Err(Refused::LabelTooLong {
                metric: labels.name().chars().take(100).collect(),
                name: name.chars().take(100).collect(),
                length: name.len().max(value.len()),
                limit,
            }),
        }
    }

    /// Takes samples. Those of one series must stand in order of time.
    pub fn append(&self, samples: &[Sample]) -> Appended {
        let mut appended = Appended::default();
        let mut inner = self.inner.write();
        for sample in samples {
            let Some(kept) = inner.kept.get_mut(&sample.series) else {
                appended.unknown += 1;
                continue;
            };
            match kept.samples.last() {
                Some((time, _)) if *time > sample.time => appended.out_of_order += 1,
                Some((time, value)) if *time == sample.time => match *value == sample.value {
                    true => appended.taken += 1,
                    false => appended.duplicate += 1,
                },
                _ => {
                    kept.samples.push((sample.time, sample.value.clone()));
                    appended.taken += 1;
                }
            }
        }
        appended
    }

    /// Keeps what a source says of a metric; the newest word counts.
    pub fn describe(&self, metric: &str, meta: Meta) {
        if self.metadata.read().get(metric) != Some(&meta) {
            self.metadata.write().insert(metric.to_owned(), meta);
        }
    }

    /// Keeps an exemplar; each series has its newest ten.
    pub fn add_exemplar(&self, series: SeriesId, exemplar: Exemplar) {
        let mut inner = self.inner.write();
        let Some(kept) = inner.kept.get_mut(&series) else { return };
        if kept.exemplars.back().is_some_and(|last| last.time >= exemplar.time) {
            return;
        }
        kept.exemplars.push_back(exemplar);
        if kept.exemplars.len() > EXEMPLARS {
            kept.exemplars.pop_front();
        }
    }

    pub fn series_count(&self) -> usize {
        self.inner.read().kept.len()
    }

    /// The metrics with the most series, the worst first.
    pub fn offenders(&self, most: usize) -> Vec<Offender> {
        let inner = self.inner.read();
        let mut all: Vec<_> = inner
            .namespaces
            .iter()
            .flat_map(|(namespace, metrics)| {
                metrics.iter().map(move |(metric, series)| (namespace, metric, *series))
            })
            .collect();
        all.sort_unstable_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
        all.truncate(most);
        let offender = |(namespace, metric, series): (&String, &String, usize)| Offender {
            namespace: namespace.clone(),
            metric: metric.clone(),
            series,
        };
        all.into_iter().map(offender).collect()
    }

    fn matching<T>(
        &self,
        matchers: &[Matcher],
        mut take: impl FnMut(&Kept) -> Option<T>,
    ) -> Vec<(Labels, T)> {
        let inner = self.inner.read();
        let matches = |kept: &&Kept| {
            matchers.iter().all(|matcher| matcher.matches(kept.labels.get(&matcher.name).unwrap_or_default()))
        };
        let chosen = inner.kept.values().filter(matches);
        let mut found: Vec<_> = chosen.filter_map(|kept| Some((kept.labels.clone(), take(kept)?))).collect();
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

fn within(samples: &[(i64, Value)], range: &Range<i64>) -> Range<usize> {
    let at = |time: i64| samples.partition_point(|(found, _)| *found < time);
    at(range.start)..at(range.end)
}

#[async_trait::async_trait]
impl Select for Store {
    async fn select(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        most: usize,
    ) -> Result<Vec<SeriesData>, SelectError> {
        let mut count = 0;
        let found = self.matching(matchers, |kept| {
            let chosen = &kept.samples[within(&kept.samples, &range)];
            count += chosen.len();
            (!chosen.is_empty() && count <= most).then(|| chosen.to_vec())
        });
        if count > most {
            return Err(SelectError::TooMany(most));
        }
        Ok(found.into_iter().map(|(labels, samples)| SeriesData { labels, samples }).collect())
    }

    async fn series(&self, matchers: &[Matcher], range: Range<i64>) -> Result<Vec<Labels>, SelectError> {
        let found = self.matching(matchers, |kept| (!within(&kept.samples, &range).is_empty()).then_some(()));
        Ok(found.into_iter().map(|(labels, ())| labels).collect())
    }

    fn metadata(&self) -> Vec<(String, Meta)> {
        self.metadata.read().iter().map(|(name, meta)| (name.clone(), meta.clone())).collect()
    }

    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)> {
        self.matching(matchers, |kept| {
            let chosen: Vec<_> =
                kept.exemplars.iter().filter(|exemplar| range.contains(&exemplar.time)).cloned().collect();
            (!chosen.is_empty()).then_some(chosen)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(instance: &str) -> Labels {
        Labels::new([(NAME, "up"), ("instance", instance), ("namespace", "shop")])
    }

    fn number(series: SeriesId, time: i64, value: f64) -> Sample {
        Sample { series, time, value: Value::Number(value) }
    }

    #[tokio::test]
    async fn what_is_appended_is_found_by_labels_and_time() {
        let store = Store::in_memory(Limits::default());
        let (a, b) = (store.resolve(&up("a")).expect("made"), store.resolve(&up("b")).expect("made"));
        assert_eq!(store.resolve(&up("a")), Ok(a));
        let appended =
            store.append(&[number(a, 1, 1.0), number(a, 2, 2.0), number(b, 2, 5.0), number(a, 1, 9.0)]);
        assert_eq!(appended, Appended { taken: 3, out_of_order: 1, ..Appended::default() });
        let again = store.append(&[number(a, 2, 2.0), number(a, 2, 3.0)]);
        assert_eq!(again, Appended { taken: 1, duplicate: 1, ..Appended::default() });
        let all = [Matcher::equal(NAME, "up")];
        let found = store.select(&all, 2..3, 10).await.expect("found");
        let found: Vec<_> = found.iter().map(|one| (one.labels.clone(), one.samples.clone())).collect();
        assert_eq!(
            found,
            [(up("a"), vec![(2, Value::Number(2.0))]), (up("b"), vec![(2, Value::Number(5.0))])]
        );
        assert!(matches!(store.select(&all, 0..9, 2).await, Err(SelectError::TooMany(2))));
        assert_eq!(store.series(&[Matcher::equal("instance", "a")], 0..9).await.expect("found"), [up("a")]);
        assert!(store.series(&all, 3..9).await.expect("found").is_empty());
    }

    #[test]
    fn abuse_34_a_million_series_are_capped_and_the_offender_is_named() {
        let limits =
            Limits { series_of_namespace: 3, labels_of_series: 3, label_bytes: 10, ..Limits::default() };
        let store = Store::in_memory(limits);
        for instance in ["a", "b", "c"] {
            store.resolve(&up(instance)).expect("made");
        }
        let error = store.resolve(&up("d")).expect_err("full");
        assert!(error.to_string().contains("\"shop\"") && error.to_string().contains("up"), "{error}");
        let other = Labels::new([(NAME, "up"), ("namespace", "other")]);
        assert!(store.resolve(&other).is_ok());
        let long = Labels::new([(NAME, "up"), ("a", "01234567890")]);
        assert!(matches!(store.resolve(&long), Err(Refused::LabelTooLong { length: 11, .. })));
        let many = Labels::new([(NAME, "up"), ("a", "1"), ("b", "2"), ("c", "3")]);
        assert!(matches!(store.resolve(&many), Err(Refused::TooManyLabels { count: 4, .. })));
        assert_eq!(store.resolve(&Labels::default()), Err(Refused::NoName));
        let worst = Offender { namespace: "shop".into(), metric: "up".into(), series: 3 };
        assert_eq!(store.offenders(1), [worst]);
    }
}
