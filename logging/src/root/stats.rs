//! Statistics of all nodes in one answer.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use tiphys_api::auth::UserInfo;

use super::{
    LogRoot, RootError,
    fanout::{self, in_order, node_error},
};
use crate::{
    search::sketch,
    time,
    wire::{
        Cell, DEFAULT_GROUPS, MAX_GROUPS, MAX_KEYS, MAX_QUANTILES, MAX_STEPS, NodeError, NodeStats,
        NodeStatsRequest, StatsAnswer, StatsPoint, StatsRequest, StatsSeries,
    },
};

pub(super) async fn stats(
    root: &LogRoot,
    user: &UserInfo,
    request: &StatsRequest,
) -> Result<StatsAnswer, RootError> {
    let started = Instant::now();
    let mut node_request = fanout::node_request(&request.query, &request.since, &request.until)?;
    node_request.within_ms = fanout::within_ms(root, &request.within)?;
    let until = *node_request.until.get_or_insert_with(|| time::now().saturating_add(1));
    let since = *node_request.since.get_or_insert_with(|| until.saturating_sub(3600 * time::SECOND));
    let shape = Shape::of(request, since, until).map_err(RootError::Invalid)?;
    node_request.stats = Some(NodeStatsRequest {
        field: request.field.clone(),
        by: request.by.clone(),
        step_ns: shape.step,
        origin: None,
        sketch: !request.quantiles.is_empty(),
    });
    let mut gathered = Gathered::default();
    let take = |node: &str, answer| gathered.add(node, answer);
    let namespace = request.namespace.as_deref();
    let scope = fanout::scoped(root, user, namespace, node_request, "/v1/stats", take).await?;
    let mut answer = merge(gathered, &shape);
    answer.restricted = scope.restricted;
    answer.took_ms = fanout::millis(started);
    Ok(answer)
}

/// The form of the answer.
struct Shape<'a> {
    since: i64,
    until: i64,
    step: i64,
    by: &'a [String],
    quantiles: &'a [f64],
    limit: usize,
}

impl<'a> Shape<'a> {
    /// An error says what is wrong with the request.
    fn of(request: &'a StatsRequest, since: i64, until: i64) -> Result<Self, String> {
        if request.by.len() > MAX_KEYS {
            return Err(format!("records are grouped by at most {MAX_KEYS} keys: take some out of `by`"));
        }
        if request.by.iter().chain(&request.field).any(String::is_empty) {
            return Err("a key in `by`, or `field`, is empty: name a field".into());
        }
        if request.quantiles.len() > MAX_QUANTILES {
            return Err(format!("at most {MAX_QUANTILES} quantiles are given at once"));
        }
        if request.quantiles.iter().any(|q| !(0.0..=1.0).contains(q)) {
            return Err("a quantile is a number from 0 to 1, such as 0.99".into());
        }
        if !request.quantiles.is_empty() && request.field.is_none() {
            return Err("quantiles are of a field: name it in `field`".into());
        }
        let span = until.saturating_sub(since).max(1);
        let step = match request.step.as_deref().filter(|step| !step.is_empty()) {
            None => span,
            Some(text) => time::span(text)
                .filter(|step| *step > 0)
                .ok_or_else(|| format!("`{text}` is no step: write a span such as 30s, 5m or 1h"))?,
        };
        let steps = (i128::from(span) + i128::from(step) - 1) / i128::from(step);
        if steps > MAX_STEPS as i128 {
            return Err(format!(
                "the range has {steps} steps, more than {MAX_STEPS}: make `step` longer, or the range shorter"
            ));
        }
        let limit = request.limit.unwrap_or(DEFAULT_GROUPS).clamp(1, MAX_GROUPS);
        Ok(Self { since, until, step, by: &request.by, quantiles: &request.quantiles, limit })
    }

    fn point(&self, step: u32, cell: &Cell) -> StatsPoint {
        let start = self.since.saturating_add(self.step.saturating_mul(i64::from(step)));
        // The last step may end early.
        let seconds = self.until.saturating_sub(start).min(self.step).max(1) as f64 / time::SECOND as f64;
        let mut point = StatsPoint {
            time: time::format(start),
            count: cell.count,
            rate: cell.count as f64 / seconds,
            ..StatsPoint::default()
        };
        if let Some(measured) = &cell.measured {
            point.numbers = measured.numbers;
            point.sum = Some(measured.sum);
            point.min = Some(measured.min);
            point.max = Some(measured.max);
            point.avg = Some(measured.sum / measured.numbers.max(1) as f64);
            // What is known exactly bounds what is known nearly.
            let of = |sketch: &sketch::Sketch, q: &f64| {
                sketch.quantile(*q).unwrap_or_default().clamp(measured.min, measured.max)
            };
            if let Some(sketch) = &measured.sketch {
                point.quantiles = self.quantiles.iter().map(|q| of(sketch, q)).collect();
            }
        }
        point
    }

    fn series(&self, group: Vec<Option<String>>, cells: &Cells) -> StatsSeries {
        let group = self.by.iter().cloned().zip(group);
        StatsSeries {
            group: group.filter_map(|(key, value)| Some((key, value?))).collect(),
            count: count(cells),
            points: cells.iter().map(|(step, cell)| self.point(*step, cell)).collect(),
        }
    }
}

pub(crate) type Cells = BTreeMap<u32, Cell>;

fn count(cells: &Cells) -> u64 {
    cells.values().map(|cell| cell.count).sum()
}

fn add(cells: &mut Cells, more: Cells) {
    for (step, cell) in more {
        cells.entry(step).or_default().merge(cell);
    }
}

/// Groups of all nodes that are told apart.
const MAX_HELD_GROUPS: usize = 50_000;
/// Numbers of all nodes that are held; a quantile's are as many as it has buckets, by four.
const MAX_HELD_CELLS: usize = 1_000_000;

/// What all nodes counted.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub groups: HashMap<Vec<Option<String>>, Cells>,
    /// Of groups that a node doesn't tell apart, or that are too many here.
    pub other: Cells,
    pub partial: Vec<NodeError>,
    pub scanned: u64,
    /// What is held of `groups`, in numbers.
    pub held: usize,
}

impl Gathered {
    /// Takes in what a node counted.
    pub(super) fn add(&mut self, node: &str, answer: Result<NodeStats, String>) {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.partial.push(node_error(node, error)),
        };
        self.scanned += answer.scanned;
        self.partial.extend(answer.partial);
        add(&mut self.other, answer.other);
        for series in answer.series {
            let known = self.groups.contains_key(&series.group);
            let weight: usize = series.cells.values().map(weight).sum();
            let room = known || self.groups.len() < MAX_HELD_GROUPS;
            if room && self.held + weight <= MAX_HELD_CELLS {
                self.held += weight;
                add(self.groups.entry(series.group).or_default(), series.cells);
            } else {
                add(&mut self.other, series.cells);
            }
        }
    }
}

fn weight(cell: &Cell) -> usize {
    let sketch = cell.measured.as_ref().and_then(|measured| measured.sketch.as_ref());
    1 + sketch.map_or(0, |sketch| sketch.buckets() / 4)
}

/// Cells of all nodes as they are, for who makes other numbers of them.
pub(crate) async fn cells(
    root: &LogRoot,
    user: &UserInfo,
    query: &str,
    range: std::ops::Range<i64>,
    want: NodeStatsRequest,
) -> Result<Gathered, RootError> {
    let mut node_request = fanout::node_request(query, &None, &None)?;
    node_request.since = Some(range.start);
    node_request.until = Some(range.end);
    node_request.stats = Some(want);
    let mut gathered = Gathered::default();
    let take = |node: &str, answer| gathered.add(node, answer);
    fanout::scoped(root, user, None, node_request, "/v1/stats", take).await?;
    gathered.partial = in_order(gathered.partial);
    Ok(gathered)
}

/// Groups added up, those with the most records by themselves.
fn merge(gathered: Gathered, shape: &Shape<'_>) -> StatsAnswer {
    let Gathered { groups, mut other, partial, scanned, .. } = gathered;
    let partial = in_order(partial);
    let mut merged = StatsAnswer { step_ns: shape.step, partial, scanned, ..StatsAnswer::default() };
    merged.capped = !other.is_empty();
    merged.count = groups.values().map(count).sum::<u64>() + count(&other);
    merged.quantile_error = error(groups.values().chain([&other])).filter(|_| !shape.quantiles.is_empty());
    let mut groups: Vec<_> = groups.into_iter().map(|(group, cells)| (count(&cells), group, cells)).collect();
    groups.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
    for (_, _, cells) in groups.drain(shape.limit.min(groups.len())..) {
        add(&mut other, cells);
    }
    merged.series = groups.into_iter().map(|(_, group, cells)| shape.series(group, &cells)).collect();
    merged.other = (!other.is_empty()).then(|| shape.series(Vec::new(), &other));
    merged
}

/// How far quantiles may be off: the most of all.
fn error<'a>(groups: impl Iterator<Item = &'a Cells>) -> Option<f64> {
    let sketches =
        groups.flat_map(BTreeMap::values).filter_map(|cell| cell.measured.as_ref()?.sketch.as_ref());
    let level = sketches.map(sketch::Sketch::level).max().unwrap_or_default();
    Some(sketch::error(level))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Measured, NodeSeries};

    fn node(name: &str, groups: &[(&str, u32, f64)], other: u64) -> (String, Result<NodeStats, String>) {
        let cell = |number: f64| {
            let mut sketch = sketch::Sketch::default();
            sketch.add(number);
            let sketch = Some(sketch);
            Cell {
                count: 1,
                measured: Some(Measured { numbers: 1, sum: number, min: number, max: number, sketch }),
            }
        };
        let series = groups.iter().map(|(group, step, number)| NodeSeries {
            group: vec![Some((*group).to_owned())],
            cells: [(*step, cell(*number))].into(),
        });
        let other =
            if other > 0 { [(0, Cell { count: other, measured: None })].into() } else { BTreeMap::new() };
        (name.into(), Ok(NodeStats { series: series.collect(), other, ..NodeStats::default() }))
    }

    fn request() -> StatsRequest {
        StatsRequest {
            by: vec!["pod".into()],
            field: Some("ms".into()),
            quantiles: vec![0.0, 1.0],
            step: Some("10s".into()),
            limit: Some(1),
            ..StatsRequest::default()
        }
    }

    #[test]
    fn groups_add_up_over_nodes_and_the_rest_is_other() {
        let request = request();
        let shape = Shape::of(&request, 0, 15 * time::SECOND).expect("a shape");
        let dead = ("c".to_string(), Err("no answer".to_string()));
        let answers = vec![
            node("a", &[("web", 0, 2.0), ("db", 1, 7.0)], 0),
            node("b", &[("web", 0, 4.0), ("web", 1, 1.0)], 3),
            dead,
        ];
        let mut gathered = Gathered::default();
        answers.into_iter().for_each(|(node, answer)| gathered.add(&node, answer));
        let answer = merge(gathered, &shape);
        assert_eq!(answer.partial, [node_error("c", "no answer".into())]);
        assert_eq!((answer.count, answer.capped, answer.series.len()), (7, true, 1));
        let web = &answer.series[0];
        assert_eq!((web.group["pod"].as_str(), web.count, web.points.len()), ("web", 3, 2));
        let first = &web.points[0];
        assert_eq!((first.count, first.rate, first.numbers), (2, 0.2, 2));
        assert_eq!(
            (first.sum, first.min, first.max, first.avg),
            (Some(6.0), Some(2.0), Some(4.0), Some(3.0))
        );
        assert!((first.quantiles[0] - 2.0).abs() < 0.03 && (first.quantiles[1] - 4.0).abs() < 0.05);
        // The range ends in the middle of the second step.
        assert_eq!(web.points[1].rate, 0.2);
        let other = answer.other.expect("what is beyond the limit");
        assert_eq!(other.points.iter().map(|point| point.count).collect::<Vec<_>>(), [3, 1]);
        assert!(answer.quantile_error.is_some_and(|error| error < 0.01));
    }

    #[test]
    fn abuse_35_what_is_held_of_all_nodes_is_bounded_and_the_rest_is_other() {
        let cell = || Cell { count: 1, measured: None };
        let series = |group: String, cells: u32| NodeSeries {
            group: vec![Some(group)],
            cells: (0..cells).map(|step| (step, cell())).collect(),
        };
        let answer = |series: Vec<NodeSeries>| Ok(NodeStats { series, ..NodeStats::default() });
        let mut many = Gathered::default();
        many.add("a", answer((0..MAX_HELD_GROUPS + 7).map(|at| series(at.to_string(), 1)).collect()));
        many.add("b", answer(vec![series("0".into(), 1), series("new".into(), 1)]));
        assert_eq!((many.groups.len(), count(&many.other)), (MAX_HELD_GROUPS, 8));
        assert_eq!(count(&many.groups[&vec![Some("0".to_owned())]]), 2);
        let mut long = Gathered::default();
        for node in 0..=MAX_HELD_CELLS / 10_000 {
            long.add("n", answer(vec![series(node.to_string(), 10_000)]));
        }
        assert_eq!((long.held, count(&long.other)), (MAX_HELD_CELLS, 10_000));
        let mut sketch = sketch::Sketch::default();
        for number in 1..100 {
            sketch.add(f64::from(number));
        }
        let measured = Measured { numbers: 99, sum: 1.0, min: 1.0, max: 99.0, sketch: Some(sketch) };
        assert!(weight(&Cell { count: 99, measured: Some(measured) }) > 10);
    }

    #[test]
    fn wrong_requests_are_told_what_is_wrong() {
        let refused = |change: &dyn Fn(&mut StatsRequest), needle: &str| {
            let mut request = request();
            change(&mut request);
            let error = Shape::of(&request, 0, 3600 * time::SECOND).err().expect("refused");
            assert!(error.contains(needle), "{error}");
        };
        refused(&|r| r.by = vec!["a".into(); 4], "at most 3 keys");
        refused(&|r| r.by = vec![String::new()], "is empty");
        refused(&|r| r.quantiles = vec![99.0], "from 0 to 1");
        refused(&|r| r.quantiles = vec![0.5; 11], "at most 10");
        refused(&|r| r.field = None, "name it in `field`");
        refused(&|r| r.step = Some("soon".into()), "is no step");
        refused(&|r| r.step = Some("1ms".into()), "make `step` longer");
    }
}
