//! Many nodes' answers in one. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use super::fanout::{Answers, node_error};
use crate::{
    record::Position,
    wire::{Bucket, FacetValue, FacetsAnswer, HistogramAnswer, LogRecord, SearchAnswer},
};

/// The newest `limit` records of all nodes.
///
/// A node that has more than it sent bounds the page: what others have beyond
/// its last record belongs to a later page, or records would come out of order.
pub(super) fn search(answers: Answers<SearchAnswer>, limit: usize) -> SearchAnswer {
    let mut merged = SearchAnswer::default();
    let mut records: Vec<(Position, LogRecord)> = Vec::new();
    let mut floor: Option<Position> = None;
    for (node, answer) in answers {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                merged.partial.push(node_error(&node, error));
                continue;
            }
        };
        merged.scanned += answer.scanned;
        merged.partial.extend(answer.partial);
        if let Some(cursor) = answer.cursor.as_deref().and_then(|cursor| cursor.parse().ok()) {
            floor = floor.max(Some(cursor));
        }
        let placed = answer.records.into_iter().filter_map(|record| Some((record.id.parse().ok()?, record)));
        records.extend(placed);
    }
    records.sort_unstable_by(|a, b| b.0.cmp(&a.0));
    // The archive and a node may hold the same split one day; a record is shown once.
    records.dedup_by(|a, b| a.0 == b.0);
    let found = records.len();
    let complete = |position: &Position| floor.as_ref().is_none_or(|floor| position >= floor);
    records.retain(|(position, _)| complete(position));
    records.truncate(limit);
    if floor.is_some() || records.len() < found {
        merged.cursor = records.last().map(|(position, _)| position.to_string());
    }
    merged.records = records.into_iter().map(|(_, record)| record).collect();
    merged
}

/// Bars added up; all nodes were asked for the same bars.
pub(super) fn histogram(answers: Answers<HistogramAnswer>) -> HistogramAnswer {
    let mut merged = HistogramAnswer::default();
    let mut buckets: BTreeMap<String, Bucket> = BTreeMap::new();
    for (node, answer) in answers {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                merged.partial.push(node_error(&node, error));
                continue;
            }
        };
        merged.scanned += answer.scanned;
        merged.partial.extend(answer.partial);
        merged.step_ns = answer.step_ns;
        for bucket in answer.buckets {
            let sum = buckets.entry(bucket.time.clone()).or_default();
            sum.time = bucket.time;
            sum.count += bucket.count;
            for (level, count) in bucket.by_level {
                *sum.by_level.entry(level).or_default() += count;
            }
        }
    }
    merged.buckets = buckets.into_values().collect();
    merged
}

/// Values added up, the most frequent `limit` of each field.
pub(super) fn facets(answers: Answers<FacetsAnswer>, limit: usize) -> FacetsAnswer {
    let mut merged = FacetsAnswer::default();
    let mut sums: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (node, answer) in answers {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                merged.partial.push(node_error(&node, error));
                continue;
            }
        };
        merged.scanned += answer.scanned;
        merged.count += answer.count;
        merged.partial.extend(answer.partial);
        for (field, values) in answer.facets {
            let sum = sums.entry(field).or_default();
            for FacetValue { value, count } in values {
                *sum.entry(value).or_default() += count;
            }
        }
    }
    merged.facets = sums.into_iter().map(|(field, values)| (field, top(values, limit))).collect();
    merged
}

/// The most frequent values, equal ones by name.
pub(crate) fn top(values: BTreeMap<String, u64>, limit: usize) -> Vec<FacetValue> {
    let mut values: Vec<_> = values.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
    values.sort_by_key(|facet| Reverse(facet.count));
    values.truncate(limit);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: i64, stream: &str) -> LogRecord {
        let id = Position { time, stream: stream.into(), seq: 0 }.to_string();
        LogRecord { id, ..LogRecord::default() }
    }

    fn answer(times: &[i64], stream: &str, more: bool) -> (String, Result<SearchAnswer, String>) {
        let records: Vec<_> = times.iter().map(|time| record(*time, stream)).collect();
        let cursor = records.last().filter(|_| more).map(|record| record.id.clone());
        (stream.into(), Ok(SearchAnswer { records, cursor, ..SearchAnswer::default() }))
    }

    fn times(answer: &SearchAnswer) -> Vec<i64> {
        answer.records.iter().map(|record| record.id.parse::<Position>().expect("an id").time).collect()
    }

    #[test]
    fn newest_first_up_to_the_limit() {
        let merged = search(vec![answer(&[9, 5, 1], "a", false), answer(&[8, 5], "b", false)], 4);
        assert_eq!(times(&merged), [9, 8, 5, 5]);
        assert_eq!(merged.cursor.as_deref(), Some("5.0.a"));
    }

    #[test]
    fn a_node_with_more_bounds_the_page() {
        let merged = search(vec![answer(&[9, 7], "a", true), answer(&[8, 5, 3], "b", false)], 10);
        assert_eq!(times(&merged), [9, 8, 7]);
        assert_eq!(merged.cursor.as_deref(), Some("7.0.a"));
    }

    #[test]
    fn the_last_page_has_no_cursor_and_missing_nodes_are_named() {
        let dead = ("c".to_string(), Err("no answer".to_string()));
        let merged = search(vec![answer(&[9], "a", false), dead], 10);
        assert_eq!((times(&merged), merged.cursor), (vec![9], None));
        assert_eq!(merged.partial, [node_error("c", "no answer".into())]);
    }
}
