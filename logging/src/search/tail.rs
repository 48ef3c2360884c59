//! Live records: what is appended goes to everyone who follows.
//!
//! ```text
//! append -> hub (ring of RING batches) -> each follower: filter -> its connection
//! ```
//!
//! A follower that is slower than the ring is told how many records it missed, and since when, so
//! that they can be searched for; neither the collector nor another follower waits for it. What it is not handed because
//! it came later, a search finds that begins afterwards: see [`TailHub::hand_on`]. Between the records it is
//! told up to when all has come ([`TailHub::reached`]).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{Request, missed::Oldest, shape};
use crate::{
    index::Store,
    query::compile::{StreamView, Verdict},
    record::{Position, Record, StreamInfo},
    tail::Batch,
    time,
    wire::TailLine,
};

/// Batches kept for slow followers. A batch comes from one chunk of one file.
const RING: usize = 64;

/// What followers are handed.
struct Live {
    /// Records published before it.
    before: u64,
    what: What,
}

enum What {
    Records(Arc<StreamInfo>, Vec<Record>),
    /// All that was written before this time has been handed on, nanoseconds.
    Reached(i64),
}

/// Hands appended records to followers.
pub struct TailHub {
    sender: broadcast::Sender<Arc<Live>>,
    published: AtomicU64,
    /// Held while a batch is appended and handed on, and where following begins.
    turn: Mutex<()>,
    oldest: Arc<Mutex<Oldest>>,
}

impl Default for TailHub {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(RING),
            published: AtomicU64::new(0),
            turn: Mutex::default(),
            oldest: Arc::default(),
        }
    }
}

impl TailHub {
    /// Gives a batch to all followers; costs nothing when there is none.
    pub fn publish(&self, batch: &Batch) {
        let _turn = self.turn.lock();
        self.live(batch).into_iter().for_each(|live| self.send(live));
    }

    /// Has a batch appended, and gives it to all followers. Who begins to follow is before or
    /// behind that: a record is either handed on, or found by a search made afterwards; and what
    /// was handed on is found.
    ///
    /// # Errors
    ///
    /// That of `append`; then nothing is handed on.
    pub fn hand_on<E>(&self, batch: Batch, append: impl FnOnce(Batch) -> Result<(), E>) -> Result<(), E> {
        let _turn = self.turn.lock();
        let live = self.live(&batch);
        append(batch)?;
        live.into_iter().for_each(|live| self.send(live));
        Ok(())
    }

    /// Tells all followers that what was written on the node before this time, nanoseconds, was handed on.
    pub fn reached(&self, time: i64) {
        let _turn = self.turn.lock();
        self.send(What::Reached(time));
    }

    /// What followers are handed of it, if there are any.
    fn live(&self, batch: &Batch) -> Option<What> {
        let has_followers = self.sender.receiver_count() > 0;
        has_followers.then(|| What::Records(batch.info.clone(), batch.records.clone()))
    }

    fn send(&self, what: What) {
        let records = if let What::Records(_, records) = &what { records.as_slice() } else { &[] };
        let count = records.len() as u64;
        let before = self.published.fetch_add(count, Ordering::Relaxed);
        if let Some(time) = records.iter().map(|record| record.time).min() {
            self.oldest.lock().add(before + count, time);
        }
        // The last follower may have left just now.
        let _ = self.sender.send(Arc::new(Live { before, what }));
    }

    /// Those who follow now.
    pub fn followers(&self) -> usize {
        self.sender.receiver_count()
    }
}

struct Follower {
    receiver: broadcast::Receiver<Arc<Live>>,
    store: Arc<Store>,
    request: Request,
    node: String,
    oldest: Arc<Mutex<Oldest>>,
    /// The number that the next batch begins with, unless some were missed.
    expected: u64,
    lines: std::collections::VecDeque<TailLine>,
}

/// Records that match, from the moment of this call on, until dropped. Time
/// bounds and cursor of the request don't count.
pub fn tail(
    hub: &TailHub,
    store: Arc<Store>,
    request: Request,
    node: String,
) -> impl Stream<Item = TailLine> + Send + use<> {
    let turn = hub.turn.lock();
    let receiver = hub.sender.subscribe();
    let expected = hub.published.load(Ordering::Relaxed);
    drop(turn);
    let oldest = hub.oldest.clone();
    let follower = Follower { receiver, store, request, node, oldest, expected, lines: Default::default() };
    stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((line, follower))
    })
}

impl Follower {
    async fn next(&mut self) -> Option<TailLine> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            match self.receiver.recv().await {
                Ok(live) => self.take_in(&live),
                // What comes next tells how many records were missed.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take_in(&mut self, live: &Live) {
        let missed = live.before.saturating_sub(self.expected);
        if missed > 0 {
            let (node, since) = (self.node.clone(), self.oldest.lock().since(self.expected));
            self.lines.push_back(TailLine::Dropped { dropped: missed, node, since });
        }
        match &live.what {
            What::Records(info, records) => {
                self.expected = live.before + records.len() as u64;
                self.show(info, records);
            }
            What::Reached(time) => {
                self.expected = live.before;
                let (watermark, node) = (time::format(*time), self.node.clone());
                self.lines.push_back(TailLine::Watermark { watermark, node });
            }
        }
    }

    fn show(&mut self, info: &Arc<StreamInfo>, records: &[Record]) {
        if !self.request.allows(info) {
            return;
        }
        let labels = self.store.pods().get(&info.uid).map(|meta| meta.labels.clone());
        let query = &self.request.query;
        let verdicts = query.on_stream(StreamView { info, labels: labels.as_deref() });
        if query.verdict(&verdicts) == Verdict::No {
            return;
        }
        let key = info.key();
        for record in records.iter().filter(|record| query.matches(&verdicts, record)) {
            let position = Position { time: record.time, stream: key.clone(), seq: record.seq };
            let line = shape::log_record(info, labels.as_ref(), record, position);
            self.lines.push_back(TailLine::Record(Box::new(line)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures::StreamExt;

    use super::*;
    use crate::{
        index::Retention,
        record::{Level, Source},
        wire::NodeRequest,
    };

    /// A hub, somebody who follows it, and what makes a batch of one line.
    fn followed() -> (TailHub, impl Stream<Item = TailLine> + Unpin, impl Fn(u64) -> Batch, tempfile::TempDir)
    {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let request = Request::new(&NodeRequest::default(), Duration::from_secs(60)).expect("a query");
        let hub = TailHub::default();
        let lines = Box::pin(tail(&hub, Arc::new(store), request, "n1".into()));
        let info = Arc::new(StreamInfo {
            namespace: "shop".into(),
            pod: "web-1".into(),
            uid: "uid-1".into(),
            container: "app".into(),
            restart: 0,
            node: "n1".into(),
        });
        let batch = move |seq: u64| {
            let body = Bytes::from(format!("line {seq}"));
            let record = Record { time: 1, seq, level: Level::Info, source: Source::Stdout, body };
            Batch { info: info.clone(), records: vec![record] }
        };
        (hub, lines, batch, folder)
    }

    #[tokio::test]
    async fn what_could_not_be_appended_is_not_handed_on() {
        let (hub, mut lines, batch, _folder) = followed();
        assert_eq!(hub.hand_on(batch(0), |_| Err("the disk is full")), Err("the disk is full"));
        assert_eq!(hub.hand_on(batch(1), |_| Ok::<_, &str>(())), Ok(()));
        let line = lines.next().await;
        assert!(matches!(&line, Some(TailLine::Record(record)) if record.body == "line 1"), "{line:?}");
    }

    #[tokio::test]
    async fn a_watermark_comes_behind_what_it_speaks_of_and_what_was_missed_is_told_before_it() {
        let (hub, mut lines, batch, _folder) = followed();
        hub.publish(&batch(0));
        hub.reached(7);
        assert!(matches!(lines.next().await, Some(TailLine::Record(_))));
        let mark = |time| TailLine::Watermark { watermark: time::format(time), node: "n1".into() };
        assert_eq!(lines.next().await, Some(mark(7)));
        hub.publish(&batch(1));
        (0..RING as i64).for_each(|time| hub.reached(time));
        let told = TailLine::Dropped { dropped: 1, node: "n1".into(), since: Some(1) };
        assert_eq!((lines.next().await, lines.next().await), (Some(told), Some(mark(0))));
    }
}
