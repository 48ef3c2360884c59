//! What the first query after a start would wait for: code that never ran is read from disk,
//! page by page, which takes longer than the query. So a few queries of one series are
//! answered, for nobody, before somebody asks: by the door that clients come in by.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::{Request, header::CONTENT_TYPE},
};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tower::ServiceExt;

use super::http::{PREFIX, routes};
use crate::series::{Labels, NAME, Store};

const HOUR: i64 = 3_600_000;
/// Seconds.
const STEP: &str = "15";

/// Answers a query of each shape over one series of the store: its newest value, its last hours, its
/// rate, and the same with a regular expression; gives how many there were answers to. A store
/// without a series has nothing to be asked.
pub async fn warm(store: &Arc<Store>) -> usize {
    let Some((labels, newest)) = store.any_series() else { return 0 };
    let (door, mut answered) = (door(store), 0);
    let at = [("time", seconds(newest))];
    let over = [("start", seconds(newest - 2 * HOUR)), ("end", seconds(newest)), ("step", STEP.to_owned())];
    for selector in selectors(&labels) {
        for query in [selector.clone(), format!("sum by (job) (rate({selector}[5m]))")] {
            for (path, times) in [("query", &at[..]), ("query_range", &over[..])] {
                // Who asks the same is told why it can't be answered.
                answered += usize::from(ask(&door, path, &query, times).await.is_some());
            }
        }
    }
    answered
}

/// Nobody's, who sees all, and answers to whom are thrown away.
struct All;

impl Authorizer for All {
    fn authorize(&self, _user: &UserInfo, _attributes: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

fn door(store: &Arc<Store>) -> Router {
    routes(store.clone(), Arc::new(All)).layer(Extension(UserInfo::default()))
}

/// The answer, if it is none that says what is wrong.
async fn ask(door: &Router, path: &str, query: &str, times: &[(&str, String)]) -> Option<Bytes> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .extend_pairs(times)
        .finish();
    let request = Request::post(format!("{PREFIX}/api/v1/{path}"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form));
    let answer = door.clone().oneshot(request.ok()?).await.ok()?;
    let is_well = answer.status().is_success();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.ok()?;
    is_well.then_some(body)
}

/// A time in milliseconds as parameters have it.
fn seconds(time: i64) -> String {
    format!("{}.{:03}", time.div_euclid(1000), time.rem_euclid(1000))
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
    use crate::series::{Limits, Sample, Value};

    #[tokio::test]
    async fn each_selector_is_a_query_that_finds_the_series() {
        let store = Arc::new(Store::in_memory(Limits::default()));
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
            let answer = ask(&door(&store), "query", &selector, &[("time", seconds(time))]).await;
            let answer = answer.expect("an answer");
            assert!(String::from_utf8_lossy(&answer).contains("\"1\""), "{selector}");
        }
        assert_eq!(warm(&store).await, 8);
    }
}
