//! Histogram and facets: counts of what matches, without the records.
//!
//! A block that matches as a whole is counted from its head, or from its columns
//! where its time crosses a bar; of the rest as little is decoded as tells.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use super::{
    Progress, Request,
    keys::Keys,
    look::{Look, Want},
    names::Names,
    patterns::{OTHERS, Patterns},
    plan::{self, Candidate},
    shape,
    spread::{PORTION, spread},
    tally::Tally,
};
use crate::{
    grid::Grid,
    index::Store,
    query::compile::Verdict,
    record::{Level, StreamInfo},
    root::top,
    time,
    wire::{Bucket, FacetValue, FacetsAnswer, HistogramAnswer, NodeError},
};

/// Values of a facet that a node sends at most.
const MAX_VALUES: usize = 1000;
const CAPPED: &str =
    "the time before has too many patterns to tell all apart: some may be marked new that are not";
/// Values of a field that are told apart.
const MAX_DISTINCT: usize = 10_000;

/// About `buckets` bars over `since..until`, as [`Grid`] has them.
pub fn histogram(store: &Store, request: &Request, buckets: usize, node: &str) -> HistogramAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let until = request.until.unwrap_or_else(time::now);
    let since = request.since.unwrap_or_else(|| until.saturating_sub(3600 * time::SECOND)).min(until);
    let grid = Grid::new(since, until, buckets);
    let candidates = plan::plan(store, request, &mut progress);
    let parts = spread(&candidates, PORTION, request, &mut progress, |portion, progress| {
        let mut tally = Tally::new(grid.origin, grid.step);
        for candidate in portion {
            let look = Look { store, request, candidate, want: Want::default() };
            look.tally(progress, &mut tally);
        }
        tally.take()
    });
    let mut counts: BTreeMap<i64, [u64; 7]> = BTreeMap::new();
    for (step, levels) in parts.into_iter().flat_map(|(_, part)| part) {
        let sums = counts.entry(step).or_default();
        sums.iter_mut().zip(levels).for_each(|(sum, count)| *sum += count);
    }
    let bucket = |at: usize| {
        let levels = counts.get(&(at as i64)).copied().unwrap_or_default();
        let count = levels.iter().sum();
        Bucket { time: grid.start(at), count, by_level: by_level(&levels), ..Bucket::default() }
    };
    let mut answer = HistogramAnswer {
        buckets: (0..grid.bars).map(bucket).collect(),
        step_ns: grid.step,
        scanned: progress.scanned,
        ..HistogramAnswer::default()
    };
    answer.partial = shape::partial(node, store, progress);
    answer.took_ms = shape::millis(started);
    answer
}

/// Counts by namespace, Pod, container, level and node; by pattern, by more fields and by
/// the names of fields if the request says so.
pub fn facets(store: &Store, request: &Request, node: &str) -> FacetsAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let mut facets = Facets::new(request);
    facets.take_all(store, &plan::plan(store, request, &mut progress), &mut progress);
    facets.compare(store, &mut progress);
    let (count, blocks, bytes) = (facets.count, facets.blocks, facets.bytes);
    let (facets, missing) = facets.finish();
    let mut answer =
        FacetsAnswer { facets, count, blocks, bytes, scanned: progress.scanned, ..FacetsAnswer::default() };
    answer.partial = shape::partial(node, store, progress);
    answer.partial.extend(missing.into_iter().map(|error| NodeError { node: node.to_owned(), error }));
    answer.took_ms = shape::millis(started);
    answer
}

/// Facets so far.
struct Facets<'a> {
    request: &'a Request,
    sums: BTreeMap<&'a str, BTreeMap<String, u64>>,
    patterns: Patterns,
    names: Names,
    keys: Keys,
    /// The values of each key.
    values: Vec<Distinct>,
    /// All records, the blocks they are in, and about how many bytes they have.
    count: u64,
    blocks: u64,
    bytes: u64,
}

impl<'a> Facets<'a> {
    fn new(request: &'a Request) -> Self {
        Self {
            request,
            sums: BTreeMap::new(),
            patterns: Patterns::default(),
            names: Names::default(),
            keys: Keys::new(&request.fields),
            values: request.fields.iter().map(|_| Distinct::default()).collect(),
            count: 0,
            blocks: 0,
            bytes: 0,
        }
    }

    fn take_all(&mut self, store: &Store, candidates: &[Candidate], progress: &mut Progress) {
        let request = self.request;
        if request.patterns || request.names || !request.fields.is_empty() {
            for candidate in candidates {
                if progress.is_late(request) {
                    return;
                }
                self.take_in(store, candidate, progress);
            }
            return;
        }
        let parts = spread(candidates, PORTION, request, progress, |portion, progress| {
            portion.iter().map(|candidate| levels_of(store, request, candidate, progress)).collect::<Vec<_>>()
        });
        for (from, part) in parts {
            candidates[from..].iter().zip(&part).for_each(|(candidate, levels)| self.add(candidate, levels));
        }
    }

    fn take_in(&mut self, store: &Store, candidate: &Candidate, progress: &mut Progress) {
        let request = self.request;
        let mut placed = self.keys.at(candidate);
        placed.templates |= request.patterns;
        let of_stream = placed.is_of_stream() && !request.names;
        let mut levels = [0u64; 7];
        if of_stream && !request.patterns {
            levels = levels_of(store, request, candidate, progress);
        } else {
            let look = Look { store, request, candidate, want: placed.want(request.names) };
            look.each(
                progress,
                |_| true,
                |found| {
                    levels[found.record.level as usize] += 1;
                    if request.patterns {
                        self.patterns.add(found.key, found.record.time);
                    }
                    if request.names {
                        self.names.take_in(&found.record);
                    }
                    if !of_stream {
                        let values = &mut self.values;
                        self.keys.each(&placed, &found, &mut |at, value| {
                            values[at].add(value.as_deref(), 1);
                        });
                    }
                },
            );
        }
        self.add(candidate, &levels);
        let count: u64 = levels.iter().sum();
        if of_stream && count > 0 {
            for (values, value) in self.values.iter_mut().zip(placed.of_stream()) {
                values.add(value, count);
            }
        }
        if request.names {
            self.names.end_of(candidate, count);
        }
    }

    /// Adds the matching records of a block, by level.
    fn add(&mut self, candidate: &Candidate, levels: &[u64; 7]) {
        let (head, count) = (&candidate.head, levels.iter().sum::<u64>());
        self.count += count;
        self.blocks += u64::from(count > 0);
        self.bytes += head.raw_bytes.saturating_mul(count) / u64::from(head.count.max(1));
        self.add_names(&candidate.info, count, levels);
    }

    /// Looks at the patterns of the time before, if that was asked for.
    fn compare(&mut self, store: &Store, progress: &mut Progress) {
        let Some(before) = self.request.before().filter(|_| self.request.patterns) else { return };
        for candidate in plan::plan(store, &before, progress) {
            if progress.is_late(&before) {
                break;
            }
            let want = Want { templates: true, ..Want::default() };
            let look = Look { store, request: &before, candidate: &candidate, want };
            look.each(progress, |_| true, |found| self.patterns.add_before(found.key));
        }
    }

    fn add_names(&mut self, info: &StreamInfo, count: u64, levels: &[u64; 7]) {
        let names = [
            ("namespace", &info.namespace),
            ("pod", &info.pod),
            ("container", &info.container),
            ("node", &info.node),
        ];
        for (field, value) in names.into_iter().filter(|_| count > 0) {
            *self.sums.entry(field).or_default().entry(value.clone()).or_default() += count;
        }
        for (level, count) in by_level(levels) {
            *self.sums.entry("level").or_default().entry(level).or_default() += count;
        }
    }

    /// The facets, and sentences about what they don't have.
    fn finish(mut self) -> (BTreeMap<String, Vec<FacetValue>>, Vec<String>) {
        let mut missing = Vec::new();
        if self.patterns.is_before_capped() {
            missing.push(CAPPED.to_owned());
        }
        for (field, values) in self.request.fields.iter().zip(self.values) {
            self.sums.insert(field, values.finish());
        }
        if self.request.names {
            let (names, sentence) = self.names.finish();
            self.sums.insert("field", names.into_iter().collect());
            missing.extend(sentence);
        }
        let facets = self.sums.into_iter().map(|(field, values)| (field.to_owned(), top(values, MAX_VALUES)));
        let mut facets: BTreeMap<_, _> = facets.collect();
        if self.request.patterns {
            facets.insert("pattern".to_owned(), self.patterns.shown(self.request.compare_since.is_some()));
        }
        (facets, missing)
    }
}

/// Values with their counts, at most [`MAX_DISTINCT`]; what comes beyond is counted as one.
#[derive(Debug, Default)]
struct Distinct {
    counts: HashMap<String, u64>,
    others: u64,
}

impl Distinct {
    fn add(&mut self, value: Option<&str>, count: u64) {
        let Some(value) = value else { return };
        if let Some(sum) = self.counts.get_mut(value) {
            *sum += count;
        } else if self.counts.len() < MAX_DISTINCT {
            self.counts.insert(value.to_owned(), count);
        } else {
            self.others += count;
        }
    }

    fn finish(self) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<_, _> = self.counts.into_iter().collect();
        if self.others > 0 {
            *counts.entry(OTHERS.to_owned()).or_default() += self.others;
        }
        counts
    }
}

/// The records of a block that match, by level.
fn levels_of(store: &Store, request: &Request, candidate: &Candidate, progress: &mut Progress) -> [u64; 7] {
    let head = &candidate.head;
    if candidate.verdict == Verdict::Yes && request.covers(head.min_time, head.max_time) {
        return head.levels.map(u64::from);
    }
    let mut levels = [0u64; 7];
    let look = Look { store, request, candidate, want: Want::default() };
    look.each(progress, |_| true, |found| levels[found.record.level as usize] += 1);
    levels
}

fn by_level(levels: &[u64; 7]) -> BTreeMap<String, u64> {
    let present = Level::ALL.into_iter().zip(levels).filter(|(_, count)| **count > 0);
    present.map(|(level, count)| (level.name().to_owned(), *count)).collect()
}
