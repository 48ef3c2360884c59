//! `tiphys demo`: the sample app's program, a web server whose load can be asked for.
//!
//! - `/` greets and logs the request
//! - `/cpu?ms=500` computes for that long
//! - `/write?bytes=1000000` writes so much to disk, synced
//! - `/log?lines=10&text=hello` logs lines

use std::{
    collections::HashSet,
    io::Write,
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::Query, http::StatusCode, routing::get};
use futures::{StreamExt, stream::FuturesUnordered};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;

use crate::failure::{OrNext, Outcome};

#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where to listen
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Ask this URL again and again in place of serving
    #[arg(long)]
    load: Option<http::Uri>,
}

/// The most that one request may ask for.
const MOST: u64 = 1 << 30;

#[derive(Deserialize)]
struct Work {
    #[serde(default)]
    ms: u64,
    #[serde(default)]
    bytes: u64,
    #[serde(default)]
    lines: u64,
    #[serde(default)]
    text: String,
}

impl Demo {
    pub async fn run(self) -> Outcome<ExitCode> {
        match self.load {
            Some(url) => load(url).await,
            None => serve(self.listen).await,
        }
    }
}

/// Four requests at a time, each on a connection of its own, so that every Pod behind a Service
/// gets some. Says each answer when it comes for the first time.
async fn load(url: http::Uri) -> Outcome<ExitCode> {
    const AT_ONCE: usize = 4;
    const ANSWER: usize = 4096;
    const KNOWN: usize = 100;
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http::<Empty<Bytes>>();
    let ask = async || -> Result<String, String> {
        let answer = client.get(url.clone()).await.map_err(|error| format!("can't be asked: {error}"))?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok(format!("answered {status}: {}", String::from_utf8_lossy(&body.to_bytes()).trim_end()))
    };
    let mut under_way = FuturesUnordered::new();
    let (mut counted, mut known) = (0u64, HashSet::new());
    loop {
        while under_way.len() < AT_ONCE {
            under_way.push(ask());
        }
        match under_way.next().await {
            Some(Ok(answer)) if known.len() < KNOWN && known.insert(answer.clone()) => say("info", &answer)?,
            Some(Err(error)) => {
                say("warn", &format!("{url} {error}"))?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Some(Ok(_)) | None => {}
        }
        counted += 1;
        if counted.is_multiple_of(100) {
            say("info", &format!("{counted} requests"))?;
        }
    }
}

async fn serve(listen: SocketAddr) -> Outcome<ExitCode> {
    let listener = tokio::net::TcpListener::bind(listen).await.or_next("choose another --listen")?;
    let routes = Router::new()
        .route("/", get(greet))
        .route("/healthz", get(async || "ok\n"))
        .route("/cpu", get(compute))
        .route("/write", get(write))
        .route("/log", get(log));
    say("info", &format!("listening on {listen}"))?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async {
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
            if let Ok(terminate) = &mut terminate {
                terminate.recv().await;
            }
        })
        .await?;
    Ok(ExitCode::SUCCESS)
}

fn pod() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| "somewhere".to_owned())
}

/// One JSON line on stdout, whole.
fn say(level: &str, message: &str) -> std::io::Result<()> {
    let line = serde_json::json!({"level": level, "msg": message, "pod": pod()});
    writeln!(std::io::stdout().lock(), "{line}")
}

type Answer = Result<String, (StatusCode, String)>;

fn failed(error: impl std::fmt::Display) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

async fn greet() -> Answer {
    say("info", "GET / 200").map_err(failed)?;
    Ok(format!("Hello from {}\n", pod()))
}

async fn compute(Query(work): Query<Work>) -> Answer {
    let rounds = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let mut rounds = 0u64;
        while started.elapsed() < Duration::from_millis(work.ms.min(60_000)) {
            rounds = std::hint::black_box(rounds.wrapping_mul(31).wrapping_add(7));
        }
        rounds
    });
    rounds.await.map_err(failed)?;
    Ok(format!("computed for {} ms on {}\n", work.ms, pod()))
}

async fn write(Query(work): Query<Work>) -> Answer {
    let bytes = work.bytes.min(MOST);
    let written = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let path = std::env::temp_dir().join("tiphys-demo");
        let mut file = std::fs::File::create(&path)?;
        std::io::copy(&mut std::io::Read::take(std::io::repeat(7), bytes), &mut file)?;
        file.sync_all()?;
        std::fs::remove_file(path)
    });
    written.await.map_err(failed)?.map_err(failed)?;
    say("info", &format!("wrote {bytes} bytes")).map_err(failed)?;
    Ok(format!("wrote {bytes} bytes on {}\n", pod()))
}

async fn log(Query(work): Query<Work>) -> Answer {
    let lines = work.lines.min(100_000);
    for number in 0..lines {
        say("info", &format!("{} {number}", work.text)).map_err(failed)?;
    }
    Ok(format!("logged {lines} lines on {}\n", pod()))
}
