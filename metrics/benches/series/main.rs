//! `cargo bench -p tiphys-metrics --bench series`: series by remote write, from the request to
//! the durable sample, and queries in PromQL and in SQL; Prometheus and VictoriaMetrics on the
//! same requests in the same run when `PROMETHEUS` and `VICTORIA_METRICS` name their binaries, as
//! `make bench` does with those of the PATH. SQL stands beside what they take for the same question
//! in PromQL.
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

/// The product's, so that memory is what it is there.
#[path = "../../../core/node/src/allocator.rs"]
mod allocator;
mod ours;
mod peers;
#[path = "../../../logging/benches/node/process.rs"]
mod process;
mod questions;
mod sets;
mod table;
mod write;

use std::path::PathBuf;

use peers::Server;
use table::{Cell, head, row};

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
    let binary = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
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
    let kinds: Vec<_> = servers.iter().map(|server| server.kind).collect();
    println!("{}", head(&kinds));
    written(set, &mut servers)?;
    for question in questions::of(set) {
        asked(&question, &servers)?;
    }
    Ok(())
}

/// What writing took.
fn written(set: &sets::Set, servers: &mut [Server]) -> Result<()> {
    let mut settled = Vec::new();
    for server in servers.iter_mut() {
        settled.push(server.settle()?);
    }
    let (samples, series) = (set.samples() as f64, set.series() as f64);
    let told = |what: &str, cells: &[Cell]| println!("{}", row(what, cells, cells));
    let rate = |server: &Server| {
        let rate = samples / server.cpu / 1e6;
        Cell::new(format!("{rate:.2}M"), vec![rate])
    };
    told("samples a second of a core, durable and settled", &servers.iter().map(rate).collect::<Vec<_>>());
    let memory = |server: &Server| {
        let peak = server.peak()?;
        Ok(Cell::new(format!("{peak:.0} MB; {:.2} kB", peak * 1e3 / series), vec![peak]))
    };
    told("resident memory at most; a series", &servers.iter().map(memory).collect::<Result<Vec<_>>>()?);
    let bytes = |bytes: &u64| {
        let each = *bytes as f64 / samples;
        Cell::new(format!("{each:.3}"), vec![each])
    };
    told("bytes a sample on disk", &settled.iter().map(bytes).collect::<Vec<_>>());
    Ok(())
}

/// What a question takes: of each server in PromQL, of ours in SQL.
fn asked(question: &questions::Question, servers: &[Server]) -> Result<()> {
    let (mut cells, mut answers) = (Vec::new(), Vec::new());
    for server in servers {
        let (cold, warm, answer) = server.ask(question)?;
        cells.push(Cell::times(warm, cold));
        answers.push(answer);
    }
    if let Some(other) = answers.iter().skip(1).position(|answer| !questions::alike(answer, &answers[0])) {
        // VictoriaMetrics extrapolates nothing, so that its rates differ by design.
        eprintln!("{} answers otherwise: {}", servers[other + 1].kind.name(), question.query);
    }
    println!("{}", row(question.name, &cells, &cells));
    for (table, statement) in &question.statements {
        let (cold, warm, rows) = servers[0].ask_sql(statement)?;
        if rows == 0 {
            eprintln!("nothing is answered to {statement}");
        }
        let mut of_sql = vec![Cell::times(warm, cold)];
        of_sql.extend(servers.iter().skip(1).map(|_| Cell::none()));
        println!("{}", row(&format!("the same, SQL over `{table}`"), &of_sql, &cells));
    }
    Ok(())
}
