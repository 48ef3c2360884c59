//! Spans read for Jaeger's door: so many questions at once, each for so long, and only as long as
//! somebody waits for it.
//!
//! Files are read on a thread that may block. It can't be stopped from outside, so it looks now
//! and then whether it should go on, and keeps its place until it has ended.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{
    places::Places,
    scope::Scope,
    sql::Wanted,
    traces::{Gap, Span, Spans, file::Search, span::schema},
};

/// After so many spans it is looked whether to go on.
const LOOK: usize = 256;

/// How much is read at once, and for how long. Clones share the places.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub places: Places,
    /// How long a question may wait for a place.
    pub wait: Duration,
    pub deadline: Duration,
    /// Spans of one answer, and their bytes.
    pub spans: usize,
    pub bytes: usize,
    /// Spans of which calls between services are counted.
    pub calls: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            places: Places::new(8, 3),
            wait: Duration::from_secs(15),
            deadline: Duration::from_secs(60),
            spans: 100_000,
            bytes: 64 << 20,
            calls: 500_000,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("too many questions at once, of yours or in all, and none has ended within {0:?}; try again")]
    Busy(Duration),
    #[error("spans were read for {0:?} without an end; ask for less time, or for a trace by its id")]
    Late(Duration),
    #[error("nobody waits any more")]
    Gone,
    #[error("{0}")]
    Failed(String),
}

/// Who asks.
pub struct Asking {
    pub user: String,
    pub scope: Scope,
}

/// Reads spans. Clones share the bounds.
#[derive(Clone)]
pub struct Reader {
    spans: Arc<Spans>,
    bounds: Bounds,
}

/// One question's reading.
pub struct Reading {
    spans: Arc<Spans>,
    scope: Scope,
    stop: CancellationToken,
    ends: Instant,
    pub bounds: Bounds,
}

impl Reader {
    pub fn new(spans: Arc<Spans>, bounds: Bounds) -> Self {
        Self { spans, bounds }
    }

    /// Does work on a thread that may block, until its end, the deadline, or until this is dropped.
    ///
    /// # Errors
    /// No place became free, it is late, or the work's own.
    pub async fn read<T: Send + 'static>(
        &self,
        asking: Asking,
        work: impl FnOnce(&Reading) -> Result<T, Unread> + Send + 'static,
    ) -> Result<T, Unread> {
        let Bounds { places, wait, deadline, .. } = &self.bounds;
        let place = tokio::time::timeout(*wait, places.take(&asking.user)).await;
        let place = place.map_err(|_| Unread::Busy(*wait))?;
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (spans, bounds) = (self.spans.clone(), self.bounds.clone());
        let reading = Reading { spans, scope: asking.scope, stop, ends: Instant::now() + *deadline, bounds };
        let working = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&reading)
        });
        match tokio::time::timeout(*deadline, working).await {
            Ok(done) => done.unwrap_or_else(|why| Err(Unread::Failed(why.to_string()))),
            Err(_) => Err(Unread::Late(*deadline)),
        }
    }
}

impl Reading {
    /// Gives the spans of these times that the user sees to `see`, the newest file first, until it
    /// says that it is enough. Gives the times of which spans are missing.
    ///
    /// # Errors
    /// It is late, nobody waits any more, or the folder can't be read.
    pub fn visit(&self, range: &Range<i64>, mut see: impl FnMut(&Span) -> bool) -> Result<Vec<Gap>, Unread> {
        let mut seen: HashMap<String, bool> = HashMap::new();
        let see = |span: &Span| {
            let known = seen.get(&span.namespace).copied();
            let sees = known.unwrap_or_else(|| {
                let sees = self.scope.sees_namespace(&span.namespace);
                seen.insert(span.namespace.clone(), sees);
                sees
            });
            !sees || see(span)
        };
        self.watched(see, |see| self.spans.visit(range, see))
    }

    /// The same of the spans of these traces. Files that surely have none of them are not read.
    ///
    /// # Errors
    /// The same.
    pub fn visit_traces(
        &self,
        ids: &BTreeSet<String>,
        see: impl FnMut(&Span) -> bool,
    ) -> Result<Vec<Gap>, Unread> {
        let search = Search::new(Wanted::among("trace_id", ids.clone()), self.scope.clone(), schema());
        self.watched(see, |see| self.spans.search(&search, see))
    }

    /// Reads as long as it is to.
    fn watched(
        &self,
        mut see: impl FnMut(&Span) -> bool,
        read: impl FnOnce(&mut dyn FnMut(Option<&Span>) -> bool) -> io::Result<Vec<Gap>>,
    ) -> Result<Vec<Gap>, Unread> {
        let (mut looked, mut ended) = (0_usize, self.ended());
        let gaps = read(&mut |found: Option<&Span>| {
            looked += usize::from(found.is_some());
            if found.is_none() || looked.is_multiple_of(LOOK) {
                ended = self.ended();
            }
            ended.is_none() && found.is_none_or(&mut see)
        });
        match ended {
            Some(why) => Err(why),
            None => gaps.map_err(|error| Unread::Failed(error.to_string())),
        }
    }

    fn ended(&self) -> Option<Unread> {
        if self.stop.is_cancelled() {
            return Some(Unread::Gone);
        }
        (Instant::now() >= self.ends).then_some(Unread::Late(self.bounds.deadline))
    }
}
