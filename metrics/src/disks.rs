//! The table `disk`: what was read from each disk of a machine and written to it. Of the last hour it
//! is as nodes measured it, each second for two minutes and each 15 s before; what is older comes out
//! of the store of series, each 15 s. Where nodes share a machine, they tell of the same disks.

mod rows;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, Result},
    prelude::SessionContext,
};
use parking_lot::Mutex;
use tiphys_api::samples::{DiskSample, NodeSamples};

use self::rows::{Moment, Rows, rates, schema};
use crate::{
    memory::{COARSE, GRID, Whole},
    names::back,
    scope::Scope,
    series::Store,
    sql::{Asker, Batches, Extension, Notes, Wanted, table},
    tables::joined::{Joined, Object, Question},
};

/// Disks of a machine that are kept.
const MOST: usize = 64;
/// Seconds that are kept as they are, microseconds.
const FINE: i64 = 120_000_000;
/// Disks whose rows make a batch.
const DISKS: usize = 256;
/// Rows of a batch, after which no disk is begun.
const BATCH: usize = 8192;

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

/// Of one node, by disk, in order of time.
type OfNode = BTreeMap<String, VecDeque<Measured>>;
/// Node and disk.
type Disk = [String; 2];

/// What was measured. Bounded by time and by what there is.
#[derive(Default)]
pub struct Disks {
    measured: Mutex<BTreeMap<String, OfNode>>,
    whole: Mutex<Whole>,
}

impl Disks {
    /// Takes in what a node has measured.
    pub fn ingest(&self, samples: &NodeSamples) {
        let mut all = self.measured.lock();
        if samples.devices.is_empty() && !all.contains_key(&samples.node) {
            return;
        }
        let disks = all.entry(samples.node.clone()).or_default();
        if forget_future(disks, samples.time) {
            *self.whole.lock() = Whole::default();
        }
        for sample in samples.devices.iter().take(MOST) {
            let measured = Measured {
                time: samples.time,
                is_anew: samples.anew,
                values: FIGURES.map(|figure| (figure.value)(sample)),
            };
            match disks.get_mut(&sample.device) {
                Some(points) => push(points, measured),
                None => {
                    disks.insert(sample.device.clone(), VecDeque::from([measured]));
                }
            }
        }
        // As often as the machine is told: what is old is looked for among all.
        if samples.machine.is_some() {
            // A node whose clock is ahead makes nothing of others old.
            let oldest = samples.time.min(jiff::Timestamp::now().as_microsecond()) - COARSE;
            all.retain(|_, disks| {
                disks.retain(|_, points| {
                    while points.front().is_some_and(|first| first.time < oldest) {
                        points.pop_front();
                    }
                    !points.is_empty()
                });
                !disks.is_empty()
            });
        }
    }

    /// Adds what is wanted of memory, and tells since when it knows each disk.
    fn rows(&self, wanted: &Wanted, rows: &mut Rows) -> HashMap<Disk, i64> {
        let mut since = HashMap::new();
        for (node, disks) in self.measured.lock().iter() {
            for (device, points) in disks {
                let Some(first) = points.front().filter(|_| takes(wanted, node, device)) else { continue };
                since.insert([node, device].map(String::clone), first.time);
                let mut before: Option<Moment> = None;
                for point in points {
                    let now = Moment { time: point.time, values: point.values.map(Some) };
                    let before = before.replace(now).filter(|_| !point.is_anew);
                    if wanted.takes_time(point.time) {
                        rows.push(node, device, &now, rates(before, &now));
                    }
                }
            }
        }
        since
    }
}

fn takes(wanted: &Wanted, node: &str, device: &str) -> bool {
    wanted.takes("node", node) && wanted.takes("device", device)
}

/// Adds what is newer than what is there. Of what is no longer new one of each step of the grid is
/// kept, its first, and where a run begins.
fn push(points: &mut VecDeque<Measured>, measured: Measured) {
    if points.back().is_some_and(|last| last.time >= measured.time) {
        return;
    }
    points.push_back(measured);
    let step = |at: usize, points: &VecDeque<Measured>| points[at].time.div_euclid(GRID);
    let mut at = points.partition_point(|point| point.time < measured.time - FINE);
    while at >= 2 && !points[at - 1].is_anew && step(at - 1, points) == step(at - 2, points) {
        points.remove(at - 1);
        at -= 1;
    }
}

/// Forgets what was measured at times that are yet to come, as the clock was set back; whether there
/// was such.
fn forget_future(disks: &mut OfNode, now: i64) -> bool {
    let mut is_set_back = false;
    for points in disks.values_mut() {
        while points.back().is_some_and(|last| last.time > now) {
            points.pop_back();
            is_set_back = true;
        }
    }
    is_set_back
}

/// Brings `disk` into SQL.
pub struct DiskTable {
    pub disks: Arc<Disks>,
    pub store: Arc<Store>,
}

impl Extension for DiskTable {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<(), DataFusionError> {
        let (disks, store, asker) = (self.disks.clone(), self.store.clone(), asker.clone());
        let read = move |wanted: Wanted| -> Result<Batches> {
            if !Scope::of_asker(&asker).sees_nodes() {
                return Ok(Box::new(std::iter::empty::<Result<RecordBatch>>()));
            }
            let mut rows = Rows::new();
            let since = disks.rows(&wanted, &mut rows);
            let older = older(&store, &wanted, *disks.whole.lock());
            let (notes, before) = (asker.notes.clone(), HashMap::new());
            Ok(Box::new(Scan { notes, wanted, since, rows, older, before }))
        };
        session.register_table("disk", table(schema(), read)).map(drop)
    }
}

/// What the store has to be asked for. Absent: nothing of what is wanted is there.
fn older(store: &Arc<Store>, wanted: &Wanted, whole: Whole) -> Option<Joined> {
    let (range, until) = (wanted.micros(), whole.since());
    if range.start >= until || range.start >= range.end {
        return None;
    }
    let label_of = |column: &str| match column {
        "node" => Some("node"),
        "device" => Some("device"),
        _ => None,
    };
    let mut matchers = back::of_disks();
    matchers.extend(wanted.matchers(label_of));
    // A step that begins before memory does may end in it.
    let until = (until.min(range.end.saturating_sub(1)).div_euclid(GRID) + 1) * (GRID / 1000);
    let question = Question {
        anchor: back::ANCHOR_OF_DISKS,
        names: FIGURES.map(|figure| figure.series).to_vec(),
        matchers,
        apart: &[],
        several: None,
        range: wanted.millis().start..until,
    };
    Some(Joined::new(store.clone(), question))
}

/// Memory's rows, then those of the store from before memory knew each disk.
struct Scan {
    notes: Notes,
    wanted: Wanted,
    since: HashMap<Disk, i64>,
    rows: Rows,
    older: Option<Joined>,
    /// The last of each disk that the store has told so far.
    before: HashMap<Disk, Moment>,
}

impl Scan {
    fn add(&mut self, object: &Object) {
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
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut disks = 0;
        while let Some(older) = &mut self.older
            && disks < DISKS
            && !self.rows.has(BATCH)
        {
            disks += 1;
            match older.next() {
                Some(Ok(object)) => self.add(&object),
                Some(Err(error)) => {
                    self.older = None;
                    return Some(Err(DataFusionError::External(Box::new(error))));
                }
                None => {
                    older.missing().into_iter().for_each(|what| self.notes.add(what));
                    self.older = None;
                }
            }
        }
        (self.older.is_some() || self.rows.has(1)).then(|| self.rows.finish())
    }
}

#[cfg(test)]
mod tests;
