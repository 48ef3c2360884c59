//! `cargo bench -p tiphys-metrics --bench series`: series by remote write, from the request to
//! the durable sample, and queries in PromQL; Prometheus and VictoriaMetrics on the same
//! requests in the same run when `PROMETHEUS` and `VICTORIA_METRICS` name their binaries.
//!
//! ```text
//! TIPHYS_BENCH_SET=hosts|mix|nodes   which series: see sets.rs            (hosts)
//! TIPHYS_BENCH_SCALE=4000            hosts, hundreds of series, containers (400)
//! TIPHYS_BENCH_HOURS=12              of samples                            (4)
//! TIPHYS_BENCH_FOLDER=/path          where all is kept                     (the temporary folder)
//! ```
//!
//! Speeds are of processor time: the machine may do other things. Nothing here passes or fails,
//! but for answers that differ.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its table is what it is run for")]

mod ours;
mod peers;
#[path = "../../../logging/benches/node/process.rs"]
mod process;
mod questions;
mod sets;
mod write;

use std::path::PathBuf;

use peers::Server;

/// The product's allocator, so that memory is what it is there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    if let Some(folder) = std::env::var_os("TIPHYS_BENCH_SERVE") {
        return ours::serve(&PathBuf::from(folder));
    }
    let number = |name: &str, standard| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(standard)
    };
    let set = sets::Set::named(
        &std::env::var("TIPHYS_BENCH_SET").unwrap_or_else(|_| "hosts".to_owned()),
        number("TIPHYS_BENCH_SCALE", 400),
        number("TIPHYS_BENCH_HOURS", 4),
    )?;
    let base = std::env::var_os("TIPHYS_BENCH_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("tiphys-bench-series-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&set, &folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(set: &sets::Set, folder: &std::path::Path) -> Result<()> {
    let binary = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut servers = vec![Server::start(peers::Kind::Ours, std::env::current_exe()?, folder)?];
    for (kind, name) in
        [(peers::Kind::Prometheus, "PROMETHEUS"), (peers::Kind::VictoriaMetrics, "VICTORIA_METRICS")]
    {
        if let Some(binary) = binary(name) {
            servers.push(Server::start(kind, binary, folder)?);
        }
    }
    println!("{}: {} series, {} samples", set.name, set.series(), set.samples());
    let mut requests = write::Requests::new(set);
    while let Some(body) = requests.next() {
        for server in &mut servers {
            server.write(&body)?;
        }
    }
    println!(
        "| work | {} |",
        servers.iter().map(|server| server.kind.name()).collect::<Vec<_>>().join(" | ")
    );
    println!("|---|{}", "---|".repeat(servers.len()));
    let row = |what: &str, values: Vec<String>| println!("| {what} | {} |", values.join(" | "));
    let mut settled = Vec::new();
    for server in &mut servers {
        settled.push(server.settle()?);
    }
    let samples = set.samples() as f64;
    let rate = |server: &Server| format!("{:.2}M", samples / server.cpu / 1e6);
    row("samples a second of a core, durable and settled", servers.iter().map(rate).collect());
    let memory = |server: &Server| {
        Ok(format!("{:.0} MB; {:.2} kB", server.peak()?, server.peak()? * 1e3 / set.series() as f64))
    };
    row("resident memory at most; a series", servers.iter().map(memory).collect::<Result<_>>()?);
    row(
        "bytes a sample on disk",
        settled.iter().map(|bytes| format!("{:.3}", *bytes as f64 / samples)).collect(),
    );
    for question in questions::of(set) {
        let mut values = Vec::new();
        let mut answers = Vec::new();
        for server in &servers {
            let (cold, warm, answer) = server.ask(&question)?;
            values.push(format!("{warm:.1} ms ({cold:.1})"));
            answers.push(answer);
        }
        if let Some(other) = answers.iter().skip(1).position(|answer| !questions::alike(answer, &answers[0]))
        {
            // VictoriaMetrics extrapolates nothing, so that its rates differ by design.
            eprintln!("{} answers otherwise: {}", servers[other + 1].kind.name(), question.query);
        }
        row(question.name, values);
    }
    Ok(())
}
