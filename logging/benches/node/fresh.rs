//! From the write of a line to the answer that has it.

use std::{fs::OpenOptions, io::Write, time::Instant};

use serde_json::json;

use crate::{Result, ours::Ours};

const LINES: usize = 300;

/// Median and 99th percentile, in milliseconds.
pub fn measure(ours: &Ours) -> Result<String> {
    let mut file = OpenOptions::new().create(true).append(true).open(ours.log_file("fresh")?)?;
    let mut took = Vec::with_capacity(LINES);
    for number in 0..LINES {
        let started = Instant::now();
        writeln!(file, "2026-01-02T00:00:00Z stdout F fresh{number} line")?;
        let request = json!({ "query": format!("pod:fresh fresh{number}"), "limit": 1 });
        while ours.post("/v1/search", request.clone())?["records"].as_array().is_none_or(Vec::is_empty) {}
        took.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(format!("{:.1}, {:.1}", took[LINES / 2], took[LINES * 99 / 100]))
}
