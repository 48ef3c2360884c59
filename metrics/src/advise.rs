//! The table `advise`: what containers request against what they use, and what they should
//! request. Like a VerticalPodAutoscaler that only recommends.
//!
//! ```text
//! Pods (cache) ─> what is requested now, by workload ─┐
//! memory, the store of series ─> gathered ─> uses ────┴─> rows
//! ```
//!
//! A row is a container of a workload: what its Pods have in common is their owner. CPU is
//! the 95th percentile over time and Pods, memory the most that was seen; both with a margin. A
//! container that was killed for lack of memory had too little: it counts as having used more.
//! Looked at are eight days, or what a condition on `time` says. Pods that are gone count to
//! their workload as long as it has one.

mod basis;
mod gathered;

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{
            ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
            TimestampMicrosecondArray,
        },
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::Result,
    prelude::SessionContext,
};
use jiff::Timestamp;
use tiphys_client::{Cache, LeanPod};

use self::{
    basis::{Basis, Key, Requests},
    gathered::Sources,
};
use crate::{
    memory::Memory,
    scope::Scope,
    series::Store,
    sql::{Asker, Extension, Notes, Share, Wanted, counted},
    tables::{documented, time_column},
};

/// How far back is looked where a statement doesn't say, microseconds.
const BACK: i64 = 8 * 24 * 3600 * 1_000_000;

/// The columns.
pub fn schema() -> SchemaRef {
    let text = |name, about| documented(name, DataType::Utf8, false, about);
    let cores = |name, about| documented(name, DataType::Float64, true, about);
    let bytes = |name, about| documented(name, DataType::Int64, true, about);
    Arc::new(Schema::new(vec![
        text("namespace", "the Pods' namespace"),
        text("workload", "what owns the Pods, as Kind/name"),
        text("container", "the container"),
        documented("pods", DataType::Int32, false, "Pods that it rests on, gone ones too"),
        cores("cpu_request", "cores requested now, absent when none are"),
        cores("cpu_p95", "cores used 95 % of the time at most"),
        cores("cpu_advice", "cores to request"),
        bytes("memory_request", "bytes requested now, absent when none are"),
        bytes("memory_max", "the largest working set, bytes"),
        bytes("memory_advice", "bytes to request"),
        documented("seconds", DataType::Float64, false, "seconds that it rests on, of all Pods together"),
        documented("oom_kills", DataType::Int32, false, "kills for lack of memory"),
        documented("why", DataType::Utf8, true, "why more is advised than was used; null where it isn't"),
        time_column("when the newest figure was taken; a condition on it says which ones are looked at"),
    ]))
}

/// Brings the table into SQL.
pub struct Advise {
    pub memory: Arc<Memory>,
    pub pods: Cache<LeanPod>,
    /// What is older than memory.
    pub series: Arc<Store>,
}

impl Extension for Advise {
    fn register(&self, session: &SessionContext, asker: &Asker) -> Result<()> {
        let (memory, pods, series) = (self.memory.clone(), self.pods.clone(), self.series.clone());
        let asker = asker.clone();
        let table = counted(schema(), move |wanted: Wanted, share: Share| {
            let sources = Sources { memory: &memory, series: &series, pods: pods.list(), share: &share };
            let scope = Scope::of_asker(&asker);
            let now = Timestamp::now().as_microsecond();
            let rows = rows(&sources, &scope, &wanted, &asker.notes, now)?;
            Ok(Box::new(std::iter::once(Ok(rows))))
        });
        session.register_table("advise", table).map(drop)
    }
}

/// The rows that a user sees.
///
/// # Errors
/// The store of series can't be read, or the statement has no more memory.
fn rows(
    sources: &Sources<'_>,
    scope: &Scope,
    wanted: &Wanted,
    notes: &Notes,
    now: i64,
) -> Result<RecordBatch> {
    let mut range = wanted.micros();
    if range.start == i64::MIN {
        range.start = now - BACK;
    }
    // A clock may be ahead.
    range.end = range.end.min(now.saturating_add(BACK)).max(range.start);
    let requests = sources.requests(scope, wanted, &range)?;
    let mut found = sources.gather(&requests, wanted, &range, notes)?;
    found.retain(|key, _| requests.now.contains_key(key));
    batch(&found, &requests.now)
}

fn batch(found: &BTreeMap<Key, Basis>, now: &BTreeMap<Key, Requests>) -> Result<RecordBatch> {
    let all: Vec<(&Key, &Basis, &Requests)> =
        found.iter().filter_map(|(key, basis)| Some((key, basis, now.get(key)?))).collect();
    let text = |of: fn(&Key) -> &String| -> ArrayRef {
        Arc::new(all.iter().map(|(key, ..)| Some(of(key).as_str())).collect::<StringArray>())
    };
    let cores = |of: fn(&Basis, &Requests) -> Option<f64>| -> ArrayRef {
        Arc::new(all.iter().map(|(_, basis, now)| of(basis, now)).collect::<Float64Array>())
    };
    let bytes = |of: fn(&Basis, &Requests) -> Option<i64>| -> ArrayRef {
        Arc::new(all.iter().map(|(_, basis, now)| of(basis, now)).collect::<Int64Array>())
    };
    let counts = |of: fn(&Basis) -> i32| -> ArrayRef {
        Arc::new(all.iter().map(|(_, basis, _)| Some(of(basis))).collect::<Int32Array>())
    };
    let why = all.iter().map(|(_, basis, _)| basis.why()).collect::<StringArray>();
    let times = all.iter().map(|(_, basis, _)| Some(basis.newest())).collect::<TimestampMicrosecondArray>();
    let columns: Vec<ArrayRef> = vec![
        text(|key| &key.0),
        text(|key| &key.1),
        text(|key| &key.2),
        counts(Basis::pods),
        cores(|_, now| now.cpu),
        cores(|basis, _| basis.cpu()),
        cores(|basis, _| basis.cpu_advice()),
        bytes(|_, now| now.memory),
        bytes(|basis, _| Some(basis.memory())),
        bytes(|basis, _| Some(basis.memory_advice())),
        cores(|basis, _| Some(basis.seconds())),
        counts(Basis::kills),
        Arc::new(why),
        Arc::new(times.with_timezone("UTC")),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

#[cfg(test)]
mod tests;
