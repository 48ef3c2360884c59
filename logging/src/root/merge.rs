//! Many nodes' answers in one. Pure.

use std::{
    cmp::{Ordering, Reverse},
    collections::BTreeMap,
};

use super::fanout::{Answers, node_error};
use crate::{
    record::Position,
    wire::{Bucket, FacetValue, FacetsAnswer, HistogramAnswer, LogRecord, Order, SearchAnswer},
};

/// Which of two records stands earlier in an answer of this order.
fn compare(order: Order, a: &Position, b: &Position) -> Ordering {
    match order {
        Order::Newest => b.cmp(a),
        Order::Oldest => a.cmp(b),
        Order::Last => b.seq.cmp(&a.seq),
        Order::First => a.seq.cmp(&b.seq),
    }
}

/// The first `limit` records of all nodes.
///
/// A node that has more than it sent bounds the page: what others have beyond
/// its last record belongs to a later page, or records would come out of order.
pub(super) fn search(answers: Answers<SearchAnswer>, limit: usize, order: Order) -> SearchAnswer {
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
        if let Some(cursor) = answer.cursor.as_deref().and_then(|cursor| cursor.parse::<Position>().ok()) {
            let earlier = floor.as_ref().is_none_or(|floor| compare(order, &cursor, floor).is_lt());
            floor = if earlier { Some(cursor) } else { floor };
        }
        let placed = answer.records.into_iter().filter_map(|record| Some((record.id.parse().ok()?, record)));
        records.extend(placed);
    }
    records.sort_unstable_by(|a, b| compare(order, &a.0, &b.0));
    // The archive and a node may hold the same split one day; a record is shown once.
    records.dedup_by(|a, b| a.0 == b.0);
    let found = records.len();
    let complete =
        |position: &Position| floor.as_ref().is_none_or(|floor| compare(order, position, floor).is_le());
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
    let mut sums: BTreeMap<String, BTreeMap<String, FacetValue>> = BTreeMap::new();
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
        merged.blocks += answer.blocks;
        merged.bytes += answer.bytes;
        merged.partial.extend(answer.partial);
        for (field, values) in answer.facets {
            let sum = sums.entry(field).or_default();
            for value in values {
                match sum.get_mut(&value.value) {
                    Some(sum) => add(sum, value),
                    None => {
                        sum.insert(value.value.clone(), value);
                    }
                }
            }
        }
    }
    merged.facets =
        sums.into_iter().map(|(field, values)| (field, most(values.into_values(), limit))).collect();
    merged
}

fn add(sum: &mut FacetValue, more: FacetValue) {
    sum.count += more.count;
    sum.before = sum.before.map(|before| before + more.before.unwrap_or_default()).or(more.before);
    // Times as texts sort as times do.
    let first = [sum.first.take(), more.first].into_iter().flatten().min();
    let last = [sum.last.take(), more.last].into_iter().flatten().max();
    (sum.first, sum.last) = (first, last);
}

/// The most frequent, equal ones by name; patterns that were compared are marked.
fn most(values: impl Iterator<Item = FacetValue>, limit: usize) -> Vec<FacetValue> {
    let mut values: Vec<_> = values.filter(|value| value.count > 0).collect();
    values.sort_by_key(|value| Reverse(value.count));
    values.truncate(limit);
    values.iter_mut().for_each(|value| value.new = value.before == Some(0));
    values
}

/// The most frequent values, equal ones by name.
pub(crate) fn top(values: BTreeMap<String, u64>, limit: usize) -> Vec<FacetValue> {
    let value = |(value, count)| FacetValue { value, count, ..FacetValue::default() };
    most(values.into_iter().map(value), limit)
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
        let merged =
            search(vec![answer(&[9, 5, 1], "a", false), answer(&[8, 5], "b", false)], 4, Order::Newest);
        assert_eq!(times(&merged), [9, 8, 5, 5]);
        assert_eq!(merged.cursor.as_deref(), Some("5.0.a"));
    }

    #[test]
    fn a_node_with_more_bounds_the_page() {
        let merged =
            search(vec![answer(&[9, 7], "a", true), answer(&[8, 5, 3], "b", false)], 10, Order::Newest);
        assert_eq!(times(&merged), [9, 8, 7]);
        assert_eq!(merged.cursor.as_deref(), Some("7.0.a"));
        let oldest = vec![answer(&[1, 4], "a", true), answer(&[2, 5], "b", false)];
        let merged = search(oldest, 10, Order::Oldest);
        assert_eq!((times(&merged), merged.cursor.as_deref()), (vec![1, 2, 4], Some("4.0.a")));
    }

    #[test]
    fn a_pattern_is_new_when_no_node_had_it_before() {
        let value = |value: &str, count, before, first: Option<&str>| FacetValue {
            value: value.into(),
            count,
            before: Some(before),
            first: first.map(str::to_owned),
            last: first.map(str::to_owned),
            new: false,
        };
        let node = |node: &str, values| {
            let facets = [("pattern".to_owned(), values)].into();
            (node.to_owned(), Ok(FacetsAnswer { facets, ..FacetsAnswer::default() }))
        };
        let merged = facets(
            vec![
                node(
                    "a",
                    vec![value("old", 2, 0, Some("2026-01-02")), value("new", 1, 0, Some("2026-01-03"))],
                ),
                node(
                    "b",
                    vec![
                        value("old", 0, 5, None),
                        value("new", 1, 0, Some("2026-01-01")),
                        value("gone", 0, 1, None),
                    ],
                ),
            ],
            10,
        );
        let found: Vec<_> =
            merged.facets["pattern"].iter().map(|v| (v.value.as_str(), v.count, v.new)).collect();
        assert_eq!(found, [("new", 2, true), ("old", 2, false)]);
        let new = &merged.facets["pattern"][0];
        assert_eq!((new.first.as_deref(), new.last.as_deref()), (Some("2026-01-01"), Some("2026-01-03")));
    }

    #[test]
    fn the_last_page_has_no_cursor_and_missing_nodes_are_named() {
        let dead = ("c".to_string(), Err("no answer".to_string()));
        let merged = search(vec![answer(&[9], "a", false), dead], 10, Order::Newest);
        assert_eq!((times(&merged), merged.cursor), (vec![9], None));
        assert_eq!(merged.partial, [node_error("c", "no answer".into())]);
    }
}
