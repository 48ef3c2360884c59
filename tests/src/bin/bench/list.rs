//! LIST of 10,000 Pods, and their creation: how often a second, at what memory.
//! The same requests go to kube-apiserver where its binary is at hand.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::json;

use crate::{
    Row,
    beside::Server,
    memory::{peak_since, resident},
    spread::quantile,
};

/// How many are made, and listed.
pub const PODS: usize = 10_000;
const WRITERS: usize = 64;
const LISTS: usize = 40;
const READERS: usize = 4;
const PATH: &str = "/api/v1/namespaces/many/pods";
/// What a server's memory may answer: the first list of an informer.
const ANY: &str = "/api/v1/namespaces/many/pods?resourceVersion=0";

/// What one server showed.
pub struct Shown {
    creates: f64,
    create_p99: Duration,
    updates: f64,
    update_p99: Duration,
    lists: f64,
    list_median: Duration,
    any_median: Duration,
    megabytes: f64,
    before: u64,
    after: u64,
    peak: u64,
}

pub async fn show(server: &Server) -> Result<Shown> {
    let before = resident(server.pid)?;
    let (creates, create_p99) = create(&server.client, 0..PODS).await?;
    let after = resident(server.pid)?;
    // The first one warms what there is to warm.
    let bytes = list(&server.client, PATH).await?;
    let list_median = time_lists(&server.client, PATH).await?;
    let any_median = time_lists(&server.client, ANY).await?;
    let peak = peak_since(server.pid)?;
    let started = Instant::now();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let client = server.client.clone();
            tokio::spawn(async move {
                for _ in 0..LISTS / READERS {
                    list(&client, PATH).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for reader in readers {
        reader.await??;
    }
    let lists = LISTS as f64 / started.elapsed().as_secs_f64();
    let (updates, update_p99) = update(&server.client, 0..PODS).await?;
    Ok(Shown {
        creates,
        create_p99,
        updates,
        update_p99,
        lists,
        list_median,
        any_median,
        megabytes: bytes as f64 / 1e6,
        before,
        after,
        peak: peak.read()?,
    })
}

/// Pods of about 2 KB that nobody schedules: creates a second, and the slowest of a hundred.
pub async fn create(client: &Client, numbers: Range<usize>) -> Result<(f64, Duration)> {
    send(client, Method::POST, "/api/v1/namespaces", &json!({"metadata": {"name": "many"}})).await?;
    // Pods need it, and a namespace gets it a moment later; the peer has no controller that makes it.
    let account = json!({"metadata": {"name": "default"}});
    send(client, Method::POST, "/api/v1/namespaces/many/serviceaccounts", &account).await?;
    write(client, numbers, |number| (Method::POST, PATH.to_owned(), pod(number))).await
}

/// A merge patch of each: updates a second, and the slowest of a hundred.
async fn update(client: &Client, numbers: Range<usize>) -> Result<(f64, Duration)> {
    let change = json!({"metadata": {"labels": {"app": "changed"}}});
    write(client, numbers, move |number| (Method::PATCH, format!("{PATH}/pod-{number}"), change.clone()))
        .await
}

type Write = (Method, String, serde_json::Value);

/// Writes by [`WRITERS`] clients, each sending its next one when the last is answered.
async fn write(
    client: &Client,
    numbers: Range<usize>,
    made: impl Fn(usize) -> Write + Clone + Send + 'static,
) -> Result<(f64, Duration)> {
    let (next, end) = (Arc::new(AtomicUsize::new(numbers.start)), numbers.end);
    let started = Instant::now();
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (client, next, made) = (client.clone(), next.clone(), made.clone());
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return anyhow::Ok(took);
                    }
                    let (method, path, object) = made(number);
                    let started = Instant::now();
                    send(&client, method, &path, &object).await?;
                    took.push(started.elapsed());
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for writer in writers {
        took.extend(writer.await??);
    }
    Ok((numbers.len() as f64 / started.elapsed().as_secs_f64(), quantile(&took, 0.99)))
}

fn pod(number: usize) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("pod-{number}"),
            "labels": {"app": "many", "number": number.to_string()},
            "annotations": {"note": "a".repeat(1000)},
        },
        "spec": {
            "schedulerName": "nobody",
            "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": crate::IMAGE, "env": [{"name": "NUMBER", "value": number.to_string()}]}],
        },
    })
}

async fn time_lists(client: &Client, path: &str) -> Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..LISTS / READERS {
        let started = Instant::now();
        list(client, path).await?;
        took.push(started.elapsed());
    }
    Ok(quantile(&took, 0.5))
}

/// The size of a whole list, bytes.
async fn list(client: &Client, path: &str) -> Result<usize> {
    let request = Request::get(path).header("accept", "application/json").body(Body::empty())?;
    let response = client.send(request).await?;
    ensure!(response.status().is_success(), "LIST: {}", response.status());
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, bytes::Bytes::len);
    }
    Ok(bytes)
}

pub async fn send(client: &Client, method: Method, path: &str, object: &serde_json::Value) -> Result<()> {
    let patches = method == Method::PATCH;
    let media = if patches { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media)
        .header("accept", "application/json")
        .body(Body::from(serde_json::to_vec(object)?))?;
    let response = client.send(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success() || status == 409, "{path}: {status} {}", String::from_utf8_lossy(&body));
    Ok(())
}

pub fn rows(own: &Shown, other: Option<&Shown>) -> Vec<Row> {
    let versus = |ratio: &dyn Fn(&Shown) -> f64, text: &dyn Fn(&Shown) -> String| {
        other.map_or_else(String::new, |other| {
            format!("; kube-apiserver {}: {:.1}x", text(other), ratio(other))
        })
    };
    let creates = |shown: &Shown| format!("{:.0}/s, p99 {} ms", shown.creates, shown.create_p99.as_millis());
    let updates = |shown: &Shown| format!("{:.0}/s, p99 {} ms", shown.updates, shown.update_p99.as_millis());
    let one = |shown: &Shown| format!("{} ms", shown.list_median.as_millis());
    let any = |shown: &Shown| format!("{} ms", shown.any_median.as_millis());
    let lists = |shown: &Shown| format!("{:.1}/s", shown.lists);
    let memory = |shown: &Shown| {
        format!("{} MB, {} MB, {} MB", shown.before >> 20, shown.after >> 20, shown.peak >> 20)
    };
    vec![
        Row::new(
            format!("10,000 Pods of 2 KB created by {WRITERS} clients, durable"),
            creates(own) + &versus(&|other| own.creates / other.creates, &creates),
            "-",
        ),
        Row::new(
            format!("each of them changed by a merge patch, {WRITERS} clients"),
            updates(own) + &versus(&|other| own.updates / other.updates, &updates),
            "-",
        ),
        Row::new(
            format!("LIST of 10,000 Pods ({:.1} MB), one at a time", own.megabytes),
            one(own)
                + &versus(&|other| other.list_median.as_secs_f64() / own.list_median.as_secs_f64(), &one),
            "-",
        ),
        Row::new(
            "the same with resourceVersion=0",
            any(own) + &versus(&|other| other.any_median.as_secs_f64() / own.any_median.as_secs_f64(), &any),
            "-",
        ),
        Row::new(
            format!("the first, the newest state, by {READERS} clients"),
            lists(own) + &versus(&|other| own.lists / other.lists, &lists),
            ">= 5x kube-apiserver",
        ),
        Row::new(
            "the server's resident memory: before, with 10,000 Pods, highest during LISTs",
            memory(own) + &versus(&|other| own.peak as f64 / other.peak as f64, &memory),
            "<= 1/5 of kube-apiserver",
        ),
    ]
}
