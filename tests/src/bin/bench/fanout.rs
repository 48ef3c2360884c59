//! One writer, a thousand watchers: how many events a second reach them, and how
//! long until the last of them has heard of a single change.
//! The same is asked of kube-apiserver where it is measured.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::json;
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use crate::{Row, list::send, spread::quantile};

const WATCHERS: usize = 1_000;
/// Changes in the storm, and single ones.
const STORM: usize = 200;
const SINGLE: usize = 20;
const PATH: &str = "/api/v1/namespaces/fan/configmaps";
/// For anything that is waited for.
const LIMIT: Duration = Duration::from_secs(120);

pub struct Shown {
    /// Events a second, over all watchers.
    events: f64,
    /// From the request of a change to the last watcher that has it: the middle one of them.
    last: Duration,
}

/// Events that the watchers have got, all together.
#[derive(Default)]
struct Got {
    events: AtomicUsize,
    more: Notify,
}

impl Got {
    async fn reaches(&self, wanted: usize) -> Result<()> {
        let reached = async {
            loop {
                let more = self.more.notified();
                if self.events.load(Ordering::Acquire) >= wanted {
                    return;
                }
                more.await;
            }
        };
        let late = || format!("{} of {wanted} events came", self.events.load(Ordering::Acquire));
        timeout(LIMIT, reached).await.with_context(late)
    }
}

pub async fn show(client: &Client) -> Result<Shown> {
    send(client, Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": "fan"}})).await?;
    send(client, Method::POST, PATH, &object(0)).await?;
    let (got, mut watchers) = (Arc::new(Got::default()), JoinSet::new());
    for _ in 0..WATCHERS {
        let request = Request::get(format!("{PATH}?watch=1&fieldSelector=metadata.name%3Dchanging"));
        let response = client.send(request.body(Body::empty())?).await?;
        ensure!(response.status().is_success(), "watch: {}", response.status());
        watchers.spawn(count(response.into_body(), got.clone()));
    }
    // Each is told first of what is there.
    got.reaches(WATCHERS).await?;
    let mut took = Vec::new();
    for number in 1..=SINGLE {
        let started = Instant::now();
        change(client, number).await?;
        got.reaches((number + 1) * WATCHERS).await?;
        took.push(started.elapsed());
    }
    let started = Instant::now();
    for number in 1..=STORM {
        change(client, SINGLE + number).await?;
    }
    got.reaches((1 + SINGLE + STORM) * WATCHERS).await?;
    let events = (STORM * WATCHERS) as f64 / started.elapsed().as_secs_f64();
    watchers.shutdown().await;
    Ok(Shown { events, last: quantile(&took, 0.5) })
}

/// An event is a line, and no line end stands within one.
async fn count(mut body: Body, got: Arc<Got>) {
    while let Some(Ok(frame)) = body.frame().await {
        let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
        got.events.fetch_add(lines, Ordering::Release);
        got.more.notify_waiters();
    }
}

async fn change(client: &Client, number: usize) -> Result<()> {
    send(client, Method::PUT, &format!("{PATH}/changing"), &object(number)).await
}

/// About a kilobyte.
fn object(number: usize) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "changing"},
        "data": {"number": number.to_string(), "filling": "a".repeat(700)},
    })
}

pub fn rows(own: &Shown, other: Option<&Shown>) -> Vec<Row> {
    let events = |shown: &Shown| format!("{:.0}/s", shown.events);
    let last = |shown: &Shown| format!("{:.1} ms", shown.last.as_secs_f64() * 1e3);
    let versus = |text: &dyn Fn(&Shown) -> String, ratio: &dyn Fn(&Shown) -> f64| {
        other.map_or_else(String::new, |other| {
            format!("; kube-apiserver {}: {:.1}x", text(other), ratio(other))
        })
    };
    vec![
        Row::new(
            format!("{STORM} changes of one object told to {WATCHERS} watchers, events"),
            events(own) + &versus(&events, &|other| own.events / other.events),
            "-",
        ),
        Row::new(
            format!("a single change until the last of {WATCHERS} watchers has it, p50"),
            last(own) + &versus(&last, &|other| other.last.as_secs_f64() / own.last.as_secs_f64()),
            "-",
        ),
    ]
}
