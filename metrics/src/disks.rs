//! The table `disk`: what was read from each disk of a machine and written to it. Of the last hour it
//! is as nodes measured it, each second for two minutes and each 15 s before; what is older comes out
//! of the store of series, each 15 s. Where nodes share a machine, they tell of the same disks.

mod rows;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, Result},
    prelude::SessionContext,
};
use tiphys_api::samples::{DiskSample, NodeSamples};

use self::rows::{Moment, Rows, rates, schema};
use crate::{
    memory::{GRID, Whole},
    names::back,
    recent::{Point, Recent, Table, Walk, older},
    scope::Scope,
    series::Store,
    sql::{Asker, Batches, Extension, Share, Wanted, counted},
    tables::joined::{Joined, Object},
};

/// Disks of a machine that are kept.
const MOST: usize = 64;

/// A figure that only grows.
struct Figure {
    name: &'static str,
    about: &'static str,
    value: fn(&DiskSample) -> u64,
    /// The series that tells it, and what one of it is here.
    series: &'static str,
    scale: f64,
}

const fn count(
    name: &'static str,
    about: &'static str,
    value: fn(&DiskSample) -> u64,
    series: &'static str,
) -> Figure {
    Figure { name, about, value, series, scale: 1.0 }
}

/// Nanoseconds, of which the series tells seconds.
const fn nanos(
    name: &'static str,
    about: &'static str,
    value: fn(&DiskSample) -> u64,
    series: &'static str,
) -> Figure {
    Figure { name, about, value, series, scale: 1e9 }
}

const FIGURES: [Figure; 8] = [
    count("read_bytes_total", "bytes read", |disk| disk.read_bytes, back::ANCHOR_OF_DISKS),
    count("write_bytes_total", "bytes written", |disk| disk.write_bytes, "node_disk_written_bytes_total"),
    count("reads_total", "reads", |disk| disk.reads, "node_disk_reads_completed_total"),
    count("writes_total", "writes", |disk| disk.writes, "node_disk_writes_completed_total"),
    nanos(
        "read_nanos_total",
        "time that reads took, nanoseconds",
        |disk| disk.read_nanos,
        "node_disk_read_time_seconds_total",
    ),
    nanos(
        "write_nanos_total",
        "time that writes took, nanoseconds",
        |disk| disk.write_nanos,
        "node_disk_write_time_seconds_total",
    ),
    nanos(
        "busy_nanos_total",
        "time in which it had something to do, nanoseconds",
        |disk| disk.busy_nanos,
        "node_disk_io_time_seconds_total",
    ),
    nanos(
        "weighted_nanos_total",
        "the same, for as many requests as there were",
        |disk| disk.weighted_nanos,
        "node_disk_io_time_weighted_seconds_total",
    ),
];

/// Changes: the column, what it says, of which figure, and what one of that is there.
type Rate = (&'static str, &'static str, usize, f64);

const RATES: [Rate; 6] = [
    ("read_bytes_per_second", "bytes read a second", 0, 1.0),
    ("write_bytes_per_second", "bytes written a second", 1, 1.0),
    ("reads_per_second", "reads a second", 2, 1.0),
    ("writes_per_second", "writes a second", 3, 1.0),
    ("busy_ratio", "share of time in which it had something to do", 6, 1e-9),
    ("queue_length", "requests that waited or were carried out, on average", 7, 1e-9),
];

/// What was measured at a time.
#[derive(Debug, Clone, Copy)]
struct Measured {
    /// Microseconds since the Unix epoch.
    time: i64,
    /// The node's clock was set before it: no rate reaches across.
    is_anew: bool,
    values: [u64; FIGURES.len()],
}

impl Point for Measured {
    fn time(&self) -> i64 {
        self.time
    }

    fn is_anew(&self) -> bool {
        self.is_anew
    }
}

/// Node and disk.
type Disk = [String; 2];

/// What was measured, by node and disk.
#[derive(Default)]
pub struct Disks {
    recent: Arc<Recent<String, Measured>>,
}

impl Disks {
    /// Takes in what a node has measured.
    pub fn ingest(&self, samples: &NodeSamples) {
        self.ingest_at(samples, Instant::now());
    }

    /// The same, at this moment.
    fn ingest_at(&self, samples: &NodeSamples, heard: Instant) {
        let told = samples.devices.iter().take(MOST).map(|sample| {
            let values = FIGURES.map(|figure| (figure.value)(sample));
            (sample.device.clone(), Measured { time: samples.time, is_anew: samples.anew, values })
        });
        // As often as the machine is told, what is old is looked for.
        self.recent.take((samples.node.as_str(), samples.time), told, heard, samples.machine.is_some());
    }
}

fn takes(wanted: &Wanted, node: &str, device: &str) -> bool {
    wanted.takes("node", node) && wanted.takes("device", device)
}

/// Brings `disk` into SQL.
pub struct DiskTable {
    pub disks: Arc<Disks>,
    pub store: Arc<Store>,
}

impl Extension for DiskTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let (disks, store, asker) = (self.disks.clone(), self.store.clone(), asker.clone());
        let read = move |wanted: Wanted, share: Share| -> Result<Batches> {
            if !Scope::of_asker(&asker).sees_nodes() {
                return Ok(Box::new(std::iter::empty::<Result<RecordBatch>>()));
            }
            let recent = disks.recent.clone();
            let older = of_store(&store, &wanted, recent.whole());
            let wants = wanted.clone();
            let taken = |node: &str, device: &String| takes(&wants, node, device);
            let table = Told { wanted, since: HashMap::new(), rows: Rows::new(), before: HashMap::new() };
            Ok(Box::new(Walk::new(table, recent, taken, older, (asker.notes.clone(), share))))
        };
        session.register_table("disk", counted(schema(), read)).map(drop)
    }
}

/// What the store has to be asked for. Absent: nothing of what is wanted is there.
fn of_store(store: &Arc<Store>, wanted: &Wanted, whole: Whole) -> Option<Joined> {
    let label_of = |column: &str| match column {
        "node" => Some("node"),
        "device" => Some("device"),
        _ => None,
    };
    let mut matchers = back::of_disks();
    matchers.extend(wanted.matchers(label_of));
    let names = FIGURES.map(|figure| figure.series).to_vec();
    older(store, wanted, whole, (back::ANCHOR_OF_DISKS, names), matchers)
}

/// The rows of a statement.
struct Told {
    wanted: Wanted,
    /// From when on memory knows each disk.
    since: HashMap<Disk, i64>,
    rows: Rows,
    /// The last of each disk that the store has told so far.
    before: HashMap<Disk, Moment>,
}

impl Table for Told {
    type Key = String;
    type Point = Measured;

    fn of_memory(&mut self, node: &str, device: &String, points: &VecDeque<Measured>) {
        let Some(first) = points.front() else { return };
        self.since.insert([node, device.as_str()].map(str::to_owned), first.time);
        let mut before: Option<Moment> = None;
        for point in points {
            let now = Moment { time: point.time, values: point.values.map(Some) };
            let before = before.replace(now).filter(|_| !point.is_anew);
            if self.wanted.takes_time(point.time) {
                self.rows.push(node, device, &now, rates(before, &now));
            }
        }
    }

    fn of_store(&mut self, object: &Object) {
        let Some(node) = back::node_of(&object.labels) else { return };
        let device = object.labels.get("device").unwrap_or_default();
        if !takes(&self.wanted, node, device) {
            return;
        }
        let disk = [node, device].map(str::to_owned);
        let seam = self.since.get(&disk).map_or(i64::MAX, |first| first.div_euclid(GRID) * GRID);
        let mut before = self.before.remove(&disk);
        for (at, time) in object.times.iter().enumerate() {
            let time = time.saturating_mul(1000);
            if time >= seam {
                break;
            }
            let values = std::array::from_fn(|figure| {
                let value = object.values[figure][at] * FIGURES[figure].scale;
                (!value.is_nan()).then(|| value.round() as u64)
            });
            let now = Moment { time, values };
            let before = before.replace(now);
            if self.wanted.takes_time(time) {
                self.rows.push(&disk[0], &disk[1], &now, rates(before, &now));
            }
        }
        self.before.extend(before.map(|before| (disk, before)));
    }

    fn rows(&self) -> usize {
        self.rows.count()
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        self.rows.finish()
    }
}

#[cfg(test)]
mod tests;
