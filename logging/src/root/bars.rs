//! A histogram by the values of a field: bars over time, each told apart by value.
//!
//! The nodes count by value, level and step, as they do for statistics. Which values
//! are the most frequent only the sum of all nodes says, so it is decided here; what the
//! others have is one number a bar, and so is what has no such field: bars add up.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tiphys_api::auth::UserInfo;

use super::{
    LogRoot, RootError, fanout,
    stats::{Cells, Gathered},
};
use crate::{
    grid::Grid,
    time,
    wire::{Bucket, FacetValue, HistogramAnswer, HistogramRequest, NodeRequest, NodeStatsRequest},
};

/// Values that are told apart when the request doesn't say how many.
const DEFAULT_TOP: usize = 10;
/// The most values that are told apart.
const MAX_TOP: usize = 100;

/// Bars of `since..until`, which the request to the nodes has, by the field.
pub(super) async fn by_field(
    root: &LogRoot,
    user: &UserInfo,
    request: &HistogramRequest,
    field: &str,
    mut node_request: NodeRequest,
) -> Result<HistogramAnswer, RootError> {
    let started = Instant::now();
    if field.is_empty() {
        return Err(RootError::Invalid("`by` is empty: name a field, or leave it out".into()));
    }
    let until = node_request.until.unwrap_or_else(time::now);
    let since = node_request.since.unwrap_or(until).min(until);
    let grid = Grid::new(since, until, node_request.buckets.unwrap_or(1));
    node_request.stats = Some(NodeStatsRequest {
        field: None,
        by: vec![field.to_owned(), "level".to_owned()],
        step_ns: grid.step,
        origin: Some(grid.origin),
        sketch: false,
    });
    let mut gathered = Gathered::default();
    let take = |node: &str, answer| gathered.add(node, answer);
    let namespace = request.namespace.as_deref();
    let scope = fanout::scoped(root, user, namespace, node_request, "/v1/stats", take).await?;
    let top = request.top.unwrap_or(DEFAULT_TOP).clamp(1, MAX_TOP);
    let mut answer = Bars(grid).sum(gathered, top);
    answer.restricted = scope.restricted;
    answer.took_ms = fanout::millis(started);
    Ok(answer)
}

/// Puts what the nodes counted together.
struct Bars(Grid);

impl Bars {
    /// The bars, with the `top` most frequent values by themselves, equal ones by name.
    fn sum(self, gathered: Gathered, top: usize) -> HistogramAnswer {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (group, cells) in &gathered.groups {
            if let Some(value) = value(group) {
                *sums.entry(value).or_default() += cells.values().map(|cell| cell.count).sum::<u64>();
            }
        }
        let mut values: Vec<(&str, u64)> = sums.into_iter().collect();
        values.sort_by_key(|(_, count)| Reverse(*count));
        values.truncate(top);
        let shown: BTreeSet<&str> = values.iter().map(|(value, _)| *value).collect();
        let mut bars: Vec<Bucket> =
            (0..self.0.bars).map(|at| Bucket { time: self.0.start(at), ..Bucket::default() }).collect();
        for (group, cells) in &gathered.groups {
            let level = group.get(1).and_then(Option::as_deref);
            match value(group) {
                None => each(&mut bars, cells, level, |bar, count| bar.without += count),
                Some(value) if shown.contains(value) => each(&mut bars, cells, level, |bar, count| {
                    *bar.by_value.entry(value.to_owned()).or_default() += count;
                }),
                Some(_) => each(&mut bars, cells, level, |bar, count| bar.others += count),
            }
        }
        each(&mut bars, &gathered.other, None, |bar, count| bar.others += count);
        let value = |(value, count): (&str, u64)| FacetValue {
            value: value.to_owned(),
            count,
            ..FacetValue::default()
        };
        HistogramAnswer {
            values: values.into_iter().map(value).collect(),
            capped: !gathered.other.is_empty(),
            buckets: bars,
            step_ns: self.0.step,
            scanned: gathered.scanned,
            partial: fanout::in_order(gathered.partial),
            ..HistogramAnswer::default()
        }
    }
}

fn value(group: &[Option<String>]) -> Option<&str> {
    group.first().and_then(Option::as_deref)
}

fn each(bars: &mut [Bucket], cells: &Cells, level: Option<&str>, mut add: impl FnMut(&mut Bucket, u64)) {
    for (step, cell) in cells {
        // A node with another idea of the range has none of these bars.
        let Some(bar) = bars.get_mut(*step as usize) else { continue };
        bar.count += cell.count;
        if let Some(level) = level {
            *bar.by_level.entry(level.to_owned()).or_default() += cell.count;
        }
        add(bar, cell.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Cell;

    #[test]
    fn bars_add_up_whatever_is_shown_by_itself() {
        let cells = |counts: &[(u32, u64)]| -> Cells {
            counts.iter().map(|(step, count)| (*step, Cell { count: *count, measured: None })).collect()
        };
        let group = |value: Option<&str>, level: &str| vec![value.map(str::to_owned), Some(level.to_owned())];
        let gathered = Gathered {
            groups: [
                (group(Some("200"), "info"), cells(&[(0, 5), (1, 1)])),
                (group(Some("200"), "warn"), cells(&[(1, 1)])),
                (group(Some("500"), "error"), cells(&[(1, 4)])),
                (group(Some("404"), "warn"), cells(&[(0, 3)])),
                (group(None, "info"), cells(&[(1, 2), (9, 7)])),
            ]
            .into(),
            other: cells(&[(0, 6)]),
            ..Gathered::default()
        };
        let answer = Bars(Grid::new(10, 20, 2)).sum(gathered, 2);
        assert_eq!((answer.step_ns, answer.capped), (5, true));
        let values: Vec<_> = answer.values.iter().map(|v| (v.value.as_str(), v.count)).collect();
        assert_eq!(values, [("200", 7), ("500", 4)]);
        let first = &answer.buckets[0];
        assert_eq!((first.time.as_str(), first.count), ("1970-01-01T00:00:00.000000010Z", 14));
        assert_eq!((first.by_value.clone(), first.others, first.without), ([("200".into(), 5)].into(), 9, 0));
        let second = &answer.buckets[1];
        assert_eq!(second.by_value, [("200".into(), 2), ("500".into(), 4)].into());
        assert_eq!((second.count, second.others, second.without), (8, 0, 2));
        let levels = [("error".into(), 4), ("info".into(), 3), ("warn".into(), 1)];
        assert_eq!(second.by_level, levels.into());
    }
}
