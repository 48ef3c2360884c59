//! What queries may take together: places and samples, of one user and of all.

use std::{future::Future, ops::Range, pin::Pin, sync::Arc, time::Duration};

use axum::{Extension, Router, body::Body, http::Request};
use futures::FutureExt;
use serde_json::Value as Json;
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::store;
use crate::{
    places::Places,
    promql::{
        Budget,
        http::{Bounds, routes_within},
    },
    series::{
        Described, Exemplar, Labels, Matcher, Missing, Select, SelectError, SeriesStream, Store, Wanted,
    },
};

struct Everything;

impl Authorizer for Everything {
    fn authorize(&self, _: &UserInfo, _: &Attributes) -> Result<(), String> {
        Ok(())
    }
}

/// A store that gives series named `slow` only when the gate has room.
struct Gated {
    store: Store,
    gate: Arc<Semaphore>,
}

impl Gated {
    async fn pass(&self, matchers: &[Matcher]) {
        if matchers.iter().any(|matcher| matcher.value == "slow") {
            self.gate.acquire().await.expect("open").forget();
        }
    }
}

#[async_trait::async_trait]
impl Select for Gated {
    async fn stream(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        wanted: Wanted,
        missing: &Missing,
    ) -> Result<SeriesStream, SelectError> {
        self.pass(matchers).await;
        self.store.stream(matchers, range, wanted, missing).await
    }

    async fn series(
        &self,
        matchers: &[Matcher],
        range: Range<i64>,
        missing: &Missing,
    ) -> Result<Vec<Labels>, SelectError> {
        self.pass(matchers).await;
        self.store.series(matchers, range, missing).await
    }

    fn metadata(&self) -> Vec<Described> {
        self.store.metadata()
    }

    fn exemplars(&self, matchers: &[Matcher], range: Range<i64>) -> Vec<(Labels, Vec<Exemplar>)> {
        self.store.exemplars(matchers, range)
    }
}

struct Bench {
    routes: Router,
    bounds: Bounds,
    gate: Arc<Semaphore>,
}

type Asking = Pin<Box<dyn Future<Output = (u16, Json)>>>;

impl Bench {
    /// Over six series `up` that have a sample at the epoch.
    fn new(places: Places, budget: Budget) -> Self {
        let lines: String = (0..6).map(|pod| format!("up{{pod=\"{pod}\"}} 1\n")).collect();
        let gate = Arc::new(Semaphore::new(0));
        let source = Gated { store: store(1000, &lines), gate: gate.clone() };
        let bounds = Bounds { places, budget, ..Bounds::default() };
        let routes = routes_within(bounds.clone(), Arc::new(source), Arc::new(Everything));
        Self { routes, bounds, gate }
    }

    fn get(&self, user: &str, path: &str) -> Asking {
        let routes = self.routes.clone().layer(Extension(UserInfo::named(user, &[])));
        let request = Request::get(format!("/prometheus/api/v1/{path}")).body(Body::empty());
        Box::pin(async move {
            let response = routes.oneshot(request.expect("a request")).await.expect("answered");
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
            (status, serde_json::from_slice(&body).expect("JSON"))
        })
    }

    /// Asks for values at the epoch.
    fn query(&self, user: &str, query: &str) -> Asking {
        self.get(user, &format!("query?time=0&query={query}"))
    }

    async fn is_answered(&self, user: &str) {
        let (status, answer) = self.query(user, "up").await;
        let count = answer["data"]["result"].as_array().map(Vec::len);
        assert_eq!((status, count), (200, Some(6)), "{user}: {answer}");
    }
}

/// Begins to work on a request, which ends when this is dropped.
fn begun(mut asking: Asking) -> Asking {
    assert_eq!(asking.as_mut().now_or_never(), None, "it was to wait at the gate");
    asking
}

fn refused((status, answer): (u16, Json), why: &str) {
    assert_eq!((status, answer["errorType"].as_str()), (503, Some("unavailable")), "{answer}");
    let sentence = answer["error"].as_str().unwrap_or_default();
    assert!(sentence.contains(why), "{sentence}");
}

#[tokio::test(start_paused = true)]
async fn abuse_35_one_users_queries_leave_places_for_others_and_free_them_when_they_are_given_up() {
    let bench = Bench::new(Places::new(3, 2), Budget::default());
    let held = [0, 1].map(|_| begun(bench.query("greedy", "slow")));
    assert_eq!(bench.bounds.places.taken(), 2);
    // Of a clock that stands still while somebody works.
    refused(bench.query("greedy", "up").await, "too many queries");
    refused(bench.get("greedy", "labels").await, "too many queries");
    refused(bench.get("greedy", "status/tsdb").await, "too many queries");
    bench.is_answered("other").await;
    let _third = begun(bench.query("other", "slow"));
    refused(bench.query("more", "up").await, "too many queries");
    drop(held);
    assert_eq!(bench.bounds.places.taken(), 1);
    bench.is_answered("greedy").await;
}

#[tokio::test(start_paused = true)]
async fn abuse_35_a_query_that_waits_for_a_place_has_it_when_another_ends() {
    let bench = Bench::new(Places::new(1, 1), Budget::default());
    let held = begun(bench.query("a", "slow"));
    let waiting = begun(bench.query("b", "up"));
    drop(held);
    assert_eq!(waiting.await.0, 200);
    assert_eq!(bench.bounds.places.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn abuse_35_running_queries_hold_so_many_samples_together_at_most() {
    let bench = Bench::new(Places::new(9, 9), Budget::new(10, 8));
    let held = begun(bench.query("greedy", "up%20or%20slow"));
    assert_eq!(bench.bounds.budget.held(), 6, "what it has read so far");
    refused(bench.query("greedy", "up").await, "your running queries together");
    refused(bench.query("other", "up").await, "all running queries together");
    drop(held);
    assert_eq!(bench.bounds.budget.held(), 0);
    bench.is_answered("greedy").await;
    assert_eq!(bench.bounds.budget.held(), 0, "and what is answered is given back");
}

#[tokio::test]
async fn abuse_35_looking_for_series_keeps_its_place_though_its_client_has_gone() {
    let bench = Bench::new(Places::new(1, 1), Budget::default());
    drop(begun(bench.get("a", "series?match[]=slow")));
    assert_eq!(bench.bounds.places.taken(), 1, "what can't be broken off is still under way");
    bench.gate.add_permits(1);
    let free = async {
        while bench.bounds.places.taken() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), free).await.expect("it ends");
}

#[tokio::test]
async fn what_there_is_most_of_and_the_bounds_are_told() {
    let bench = Bench::new(Places::new(1, 1), Budget::default());
    let (status, told) = bench.get("a", "status/tsdb").await;
    assert_eq!((status, &told["data"]["headStats"]["numSeries"]), (200, &Json::from(0)), "long ago");
    let (_, flags) = bench.get("a", "status/flags").await;
    assert_eq!(flags["data"]["query.timeout"], "120s");
    assert_eq!(bench.get("a", "status/config").await.1["data"]["yaml"], "");
}
