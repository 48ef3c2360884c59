//! What the metrics asked for at times that are past: what forecasts are made of.
//!
//! Each minute each autoscaler that foretells asks for the same hours of up to seven days, and the
//! files of those have the rows of all autoscalers. So of a file that was asked for is kept what
//! matters of it, and it is read once, whoever asks.

use std::{
    borrow::Cow,
    collections::HashMap,
    num::NonZeroUsize,
    ops::{ControlFlow, Range},
    sync::Arc,
};

use lru::LruCache;
use parking_lot::Mutex;
use serde::Deserialize;
use tiphys_api::decisions::Decision;

use super::{Decisions, files::Sealed};

/// Files of which it is kept; of one, 16 bytes a row, so 16 MB at most, and beside that for each
/// autoscaler that it names a text and an entry of a map, about 100 bytes.
const FILES: NonZeroUsize = NonZeroUsize::new(256).expect("more than none");

/// By namespace and autoscaler: when, microseconds since the Unix epoch, and how many replicas.
type OfFile = HashMap<String, HashMap<String, Vec<(i64, i32)>>>;

/// By the files' numbers. Held while a file is read: of many who want it one reads it.
pub struct Past(Mutex<LruCache<u64, Arc<OfFile>>>);

impl Default for Past {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(FILES)))
    }
}

/// As much of a line as matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Line<'a> {
    time: i64,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    autoscaler: Cow<'a, str>,
    metrics: Vec<Proposed>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Proposed {
    proposal: Option<i32>,
}

impl Decisions {
    /// For each range of time, microseconds since the Unix epoch, the most replicas that an
    /// autoscaler's metrics asked for: not a forecast, which would foretell itself. Absent: nothing
    /// is known. Blocks the thread while files are read.
    pub fn asked(&self, namespace: &str, autoscaler: &str, ranges: &[Range<i64>]) -> Vec<Option<i32>> {
        let mut most: Vec<Option<i32>> = vec![None; ranges.len()];
        let mut see = |time: i64, asked: i32| {
            let of_time = ranges.iter().zip(&mut most).filter(|(range, _)| range.contains(&time));
            of_time.for_each(|(_, most)| *most = (*most).max(Some(asked)));
        };
        let files: Vec<Sealed> = {
            let inner = self.inner.read();
            for row in inner.newest.rows() {
                if row.namespace == namespace
                    && row.autoscaler == autoscaler
                    && let Some(asked) = most_of(row)
                {
                    see(row.time, asked);
                }
            }
            let touches = |file: &&Sealed| ranges.iter().any(|range| file.touches(range));
            inner.sealed.iter().filter(touches).cloned().collect()
        };
        for file in &files {
            let of_file = self.of_file(file);
            let own = of_file.get(namespace).and_then(|of_namespace| of_namespace.get(autoscaler));
            own.into_iter().flatten().for_each(|(time, asked)| see(*time, *asked));
        }
        most
    }

    fn of_file(&self, file: &Sealed) -> Arc<OfFile> {
        let mut known = self.past.0.lock();
        if let Some(of_file) = known.get(&file.number) {
            return of_file.clone();
        }
        let mut of_file = OfFile::new();
        let read = self.visit(file, &mut |line| {
            if let Ok(line) = serde_json::from_slice::<Line<'_>>(line) {
                add(&mut of_file, &line);
            }
            ControlFlow::Continue(())
        });
        // What can't be read now may be read later; the log says what it was.
        if read.is_err() {
            return Arc::default();
        }
        let of_file = Arc::new(of_file);
        known.put(file.number, of_file.clone());
        of_file
    }
}

fn add(of_file: &mut OfFile, line: &Line<'_>) {
    let Some(asked) = line.metrics.iter().filter_map(|metric| metric.proposal).max() else { return };
    let own = of_file.get_mut(&*line.namespace).and_then(|all| all.get_mut(&*line.autoscaler));
    if let Some(own) = own {
        return own.push((line.time, asked));
    }
    let of_namespace = of_file.entry(line.namespace.clone().into_owned()).or_default();
    of_namespace.entry(line.autoscaler.clone().into_owned()).or_default().push((line.time, asked));
}

/// The most that a decision's metrics asked for.
fn most_of(decision: &Decision) -> Option<i32> {
    decision.metrics.iter().filter_map(|metric| metric.proposal).max()
}
