//! `cargo bench -p tiphys-logging --bench node`: a whole collector on CRI files, from
//! the file to the durable, searchable record, and its searches; VictoriaLogs on the
//! same lines in the same run when `VICTORIA_LOGS` names its binary.
//!
//! ```text
//! TIPHYS_BENCH_RECORDS=100000000  a run each, in rounds of at most ten million  (10000000)
//! TIPHYS_BENCH_STREAMS=200        a run each                                    (200,5000)
//! TIPHYS_BENCH_FOLDER=/path       where files and indexes are made              (the temporary folder)
//! ```
//!
//! Numbers may be several, with commas between them: each is a run of its own. Ten million
//! records take about 5 GB of the folder, a hundred million 13 GB with the peer; a run leaves
//! nothing there, be it through, failed or interrupted.
//!
//! Speeds are of processor time: the machine may do other things. Nothing here
//! passes or fails, but for answers that differ between the two.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its table is what it is run for")]

/// The product's, so that memory is what it is there.
#[path = "../../../core/node/src/allocator.rs"]
mod allocator;
mod answers;
mod catalog;
mod fresh;
mod interrupt;
mod merge;
#[path = "../blocks/mix.rs"]
mod mix;
mod ours;
mod peer;
mod process;
mod questions;
mod rounds;
mod traces;

use std::{
    env, fs,
    num::{NonZeroUsize, ParseIntError},
    path::PathBuf,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What was asked for.
pub struct Options {
    pub records: usize,
    pub streams: usize,
    pub folder: PathBuf,
}

fn main() -> Result<()> {
    if let Some(folder) = env::var_os("TIPHYS_BENCH_COLLECT") {
        return ours::collect(&PathBuf::from(folder));
    }
    let counts = numbers("TIPHYS_BENCH_RECORDS", "10000000")?;
    let all_streams = numbers("TIPHYS_BENCH_STREAMS", "200,5000")?;
    let base = env::var_os("TIPHYS_BENCH_FOLDER").map_or_else(env::temp_dir, PathBuf::from);
    fs::create_dir_all(&base)?;
    // The peer's too: all streams' files are open at once.
    tiphys_lifecycle::allow_many_files()?;
    interrupt::listen()?;
    for records in counts {
        for &streams in &all_streams {
            // An error, too, takes the folder along.
            let folder = tempfile::Builder::new().prefix("tiphys-bench-node-").tempdir_in(&base)?;
            measure(&Options { records, streams, folder: folder.path().to_owned() })?;
            folder.close()?;
        }
    }
    Ok(())
}

/// The numbers that a variable has, with commas between them.
fn numbers(name: &str, standard: &str) -> Result<Vec<usize>> {
    let text = env::var(name).unwrap_or_else(|_| standard.to_owned());
    let number = |part: &str| -> Result<usize> {
        let number = part.trim().parse::<NonZeroUsize>();
        let wrong = |error: ParseIntError| format!("{name}={text}: {error}: numbers with commas are wanted");
        Ok(number.map_err(wrong)?.get())
    };
    text.split(',').map(number).collect()
}

fn measure(options: &Options) -> Result<()> {
    let mut rounds = rounds::Rounds::new(options)?;
    let mut ours = ours::Ours::start(&options.folder.join("ours"))?;
    let mut peer = match env::var_os("VICTORIA_LOGS") {
        Some(binary) => Some(peer::Peer::start(binary.into(), &options.folder.join("peer"))?),
        None => None,
    };
    while let Some(round) = rounds.next()? {
        ours.ingest(&round)?;
        if let Some(peer) = &mut peer {
            peer.ingest(&round)?;
        }
        // The collector has moved the other files.
        fs::remove_file(&round.json)?;
        eprintln!("{} of {} records", rounds.written(), options.records);
    }
    println!(
        "\n{} records of {} streams, {:.0} MB as JSON lines, {:.0} MB as CRI files\n",
        rounds.written(),
        options.streams,
        rounds.json_bytes as f64 / 1e6,
        rounds.cri_bytes as f64 / 1e6,
    );
    // What is merged and flushed in the background counts too.
    ours.settle()?;
    let peer_disk = peer.as_mut().map(peer::Peer::settle).transpose()?;
    println!("| ingest | tiphys | VictoriaLogs | |\n|---|---|---|---|");
    let none = || "-".to_owned();
    let speed = |bytes: u64, seconds: f64| format!("{:.0}", bytes as f64 / 1e6 / seconds);
    let row = |what: &str, ours: String, peer: Option<String>| {
        println!("| {what} | {ours} | {} | |", peer.unwrap_or_else(none));
    };
    row(
        "MB of JSON lines a second of a core",
        speed(rounds.json_bytes, ours.cpu),
        peer.as_ref().map(|peer| speed(rounds.json_bytes, peer.cpu)),
    );
    row("MB of CRI files a second of a core", speed(rounds.cri_bytes, ours.cpu), None);
    row("wall seconds", format!("{:.1}", ours.wall), peer.as_ref().map(|peer| format!("{:.1}", peer.wall)));
    row("resident without streams, MB", format!("{:.0}", ours.empty), None);
    row(
        "resident at most, MB",
        format!("{:.0}", ours.peak()?),
        peer.as_ref().map(peer::Peer::peak).transpose()?.map(|peak| format!("{peak:.0}")),
    );
    row("bytes on disk, all included", ours.disk()?.to_string(), peer_disk.map(|bytes| bytes.to_string()));
    row("written to searchable, median and p99, ms", fresh::measure(&ours)?, None);
    // Of those lines too.
    ours.settle()?;
    let [after_ingest, after_start] = ours.at_rest()?;
    let at_rest = format!("{after_ingest:.0}; {after_start:.0}");
    row("resident at rest with all streams, after ingest and after a start, MB", at_rest, None);
    questions::ask(&mut ours, peer.as_mut(), &rounds)?;
    println!("\nWith the searches, resident at most: {:.0} MB", ours.peak()?);
    Ok(())
}
