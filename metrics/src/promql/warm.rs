//! What the first query after a start would wait for: code that never ran is read from disk,
//! page by page, which takes longer than the query. So a few queries of one series are
//! answered, for nobody, before somebody asks.

use super::{Grid, Limits, http::written, instant, range};
use crate::series::{Labels, NAME, Store};

const HOUR: i64 = 3_600_000;
const STEP: i64 = 15_000;

/// Answers a query of each shape over one series of the store: its newest value, its last hours, its
/// rate, and the same with a regular expression; gives how many there were answers to. A store
/// without a series has nothing to be asked.
pub async fn warm(store: &Store) -> usize {
    let Some((labels, newest)) = store.any_series() else { return 0 };
    let (limits, mut answered) = (Limits::default(), 0);
    for selector in selectors(&labels) {
        for query in [selector.clone(), format!("sum by (job) (rate({selector}[5m]))")] {
            let grid = Grid::range(newest - 2 * HOUR, newest, STEP);
            let asked =
                [instant(store, &query, newest, &limits).await, range(store, &query, grid, &limits).await];
            // Who asks the same is told why it can't be answered.
            for answer in asked.into_iter().flatten() {
                answered += usize::from(!written(answer.outcome).is_empty());
            }
        }
    }
    answered
}

/// What selects the series: by its labels, and by a regular expression for one of them.
fn selectors(labels: &Labels) -> Vec<String> {
    let all: Vec<_> = labels.iter().filter(|(name, _)| *name != NAME).collect();
    let whole = all.iter().map(|(name, value)| format!("{name}={value:?}"));
    let mut found = vec![format!("{}{{{}}}", labels.name(), whole.collect::<Vec<_>>().join(","))];
    if let Some((name, value)) = all.last() {
        let pattern = format!("{}|", regex::escape(value));
        found.push(format!("{}{{{name}=~{pattern:?}}}", labels.name()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Limits as SeriesLimits, Sample, Value};

    #[tokio::test]
    async fn each_selector_is_a_query_that_finds_the_series() {
        let store = Store::in_memory(SeriesLimits::default());
        assert_eq!(store.any_series(), None);
        assert_eq!(warm(&store).await, 0);
        let labels = Labels::new([(NAME, "up"), ("job", "a.b"), ("path", "C:\\x \"y\"")]);
        let series = store.resolve(&labels).expect("a series");
        let time = jiff::Timestamp::now().as_millisecond();
        let taken = store.append(&[Sample { series, time, value: Value::Number(1.0) }]);
        assert_eq!(taken.taken, 1);
        assert_eq!(store.any_series(), Some((labels.clone(), time)));
        let found = selectors(&labels);
        assert_eq!(found.len(), 2);
        for selector in found {
            let answer = instant(&store, &selector, time, &Limits::default()).await.expect("a query");
            assert!(written(answer.outcome).contains("\"1\""), "{selector}");
        }
        assert_eq!(warm(&store).await, 8);
    }
}
