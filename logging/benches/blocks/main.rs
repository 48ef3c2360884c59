//! `cargo bench -p tiphys-logging`: how fast lines become blocks on one core, what
//! they take on disk, and how fast blocks are read; version 1 in the same run.
//!
//! ```text
//! lines -> records -> sealed block (words, id filter, templates and columns) -> split on disk, with its index
//! ```
//!
//! Lines are made once, before the clock starts; each figure is the best of some
//! rounds. `TIPHYS_BENCH_RECORDS` sets how many (400,000). Nothing here passes or
//! fails: numbers are read by people, who know what else their machine does.

#![allow(clippy::print_stdout, reason = "its table is what it is run for")]

mod mix;

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tiphys_logging::{
    block::{self, SealedBlock},
    index::{Retention, Store},
    parse,
    record::{Record, StreamInfo},
    search::{self, Request},
    tail::Batch,
    time,
    wire::{NodeRequest, NodeStatsRequest},
};

/// Streams of each program.
const STREAMS: usize = 12;
const ROUNDS: usize = 3;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Input {
    streams: Vec<(Arc<StreamInfo>, Vec<Record>)>,
    /// The same as lines of the runtime's files.
    lines: Vec<Vec<u8>>,
    text: usize,
    /// Bytes of the same as JSON lines with time, stream and message.
    json: usize,
}

fn main() -> Result<()> {
    let count = std::env::var("TIPHYS_BENCH_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400_000);
    let input = input(count)?;
    println!(
        "{count} records, {} MB of text, {} MB as JSON lines\n",
        input.text / 1_000_000,
        input.json / 1_000_000
    );
    println!("| work | MB/s of JSON lines | MB/s of text | bytes |\n|---|---|---|---|");
    let row = |work: &str, took: Duration, bytes: usize| {
        let speed = |of: usize| of as f64 / 1e6 / took.as_secs_f64();
        println!("| {work} | {:.0} | {:.0} | {bytes} |", speed(input.json), speed(input.text));
    };
    let (took, records) = best(|| input.lines.iter().map(|lines| parsed(lines)).sum::<usize>());
    row(&format!("lines to {records} records"), took, input.text);
    let (took, sealed) = best(|| {
        blocks(&input).map(|(info, records)| SealedBlock::seal(info, records)).collect::<io::Result<Vec<_>>>()
    });
    let sealed = sealed?;
    let filters = sealed.iter().map(|block| block.ids.memory()).sum::<usize>();
    row(
        &format!("records to sealed blocks (filters {filters} bytes beside)"),
        took,
        sealed.iter().map(|block| block.data.len()).sum(),
    );
    let (took, plain) = best(|| {
        blocks(&input)
            .map(|(_, records)| block::encode_plain(records).map(Bytes::from))
            .collect::<io::Result<Vec<_>>>()
    });
    let plain = plain?;
    row("records to blocks of version 1, without words and filter", took, plain.iter().map(Bytes::len).sum());
    let versions = [
        ("version 2", sealed.iter().map(|block| block.data.clone()).collect::<Vec<_>>()),
        ("version 1", plain),
    ];
    for (version, blocks) in &versions {
        let (took, n_records) = best(|| {
            blocks.iter().map(|data| block::records(data).map_or(0, |records| records.len())).sum::<usize>()
        });
        row(
            &format!("blocks of {version} to {n_records} records"),
            took,
            blocks.iter().map(Bytes::len).sum(),
        );
    }
    let folder = std::env::temp_dir().join(format!("tiphys-bench-logs-{}", std::process::id()));
    let stored = stored(&input, &folder, &row);
    fs::remove_dir_all(&folder)?;
    stored
}

/// Records to splits on disk, and searches of them.
fn stored(input: &Input, folder: &Path, row: &dyn Fn(&str, Duration, usize)) -> Result<()> {
    let (store, _) = Store::open(folder, Retention::default())?;
    let started = Instant::now();
    for (info, records) in &input.streams {
        for records in records.chunks(512) {
            store.append(Batch { info: info.clone(), records: records.to_vec() })?;
        }
        if store.wants_commit() {
            store.finish_commit(&store.begin_commit(vec![])?)?;
        }
    }
    store.finish_commit(&store.begin_commit(vec![])?)?;
    row("records to splits on disk, index and fsync included", started.elapsed(), store.sizes().1 as usize);
    println!("\n| search | ms | found |\n|---|---|---|");
    let newest = input.streams.iter().flat_map(|(_, records)| records.last()).map(|record| record.time).max();
    for query in [
        "expired",
        "timed AND NOT level:info",
        "status:503",
        "/took 8[0-9]ms/",
        "\"carts expired\" OR terminating",
    ] {
        let request = NodeRequest {
            query: query.into(),
            until: newest.map(|time| time + 1),
            since: newest.map(|newest| newest - 6 * 3600 * time::SECOND),
            ..NodeRequest::default()
        };
        let (took, found) = best(|| {
            let request = Request::new(&request, Duration::from_secs(600))?;
            let bars = search::histogram(&store, &request, 60, "bench").buckets;
            Ok::<_, Box<dyn std::error::Error>>(bars.iter().map(|bar| bar.count).sum::<u64>())
        });
        println!("| histogram of `{query}` | {:.1} | {} |", took.as_secs_f64() * 1000.0, found?);
    }
    counted(&store, newest)
}

/// Counts and measures by minute and key.
fn counted(store: &Store, newest: Option<i64>) -> Result<()> {
    for (query, by, field) in [
        ("expired", "ns", None),
        ("expired", "pod", None),
        ("timed AND NOT level:info", "ns", None),
        ("*", "status", None),
        ("*", "pod", Some("took")),
    ] {
        let request = NodeRequest {
            query: query.into(),
            until: newest.map(|time| time + 1),
            since: newest.map(|newest| newest - 6 * 3600 * time::SECOND),
            ..NodeRequest::default()
        };
        let want = NodeStatsRequest {
            by: vec![by.into()],
            field: field.map(str::to_owned),
            step_ns: 60 * time::SECOND,
            sketch: true,
            ..NodeStatsRequest::default()
        };
        let (took, found) = best(|| {
            let request = Request::new(&request, Duration::from_secs(600))?;
            let answer = search::stats(store, &request, &want, "bench");
            let cells =
                answer.series.iter().flat_map(|series| series.cells.values()).chain(answer.other.values());
            Ok::<_, Box<dyn std::error::Error>>(cells.map(|cell| cell.count).sum::<u64>())
        });
        let of = field.map_or_else(String::new, |field| format!(", `{field}` measured"));
        let took = took.as_secs_f64() * 1000.0;
        println!("| `{query}` by minute and `{by}`{of} | {took:.1} | {} |", found?);
    }
    Ok(())
}

/// The shortest of some rounds, with what the last one gave.
fn best<T>(mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut once = || {
        let started = Instant::now();
        let done = work();
        (started.elapsed(), done)
    };
    let (mut best, mut done) = once();
    for _ in 1..ROUNDS {
        let (took, again) = once();
        best = best.min(took);
        done = again;
    }
    (best, done)
}

fn blocks(input: &Input) -> impl Iterator<Item = (Arc<StreamInfo>, &[Record])> {
    input.streams.iter().flat_map(|(info, records)| {
        records.chunks(block::MAX_RECORDS).map(move |chunk| (info.clone(), chunk))
    })
}

fn input(count: usize) -> Result<Input> {
    let each = count.div_ceil(STREAMS * mix::Program::ALL.len());
    let mut input = Input { streams: Vec::new(), lines: Vec::new(), text: 0, json: 0 };
    for number in 0..STREAMS * mix::Program::ALL.len() {
        let program = mix::Program::ALL[number % mix::Program::ALL.len()];
        let info = Arc::new(StreamInfo {
            namespace: "bench".into(),
            pod: format!("{program:?}-{number}").to_lowercase(),
            uid: format!("uid-{number}"),
            container: "app".into(),
            restart: 0,
            node: "bench".into(),
        });
        let records = mix::stream(program, number as u64 + 1, each, 40_000_000);
        let mut lines = Vec::new();
        for record in &records {
            let time = time::format(record.time);
            let body = String::from_utf8_lossy(&record.body);
            input.text += body.len();
            input.json +=
                serde_json::json!({ "_time": time, "stream": info.key(), "_msg": body }).to_string().len()
                    + 1;
            // A line end within a body would end it here.
            lines.extend(format!("{time} stdout F {}\n", body.replace('\n', " ")).into_bytes());
        }
        input.lines.push(lines);
        input.streams.push((info, records));
    }
    Ok(input)
}

/// How many records the lines of a file are.
fn parsed(lines: &[u8]) -> usize {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut count = 0;
    for line in lines {
        std::hint::black_box(parse::level(&parse::Format::Cri.piece(line).text));
        count += 1;
    }
    count
}
