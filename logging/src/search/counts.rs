//! Histogram and facets: counts of what matches, without the records.
//!
//! A block that matches as a whole is counted from its head, or from its columns
//! where its time crosses a bar; of the rest as little is decoded as tells.

use std::{collections::BTreeMap, time::Instant};

use super::{
    Progress, Request,
    look::{Look, Want},
    patterns::Patterns,
    plan, shape,
};
use crate::{
    index::Store,
    query::compile::Verdict,
    record::Level,
    root::top,
    time,
    wire::{Bucket, FacetsAnswer, HistogramAnswer},
};

/// Values of a facet that a node sends at most.
const MAX_VALUES: usize = 1000;

/// `buckets` bars of equal width over `since..until`, both of which the request must have.
pub fn histogram(store: &Store, request: &Request, buckets: usize, node: &str) -> HistogramAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let until = request.until.unwrap_or_else(time::now);
    let since = request.since.unwrap_or_else(|| until.saturating_sub(3600 * time::SECOND)).min(until);
    let width = (i128::from(until) - i128::from(since)).max(1);
    let step = (width + buckets as i128 - 1) / buckets as i128;
    let bar = |time: i64| ((i128::from(time) - i128::from(since)) / step) as usize;
    let mut counts = vec![[0u64; 7]; buckets];
    for candidate in plan::plan(store, request, &mut progress) {
        if progress.is_late(request) {
            break;
        }
        let head = &candidate.head;
        let whole = candidate.verdict == Verdict::Yes && request.covers(head.min_time, head.max_time);
        if whole && bar(head.min_time) == bar(head.max_time) {
            add(&mut counts[bar(head.min_time)], &head.levels);
        } else {
            let look = Look { store, request, candidate: &candidate, want: Want::Columns };
            look.each(
                &mut progress,
                |_| true,
                |found| {
                    if let Some(bar) = counts.get_mut(bar(found.record.time)) {
                        bar[found.record.level as usize] += 1;
                    }
                },
            );
        }
    }
    let bucket = |(at, levels): (usize, &[u64; 7])| {
        let start = i128::from(since) + step * at as i128;
        let count = levels.iter().sum();
        Bucket {
            time: time::format(i64::try_from(start).unwrap_or(i64::MAX)),
            count,
            by_level: by_level(levels),
        }
    };
    let mut answer = HistogramAnswer {
        buckets: counts.iter().enumerate().map(bucket).collect(),
        step_ns: i64::try_from(step).unwrap_or(i64::MAX),
        scanned: progress.scanned,
        ..HistogramAnswer::default()
    };
    answer.partial = shape::partial(node, store, progress);
    answer.took_ms = shape::millis(started);
    answer
}

/// Counts by namespace, Pod, container, level and node; by pattern if the request says so.
pub fn facets(store: &Store, request: &Request, node: &str) -> FacetsAnswer {
    let started = Instant::now();
    let mut progress = Progress::default();
    let mut sums: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let mut patterns = Patterns::default();
    for candidate in plan::plan(store, request, &mut progress) {
        if progress.is_late(request) {
            break;
        }
        let mut levels = [0u64; 7];
        let head = &candidate.head;
        let whole = candidate.verdict == Verdict::Yes && request.covers(head.min_time, head.max_time);
        if whole && !request.patterns {
            add(&mut levels, &head.levels);
        } else {
            let want = if request.patterns { Want::Templates } else { Want::Columns };
            let look = Look { store, request, candidate: &candidate, want };
            look.each(
                &mut progress,
                |_| true,
                |found| {
                    levels[found.record.level as usize] += 1;
                    if request.patterns {
                        patterns.add(found.key, 1);
                    }
                },
            );
        }
        let count: u64 = levels.iter().sum();
        let info = &candidate.info;
        let names = [
            ("namespace", &info.namespace),
            ("pod", &info.pod),
            ("container", &info.container),
            ("node", &info.node),
        ];
        for (field, value) in names.into_iter().filter(|_| count > 0) {
            *sums.entry(field).or_default().entry(value.clone()).or_default() += count;
        }
        for (level, count) in by_level(&levels) {
            *sums.entry("level").or_default().entry(level).or_default() += count;
        }
    }
    if request.patterns {
        sums.insert("pattern", patterns.shown());
    }
    let count = sums.get("namespace").map_or(0, |values| values.values().sum());
    let facets =
        sums.into_iter().map(|(field, values)| (field.to_owned(), top(values, MAX_VALUES))).collect();
    let mut answer = FacetsAnswer { facets, count, scanned: progress.scanned, ..FacetsAnswer::default() };
    answer.partial = shape::partial(node, store, progress);
    answer.took_ms = shape::millis(started);
    answer
}

fn add(sums: &mut [u64; 7], levels: &[u32; 7]) {
    for (sum, count) in sums.iter_mut().zip(levels) {
        *sum += u64::from(*count);
    }
}

fn by_level(levels: &[u64; 7]) -> BTreeMap<String, u64> {
    let present = Level::ALL.into_iter().zip(levels).filter(|(_, count)| **count > 0);
    present.map(|(level, count)| (level.name().to_owned(), *count)).collect()
}
