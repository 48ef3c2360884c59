//! Histogram and facets: counts of what matches, without the records.
//!
//! A block that matches as a whole is counted from its head, or from its columns
//! where its time crosses a bar; of the rest as little is decoded as tells.

use std::{collections::BTreeMap, time::Instant};

use super::{
    Progress, Request,
    found::{Found, Levels, levels_of},
    look::{Look, Want},
    plan::{self, Candidate},
    shape,
    spread::{PORTION, spread},
    tally::Tally,
};
use crate::{
    grid::Grid,
    index::Store,
    record::{Level, StreamInfo},
    root::top,
    time,
    wire::{Bucket, FacetValue, FacetsAnswer, HistogramAnswer, NodeError},
};

/// Values of a facet that a node sends at most.
const MAX_VALUES: usize = 1000;
const CAPPED: &str =
    "the time before has too many patterns to tell all apart: some may be marked new that are not";
/// Portions of facets that are held at a time.
const ROUND: usize = 8;

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
    let mut counts: BTreeMap<i64, Levels> = BTreeMap::new();
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
    answer.partial = shape::partial(node, store, request.order, progress);
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
    answer.partial = shape::partial(node, store, request.order, progress);
    answer.partial.extend(missing.into_iter().map(|error| NodeError { node: node.to_owned(), error }));
    answer.took_ms = shape::millis(started);
    answer
}

/// Facets so far.
pub(super) struct Facets<'a> {
    request: &'a Request,
    sums: BTreeMap<&'a str, BTreeMap<String, u64>>,
    found: Found<'a>,
    /// All records, the blocks they are in, and about how many bytes they have.
    count: u64,
    blocks: u64,
    bytes: u64,
}

impl<'a> Facets<'a> {
    pub fn new(request: &'a Request) -> Self {
        let found = Found::new(request);
        Self { request, sums: BTreeMap::new(), found, count: 0, blocks: 0, bytes: 0 }
    }

    fn take_all(&mut self, store: &Store, candidates: &[Candidate], progress: &mut Progress) {
        let request = self.request;
        if request.patterns || request.names || !request.fields.is_empty() {
            in_parts(store, request, candidates, progress, &mut |portion, part, progress| {
                let Some(part) = part else {
                    self.straight(store, portion, progress);
                    return true;
                };
                let fits = self.found.append(part.found);
                if fits {
                    portion.iter().zip(&part.levels).for_each(|(block, levels)| self.add(block, levels));
                }
                fits
            });
            return;
        }
        let parts = spread(candidates, PORTION, request, progress, |portion, progress| {
            portion.iter().map(|candidate| levels_of(store, request, candidate, progress)).collect::<Vec<_>>()
        });
        for (from, part) in parts {
            candidates[from..].iter().zip(&part).for_each(|(candidate, levels)| self.add(candidate, levels));
        }
    }

    /// Looks through blocks on this thread.
    pub fn straight(&mut self, store: &Store, candidates: &[Candidate], progress: &mut Progress) {
        for candidate in candidates {
            if progress.is_late(self.request) {
                return;
            }
            let levels = self.found.take_in(store, candidate, progress);
            self.add(candidate, &levels);
        }
    }

    /// Adds the matching records of a block, by level.
    fn add(&mut self, candidate: &Candidate, levels: &Levels) {
        let (head, count) = (&candidate.head, levels.iter().sum::<u64>());
        self.count += count;
        self.blocks += u64::from(count > 0);
        self.bytes += head.raw_bytes.saturating_mul(count) / u64::from(head.count.max(1));
        self.add_names(&candidate.info, count, levels);
    }

    /// Looks at the patterns of the time before, if that was asked for.
    fn compare(&mut self, store: &Store, progress: &mut Progress) {
        let Some(before) = self.request.before().filter(|_| self.request.patterns) else { return };
        let candidates = plan::plan(store, &before, progress);
        in_parts(store, &before, &candidates, progress, &mut |portion, part, progress| {
            let Some(part) = part else {
                self.compare_straight(store, &before, portion, progress);
                return true;
            };
            let fits = part.found.is_whole();
            if fits {
                self.found.patterns.append_before(part.found.patterns);
            }
            fits
        });
    }

    /// Looks through blocks of the time before on this thread.
    pub fn compare_straight(
        &mut self,
        store: &Store,
        before: &Request,
        candidates: &[Candidate],
        progress: &mut Progress,
    ) {
        for candidate in candidates {
            if progress.is_late(before) {
                return;
            }
            let want = Want { templates: true, ..Want::default() };
            let look = Look { store, request: before, candidate, want };
            look.each(progress, |_| true, |found| self.found.patterns.add_before(found.key));
        }
    }

    fn add_names(&mut self, info: &StreamInfo, count: u64, levels: &Levels) {
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
    pub fn finish(mut self) -> (BTreeMap<String, Vec<FacetValue>>, Vec<String>) {
        let mut missing = Vec::new();
        if self.found.patterns.is_before_capped() {
            missing.push(CAPPED.to_owned());
        }
        for (field, values) in self.request.fields.iter().zip(self.found.take_values()) {
            self.sums.insert(field, values);
        }
        if self.request.names {
            let (names, sentence) = self.found.names.finish();
            self.sums.insert("field", names.into_iter().collect());
            missing.extend(sentence);
        }
        let facets = self.sums.into_iter().map(|(field, values)| (field.to_owned(), top(values, MAX_VALUES)));
        let mut facets: BTreeMap<_, _> = facets.collect();
        if self.request.patterns {
            let compared = self.request.compare_since.is_some();
            facets.insert("pattern".to_owned(), self.found.patterns.shown(compared));
        }
        (facets, missing)
    }
}

/// What a thread found in a portion of the blocks.
struct Part<'a> {
    /// Of each block that it came to.
    levels: Vec<Levels>,
    found: Found<'a>,
    scanned: u64,
}

impl<'a> Part<'a> {
    /// Goes no further than where something finds no room.
    fn of(store: &Store, request: &'a Request, candidates: &[Candidate], progress: &mut Progress) -> Self {
        let scanned = progress.scanned;
        let (mut levels, mut found) = (Vec::new(), Found::new(request));
        for candidate in candidates {
            if progress.is_late(request) || !found.is_whole() {
                break;
            }
            levels.push(found.take_in(store, candidate, progress));
        }
        Self { levels, found, scanned: progress.scanned - scanned }
    }
}

/// Takes in what was found in a portion of blocks; see [`in_parts`].
type Take<'t, 'a> = dyn FnMut(&[Candidate], Option<Part<'a>>, &mut Progress) -> bool + 't;

/// Looks at blocks on several threads, in rounds, and gives `take` each portion in order with what
/// was found in it. Where that can't be taken in, `take` says false, and is given that portion and
/// all later rounds without: to be looked at straight.
fn in_parts<'a>(
    store: &Store,
    request: &'a Request,
    candidates: &[Candidate],
    progress: &mut Progress,
    take: &mut Take<'_, 'a>,
) {
    // Where one portion has too much, others have.
    let mut alone = candidates.len() < 2 * PORTION;
    for round in candidates.chunks(ROUND * PORTION) {
        if progress.is_late(request) {
            return;
        }
        if alone {
            take(round, None, progress);
            continue;
        }
        let parts = spread(round, PORTION, request, progress, |portion, progress| {
            Part::of(store, request, portion, progress)
        });
        for (from, part) in parts {
            let portion = &round[from..round.len().min(from + PORTION)];
            let scanned = part.scanned;
            if !take(portion, Some(part), progress) {
                alone = true;
                progress.scanned -= scanned;
                take(portion, None, progress);
            }
        }
    }
}

fn by_level(levels: &Levels) -> BTreeMap<String, u64> {
    let present = Level::ALL.into_iter().zip(levels).filter(|(_, count)| **count > 0);
    present.map(|(level, count)| (level.name().to_owned(), *count)).collect()
}
