//! `make bench`: what a user waits for, measured on a real cluster from the real
//! binary. Prints a table; docs/benchmarks.md keeps it with the machine.
//!
//! Arguments choose parts (`bench idle beside`); none means all.
//! `KUBE_APISERVER=/path` measures kube-apiserver in the same run.
//!
//! Nothing here passes or fails: numbers on shared machines are read by people.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its table is what it is run for")]
#![allow(clippy::disallowed_methods, reason = "its clients end with their runtime")]

use std::{fmt::Write, time::Duration};

use anyhow::Result;
use tiphys_tests::Cluster;

mod beside;
mod fanout;
mod idle;
mod list;
mod many;
mod memory;
mod peer;
mod pods;
mod reaction;
mod spread;

/// One line of the table.
pub struct Row {
    pub work: String,
    pub measured: String,
    pub target: &'static str,
}

impl Row {
    pub fn new(work: impl Into<String>, measured: impl Into<String>, target: &'static str) -> Self {
        Self { work: work.into(), measured: measured.into(), target }
    }
}

/// The image that Pods run; every node has it.
pub const IMAGE: &str = "tiphys.io/tiphys:current";

fn main() -> Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a crypto provider is installed already"))?;
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |part: &str| asked.is_empty() || asked.iter().any(|asked| asked == part);
    if let Some(part) = asked.iter().find(|part| !PARTS.contains(&part.as_str())) {
        anyhow::bail!("no part is called {part}: choose of {}", PARTS.join(", "));
    }
    let mut rows = Vec::new();
    {
        let one = Cluster::up("bench", 1, &[])?;
        keep(&mut rows, start(&one, "one node", "5 s")?);
        for (part, measure) in ON_ONE_NODE {
            if wanted(part) {
                keep(&mut rows, measure(&one)?);
            }
        }
    }
    if wanted("three") {
        let three = Cluster::up("bench3", 3, &[])?;
        keep(&mut rows, start(&three, "three nodes", "10 s")?);
    }
    println!("{}", table(&rows));
    Ok(())
}

type Measure = fn(&Cluster) -> Result<Vec<Row>>;

/// In this order: the later ones leave much behind.
const ON_ONE_NODE: &[(&str, Measure)] = &[
    ("idle", idle::measure),
    ("pods", pods::measure),
    ("reaction", reaction::measure),
    ("beside", beside::measure),
    ("many", many::measure),
];
const PARTS: &[&str] = &["idle", "pods", "reaction", "beside", "many", "three"];

/// Shown at once too: a later part may fail.
fn keep(rows: &mut Vec<Row>, more: Vec<Row>) {
    for row in &more {
        eprintln!("{}: {}", row.work, row.measured);
    }
    rows.extend(more);
}

fn start(cluster: &Cluster, nodes: &str, target: &'static str) -> Result<Vec<Row>> {
    Ok(vec![
        Row::new(
            format!("`up` to Ready, {nodes}"),
            format!("{:.1} s", cluster.ready_time()?.as_secs_f64()),
            target,
        ),
        Row::new(
            format!("`up` to its end, {nodes}: own images imported, logs of all nodes collected"),
            seconds(cluster.start_time()),
            "-",
        ),
    ])
}

pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| work | measured | target |\n|---|---|---|\n");
    for row in rows {
        // Writing to a String can't fail.
        let _ = writeln!(text, "| {} | {} | {} |", row.work, row.measured, row.target);
    }
    text
}
