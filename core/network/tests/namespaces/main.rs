//! Cases on the real kernel: namespaces, links, routes, rules. They need root.
//!
//! Run one after another in a main of their own, since the holder of a node must
//! be the main thread of a process: this binary re-executes itself for it, as the
//! real one does.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test binary with a main of its own")]

mod api;
mod cni;
mod lab;
mod proxy;
mod routes;
mod topology;

use std::{process::ExitCode, time::Instant};

/// The argument by which this binary becomes a holder.
const HOLD: &str = "hold-namespaces";

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1);
    if wanted.as_deref() == Some(HOLD) {
        return match tiphys_network::topology::holder_main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let cases: Vec<(&str, fn())> =
        [topology::cases(), routes::cases(), cni::cases(), proxy::cases()].concat();
    let filter = wanted.filter(|text| !text.starts_with('-')).unwrap_or_default();
    run(lab::remove_left());
    for (name, case) in cases.iter().filter(|(name, _)| name.contains(&filter)) {
        let started = Instant::now();
        // A panic ends the process with its message and a failure.
        case();
        eprintln!("test {name} ... ok ({:?})", started.elapsed());
    }
    ExitCode::SUCCESS
}

/// Runs an async case on a runtime of its own.
fn run(case: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(case);
}
