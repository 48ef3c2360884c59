//! Many nodes' answers in one. Pure.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
};

use super::fanout::{in_order, node_error};
use crate::{
    record::Position,
    search::OTHERS,
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
pub(super) struct Searched {
    limit: usize,
    order: Order,
    merged: SearchAnswer,
    records: Vec<(Position, LogRecord)>,
    floor: Option<Position>,
    /// Records were left to a later page.
    more: bool,
}

impl Searched {
    pub fn new(limit: usize, order: Order) -> Self {
        let merged = SearchAnswer::default();
        Self { limit, order, merged, records: Vec::new(), floor: None, more: false }
    }

    pub fn add(&mut self, node: &str, answer: Result<SearchAnswer, String>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.merged.partial.push(node_error(node, error)),
        };
        self.merged.scanned += answer.scanned;
        self.merged.partial.extend(answer.partial);
        if let Some(cursor) = answer.cursor.as_deref().and_then(|cursor| cursor.parse::<Position>().ok()) {
            let earlier = |floor: &Position| compare(self.order, &cursor, floor).is_lt();
            self.floor =
                if self.floor.as_ref().is_none_or(earlier) { Some(cursor) } else { self.floor.take() };
        }
        let placed = answer.records.into_iter().filter_map(|record| Some((record.id.parse().ok()?, record)));
        self.records.extend(placed);
        // No more is held than a page and what the last node sent.
        if self.records.len() > 2 * self.limit {
            self.shorten();
        }
    }

    /// Keeps the first records; the others belong to a later page.
    fn shorten(&mut self) {
        let order = self.order;
        self.records.sort_unstable_by(|a, b| compare(order, &a.0, &b.0));
        // The archive and a node may hold the same split one day; a record is shown once.
        self.records.dedup_by(|a, b| a.0 == b.0);
        let found = self.records.len();
        let floor = self.floor.as_ref();
        let complete =
            |position: &Position| floor.is_none_or(|floor| compare(order, position, floor).is_le());
        self.records.retain(|(position, _)| complete(position));
        self.records.truncate(self.limit);
        self.more |= self.records.len() < found;
    }

    pub fn finish(mut self) -> SearchAnswer {
        self.shorten();
        if self.floor.is_some() || self.more {
            self.merged.cursor = self.records.last().map(|(position, _)| position.to_string());
        }
        self.merged.partial = in_order(self.merged.partial);
        self.merged.records = self.records.into_iter().map(|(_, record)| record).collect();
        self.merged
    }
}

/// Bars added up; all nodes were asked for the same bars.
#[derive(Default)]
pub(super) struct Bars {
    merged: HistogramAnswer,
    buckets: BTreeMap<String, Bucket>,
}

impl Bars {
    pub fn add(&mut self, node: &str, answer: Result<HistogramAnswer, String>) {
        let merged = &mut self.merged;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return merged.partial.push(node_error(node, error)),
        };
        merged.scanned += answer.scanned;
        merged.partial.extend(answer.partial);
        merged.step_ns = answer.step_ns;
        for bucket in answer.buckets {
            let sum = self.buckets.entry(bucket.time.clone()).or_default();
            sum.time = bucket.time;
            sum.count += bucket.count;
            for (level, count) in bucket.by_level {
                *sum.by_level.entry(level).or_default() += count;
            }
        }
    }

    pub fn finish(mut self) -> HistogramAnswer {
        self.merged.partial = in_order(self.merged.partial);
        self.merged.buckets = self.buckets.into_values().collect();
        self.merged
    }
}

/// Values of a field that are held, of all nodes.
const MAX_VALUES: usize = 50_000;

/// Values added up.
#[derive(Default)]
pub(super) struct Values {
    merged: FacetsAnswer,
    sums: BTreeMap<String, BTreeMap<String, FacetValue>>,
    /// Fields that have more values than are held.
    full: BTreeSet<String>,
}

impl Values {
    pub fn add(&mut self, node: &str, answer: Result<FacetsAnswer, String>) {
        let merged = &mut self.merged;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return merged.partial.push(node_error(node, error)),
        };
        merged.scanned += answer.scanned;
        merged.count += answer.count;
        merged.blocks += answer.blocks;
        merged.bytes += answer.bytes;
        merged.partial.extend(answer.partial);
        for (field, values) in answer.facets {
            let sum = self.sums.entry(field.clone()).or_default();
            for mut value in values {
                if sum.len() >= MAX_VALUES && !sum.contains_key(&value.value) {
                    self.full.insert(field.clone());
                    value.value = OTHERS.to_owned();
                }
                match sum.get_mut(&value.value) {
                    Some(sum) => add(sum, value),
                    None => drop(sum.insert(value.value.clone(), value)),
                }
            }
        }
    }

    /// The most frequent `limit` of each field.
    pub fn finish(mut self, limit: usize) -> FacetsAnswer {
        for field in self.full {
            let error = format!(
                "all nodes have more than {MAX_VALUES} values of `{field}` together: the rest is {OTHERS}; narrow the query"
            );
            self.merged.partial.push(node_error("all nodes", error));
        }
        let most = |(field, values): (String, BTreeMap<String, FacetValue>)| {
            (field, most(values.into_values(), limit))
        };
        self.merged.partial = in_order(self.merged.partial);
        self.merged.facets = self.sums.into_iter().map(most).collect();
        self.merged
    }
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

    type Answers<T> = Vec<(String, Result<T, String>)>;

    fn search(answers: Answers<SearchAnswer>, limit: usize, order: Order) -> SearchAnswer {
        let mut merged = Searched::new(limit, order);
        answers.into_iter().for_each(|(node, answer)| merged.add(&node, answer));
        merged.finish()
    }

    fn facets(answers: Answers<FacetsAnswer>, limit: usize) -> FacetsAnswer {
        let mut merged = Values::default();
        answers.into_iter().for_each(|(node, answer)| merged.add(&node, answer));
        merged.finish(limit)
    }

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
    fn what_is_held_of_many_nodes_is_little_more_than_a_page() {
        let mut merged = Searched::new(10, Order::Newest);
        let mut all: Vec<i64> = Vec::new();
        for node in 0..50 {
            let times: Vec<i64> = (0..10).map(|at| (node * 37) % 50 * 100 - at).collect();
            all.extend(&times);
            let (name, answer) = answer(&times, &format!("node-{node:02}"), node % 7 == 0);
            merged.add(&name, answer);
            assert!(merged.records.len() <= 20, "held: {}", merged.records.len());
        }
        let answer = merged.finish();
        all.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!((times(&answer), answer.cursor.is_some()), (all[..10].to_vec(), true));
    }

    #[test]
    fn values_beyond_those_that_are_held_are_counted_as_others() {
        let mut merged = Values::default();
        for node in 0..=MAX_VALUES / 1000 {
            let value = |at| FacetValue { value: format!("{node}-{at}"), count: 1, ..FacetValue::default() };
            let facets = [("user".to_owned(), (0..1000).map(value).collect())].into();
            merged.add("n", Ok(FacetsAnswer { facets, ..FacetsAnswer::default() }));
        }
        let answer = merged.finish(3);
        let users = &answer.facets["user"];
        assert_eq!((users.len(), users[0].value.as_str(), users[0].count), (3, OTHERS, 1000));
        assert!(answer.partial[0].error.contains("more than 50000 values of `user`"));
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
