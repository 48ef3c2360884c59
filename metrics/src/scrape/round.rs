//! One target's scrapes, taken into the store.
//!
//! ```text
//! body -> expose (lines) -> entry (by the line's own bytes; labels only when it is new) -> samples -> Store
//!                                └─ not seen again: a stale marker
//! ```
//!
//! A known line costs a comparison with the line that followed the last time, and no
//! memory. A body with a fault takes nothing in, and ends all series of the target, as
//! Prometheus does. What it must not do: fetch anything, or read a clock.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use tiphys_api::ways::Way;

use super::{
    counts::Counts,
    expose::{Example, Fault, Format, Item, Line, Spelt, Text, labels, proto},
    merge::{Merged, merge},
    target::Taking,
};
use crate::series::{Exemplar, Labels, Meta, NAME, STALE, Sample, SeriesId, Store, Symbols, Value};

/// Why nothing of a body was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the answer can't be read: {0}")]
    Fault(#[from] Fault),
    #[error("the target gives more than {0} samples, its sampleLimit")]
    Samples(usize),
    #[error("{0}")]
    Labels(String),
}

/// What became of a scrape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    pub scraped: usize,
    /// After relabeling.
    pub kept: usize,
    pub added: usize,
    /// Series that the store refused.
    pub refused: usize,
}

struct Entry {
    text: Arc<str>,
    /// Absent: dropped by relabeling, or refused. The labels are those that the store has.
    series: Option<(SeriesId, Symbols)>,
    dropped: bool,
    /// The round in which it was last there.
    seen: u64,
    /// Its samples have times of their own: then it isn't missed, unless the monitor says so.
    timed: bool,
    /// The entry that followed the last time.
    next: usize,
    example: u64,
}

/// A sample may have a time so far ahead of the clock, milliseconds; as in Prometheus.
pub const AHEAD: i64 = 10 * 60 * 1000;

const NONE: usize = usize::MAX;

/// Refused series that a target's cache keeps in mind; those beyond are looked at anew each time.
const REFUSED: usize = 10_000;
/// After so many scrapes they are all looked at anew: there may be room by then.
const FORGIVEN: u64 = 16;
/// Metrics of which is kept what a target says of them, and bytes of names and texts.
const SAID: usize = 10_000;
const SAID_BYTES: usize = 1 << 20;

/// What a target says of its metrics, by their names. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Said(Arc<Mutex<Words>>);

#[derive(Debug, Default)]
struct Words {
    all: HashMap<String, Meta>,
    bytes: usize,
}

impl Said {
    /// `false`: it was said before.
    fn put(&self, metric: &str, meta: &Meta) -> bool {
        let mut words = self.0.lock();
        let size = |meta: &Meta| metric.len() + meta.help.len() + meta.unit.len();
        let before = match words.all.get(metric) {
            Some(said) if said == meta => return false,
            said => said.map(size),
        };
        let after = words.bytes - before.unwrap_or_default() + size(meta);
        if after <= SAID_BYTES && (before.is_some() || words.all.len() < SAID) {
            words.bytes = after;
            words.all.insert(metric.to_owned(), meta.clone());
        }
        true
    }

    /// Of the metric that is named, or of all, in order.
    pub fn of(&self, metric: Option<&str>) -> Vec<(String, Meta)> {
        let words = self.0.lock();
        let all = &words.all;
        let pair = |(name, meta): (&String, &Meta)| (name.clone(), meta.clone());
        let mut found: Vec<_> = match metric {
            Some(metric) => all.get_key_value(metric).map(pair).into_iter().collect(),
            None => all.iter().map(pair).collect(),
        };
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

/// What is kept between the scrapes of a target.
pub struct Round {
    store: Arc<Store>,
    target: Labels,
    taking: Arc<Taking>,
    counts: Counts,
    entries: Vec<Entry>,
    by_text: HashMap<Arc<str>, usize>,
    free: Vec<usize>,
    said: Said,
    number: u64,
    first: usize,
    refused: usize,
    reports: [Option<SeriesId>; 5],
}

/// What is written of each scrape itself.
const REPORTS: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

struct Taken {
    samples: Vec<Sample>,
    report: Report,
    last: usize,
    examples: Vec<(SeriesId, Exemplar)>,
}

impl Round {
    pub fn new(store: Arc<Store>, target: Labels, taking: Arc<Taking>, counts: Counts) -> Self {
        Self {
            store,
            target,
            taking,
            counts,
            entries: Vec::new(),
            by_text: HashMap::new(),
            free: Vec::new(),
            said: Said::default(),
            number: 0,
            first: NONE,
            refused: 0,
            reports: [None; 5],
        }
    }

    /// Takes a body in, at `now` in milliseconds.
    ///
    /// # Errors
    /// Nothing of it was taken, and why; all series of the target have ended.
    pub fn take(&mut self, body: &[u8], format: Format, now: i64) -> Result<Report, Refusal> {
        self.number += 1;
        let taken = Taken {
            samples: Vec::with_capacity(self.by_text.len()),
            report: Report::default(),
            last: NONE,
            examples: Vec::new(),
        };
        let read = match format {
            Format::Plain => self.read_text(body, false, taken, now),
            Format::OpenMetrics => self.read_text(body, true, taken, now),
            Format::Protobuf => self.read_families(body, taken, now),
        };
        let taken = match read {
            Ok(taken) => taken,
            Err(refusal) => {
                self.end_all(now);
                return Err(refusal);
            }
        };
        self.append(taken.samples);
        for (series, example) in taken.examples {
            if !self.store.add_exemplar(series, example) {
                self.counts.exemplars_refused.inc();
            }
        }
        self.end_missing(now);
        Ok(taken.report)
    }

    fn read_text(
        &mut self,
        body: &[u8],
        open_metrics: bool,
        mut taken: Taken,
        now: i64,
    ) -> Result<Taken, Refusal> {
        let mut text = Text::new(body, open_metrics)?;
        let mut meta: (String, Meta) = Default::default();
        while let Some(item) = text.next() {
            match item? {
                Item::Sample(line) => {
                    let number = text.line();
                    self.line(&line, number, &mut taken, now)?;
                }
                Item::Kind { metric, kind } => self.about(&metric, &mut meta).kind = kind,
                Item::Help { metric, help } => self.about(&metric, &mut meta).help = help.into_owned(),
                Item::Unit { metric, unit } => unit.clone_into(&mut self.about(&metric, &mut meta).unit),
            }
        }
        self.describe(meta);
        Ok(taken)
    }

    fn line(&mut self, line: &Line<'_>, number: usize, taken: &mut Taken, now: i64) -> Result<(), Refusal> {
        let spelt = || {
            labels(line.series).map_err(|what| Fault::Line {
                line: number,
                what,
                text: line.series.chars().take(100).collect(),
            })
        };
        let at = self.entry(line.series, spelt, taken)?;
        let time = line.time.filter(|_| !self.taking.ignore_timestamps);
        self.sample(at, Value::Number(line.value), time, taken, now)?;
        let series = self.entries.get(at).and_then(|entry| entry.series.as_ref());
        if let (Some(example), Some((series, _))) = (&line.exemplar, series) {
            let series = *series;
            if let Some(found) = example_of(example, now) {
                self.example(at, series, found, example.time.is_some(), taken);
            }
        }
        Ok(())
    }

    fn example(&mut self, at: usize, series: SeriesId, found: Exemplar, timed: bool, taken: &mut Taken) {
        // One without a time is the same as long as it says the same.
        let mut hasher = DefaultHasher::new();
        (found.labels.as_bytes(), found.value.to_bits()).hash(&mut hasher);
        let hash = hasher.finish();
        if timed || std::mem::replace(&mut self.entries[at].example, hash) != hash {
            taken.examples.push((series, found));
        }
    }

    fn read_families(&mut self, body: &[u8], mut taken: Taken, now: i64) -> Result<Taken, Refusal> {
        let mut key = String::new();
        for family in proto::families(body)? {
            for metric in &family.metric {
                if metric.label.len() > proto::MOST_LABELS {
                    return Err(Refusal::Labels(format!("a series of {} has too many labels", family.name)));
                }
                let time =
                    Some(metric.timestamp_ms).filter(|time| *time != 0 && !self.taking.ignore_timestamps);
                for drawn in proto::draw(&family, metric) {
                    write_key(&mut key, &family.name, &drawn, metric);
                    let at = self.entry(&key, || Ok(spelt(&family.name, &drawn, metric)), &mut taken)?;
                    self.sample(at, drawn.value.clone(), time, &mut taken, now)?;
                    let series = self.entries.get(at).and_then(|entry| entry.series.as_ref());
                    let Some(series) = series.map(|(id, _)| *id) else { continue };
                    for example in &drawn.exemplars {
                        let time = example.timestamp.as_ref().map(proto::Timestamp::millis);
                        let pairs = example.label.iter().map(|pair| (&pair.name, &pair.value));
                        let found = Exemplar {
                            time: time.unwrap_or(now),
                            value: example.value,
                            labels: Labels::new(pairs),
                        };
                        self.example(at, series, found, time.is_some(), &mut taken);
                    }
                }
            }
            let meta = Meta { kind: family.metric_kind(), help: family.help, unit: family.unit };
            self.describe((family.name, meta));
        }
        Ok(taken)
    }

    /// The entry of a text, made if there is none; [`NONE`] where it isn't kept.
    fn entry<'a>(
        &mut self,
        text: &str,
        spelt: impl FnOnce() -> Result<Vec<Spelt<'a>>, Fault>,
        taken: &mut Taken,
    ) -> Result<usize, Refusal> {
        let guess = if taken.last == NONE { self.first } else { self.entries[taken.last].next };
        let known = match self.entries.get(guess) {
            Some(entry) if *entry.text == *text => Some(guess),
            _ => self.by_text.get(text).copied(),
        };
        let at = match known {
            Some(at) => at,
            None => self.learn(text, &spelt()?, taken)?,
        };
        if at == NONE {
            return Ok(at);
        }
        match taken.last {
            NONE => self.first = at,
            last => self.entries[last].next = at,
        }
        taken.last = at;
        Ok(at)
    }

    fn learn(&mut self, text: &str, spelt: &[Spelt<'_>], taken: &mut Taken) -> Result<usize, Refusal> {
        let merged = merge(spelt, &self.target, &self.taking).map_err(Refusal::Labels)?;
        let (series, dropped) = match merged {
            Merged::Dropped => (None, true),
            Merged::Kept(labels) => {
                taken.report.added += 1;
                match self.store.resolve_by(&labels, Way::Scraped) {
                    Ok(id) => (Some((id, self.store.symbols(id, &labels))), false),
                    Err(refused) => {
                        self.counts.refused(labels.get("namespace").unwrap_or_default(), &refused);
                        taken.report.refused += 1;
                        if self.refused >= REFUSED {
                            return Ok(NONE);
                        }
                        self.refused += 1;
                        (None, false)
                    }
                }
            }
        };
        let text: Arc<str> = text.into();
        let entry =
            Entry { text: text.clone(), series, dropped, seen: 0, timed: false, next: NONE, example: 0 };
        let at = match self.free.pop() {
            Some(at) => {
                self.entries[at] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        };
        self.by_text.insert(text, at);
        Ok(at)
    }

    fn sample(
        &mut self,
        at: usize,
        value: Value,
        time: Option<i64>,
        taken: &mut Taken,
        now: i64,
    ) -> Result<(), Refusal> {
        taken.report.scraped += 1;
        let Some(entry) = self.entries.get_mut(at) else {
            taken.report.kept += 1;
            return Ok(());
        };
        if entry.dropped {
            entry.seen = self.number;
            return Ok(());
        }
        taken.report.kept += 1;
        let limit = self.taking.sample_limit;
        if limit > 0 && taken.report.kept > limit {
            return Err(Refusal::Samples(limit));
        }
        if entry.seen == self.number && time.is_none() {
            self.counts.duplicates.inc();
            return Ok(());
        }
        entry.seen = self.number;
        entry.timed = time.is_some() && !self.taking.ends_timed;
        if time.is_some_and(|time| time > now.saturating_add(AHEAD)) {
            self.counts.ahead.inc();
            return Ok(());
        }
        if let Some((series, _)) = entry.series {
            taken.samples.push(Sample { series, time: time.unwrap_or(now), value });
        }
        Ok(())
    }

    fn append(&mut self, samples: Vec<Sample>) {
        let appended = self.store.append(&samples);
        self.counts.appended(&appended);
        if appended.unknown == 0 {
            return;
        }
        // The store has forgotten some: they get new names there. What it has already is the same again.
        let mut renamed = HashMap::new();
        for entry in &mut self.entries {
            let Some((id, symbols)) = &mut entry.series else { continue };
            let labels = symbols.labels();
            if let Ok(new) = self.store.resolve_by(&labels, Way::Scraped)
                && new != *id
            {
                renamed.insert(*id, new);
                (*id, *symbols) = (new, self.store.symbols(new, &labels));
            }
        }
        let again: Vec<_> = samples
            .into_iter()
            .filter_map(|sample| Some(Sample { series: *renamed.get(&sample.series)?, ..sample }))
            .collect();
        self.counts.appended(&self.store.append(&again));
    }

    /// Ends the series that were there in the round before and are not now, and forgets them.
    fn end_missing(&mut self, now: i64) {
        let forgives = self.number.is_multiple_of(FORGIVEN);
        let goes = |entry: &Entry| {
            entry.seen != self.number || (forgives && entry.series.is_none() && !entry.dropped)
        };
        let missing: Vec<usize> =
            self.by_text.values().copied().filter(|at| goes(&self.entries[*at])).collect();
        if missing.is_empty() {
            return;
        }
        let current: HashSet<SeriesId> = self
            .entries
            .iter()
            .filter(|entry| entry.seen == self.number)
            .filter_map(|entry| entry.series.as_ref().map(|(id, _)| *id))
            .collect();
        let mut markers = Vec::new();
        for at in missing {
            let entry = &mut self.entries[at];
            match entry.series.take() {
                Some((series, _)) if !entry.timed && !current.contains(&series) => {
                    markers.push(Sample { series, time: now, value: Value::Number(STALE) });
                }
                None if !entry.dropped => self.refused = self.refused.saturating_sub(1),
                _ => {}
            }
            self.by_text.remove(&entry.text);
            entry.text = "".into();
            entry.seen = 0;
            self.free.push(at);
        }
        self.store.append(&markers);
    }

    /// Ends all series: the target didn't answer.
    pub fn end_all(&mut self, now: i64) {
        self.number += 1;
        self.end_missing(now);
        self.first = NONE;
    }

    /// Ends the reports as well: the target is gone.
    pub fn end(&mut self, now: i64) {
        self.end_all(now);
        let ended = self.reports.iter_mut().filter_map(Option::take);
        let markers: Vec<_> =
            ended.map(|series| Sample { series, time: now, value: Value::Number(STALE) }).collect();
        self.store.append(&markers);
    }

    /// What the target says of its metrics.
    pub fn said(&self) -> Said {
        self.said.clone()
    }

    /// Writes what is known of the scrape itself, also where the namespace may have no more series.
    pub fn report(&mut self, now: i64, up: bool, seconds: f64, report: Report) {
        let values = [f64::from(up), seconds, report.scraped as f64, report.kept as f64, report.added as f64];
        for _ in 0..2 {
            let mut samples = Vec::new();
            for ((name, series), value) in REPORTS.iter().zip(&mut self.reports).zip(values) {
                if series.is_none() {
                    let mut labels = self.target.edit();
                    labels.set(NAME, name);
                    let labels = labels.finish();
                    match self.store.resolve_report(&labels) {
                        Ok(id) => *series = Some(id),
                        Err(refused) => {
                            self.counts.refused(labels.get("namespace").unwrap_or_default(), &refused);
                        }
                    }
                }
                samples.extend(series.map(|series| Sample {
                    series,
                    time: now,
                    value: Value::Number(value),
                }));
            }
            if self.store.append(&samples).unknown == 0 {
                return;
            }
            self.reports = [None; 5];
        }
    }

    fn about<'m>(&mut self, metric: &str, meta: &'m mut (String, Meta)) -> &'m mut Meta {
        if meta.0 != metric {
            let former = std::mem::replace(meta, (metric.to_owned(), Meta::default()));
            self.describe(former);
        }
        &mut meta.1
    }

    /// Notes what the target says of a metric whose samples have been read: of one without series the store
    /// keeps nothing. Now and then it is told again, as there may be some by then.
    fn describe(&mut self, (metric, meta): (String, Meta)) {
        let meta = meta.cut();
        if !metric.is_empty() && (self.said.put(&metric, &meta) || self.number.is_multiple_of(FORGIVEN)) {
            // Who may name any namespace speaks for the cluster.
            let namespace = self.taking.namespace.as_deref().unwrap_or_default();
            self.store.describe(namespace, &metric, meta);
        }
    }
}

#[cfg(test)]
impl Round {
    /// The series that it knows, and their labels as it keeps them.
    pub fn known(&self) -> Vec<(SeriesId, Symbols)> {
        self.entries.iter().filter_map(|entry| entry.series.clone()).collect()
    }
}

fn example_of(example: &Example<'_>, now: i64) -> Option<Exemplar> {
    let spelt = labels(example.labels).ok()?;
    let labels = Labels::new(spelt.iter().map(|(name, value)| (name, value)));
    Some(Exemplar { time: example.time.unwrap_or(now), value: example.value, labels })
}

fn spelt<'a>(family: &str, drawn: &'a proto::Drawn, metric: &'a proto::Metric) -> Vec<Spelt<'a>> {
    let name = (Cow::Borrowed(NAME), Cow::Owned(format!("{family}{}", drawn.suffix)));
    let pairs = metric
        .label
        .iter()
        .map(|pair| (Cow::Borrowed(pair.name.as_str()), Cow::Borrowed(pair.value.as_str())));
    let extra = drawn.extra.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_str())));
    std::iter::once(name).chain(pairs).chain(extra).collect()
}

/// A text that stands for a series of the protobuf form.
fn write_key(key: &mut String, family: &str, drawn: &proto::Drawn, metric: &proto::Metric) {
    key.clear();
    let pairs = metric.label.iter().flat_map(|pair| [pair.name.as_str(), pair.value.as_str()]);
    let extra = drawn.extra.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    let value = if matches!(drawn.value, Value::Histogram(_)) { "native" } else { "" };
    for part in [family, drawn.suffix, value].into_iter().chain(pairs).chain(extra) {
        key.push_str(part);
        key.push('\u{1}');
    }
}
