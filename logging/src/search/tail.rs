//! Live records: what is appended goes to everyone who follows.
//!
//! ```text
//! append -> hub (ring of RING batches) -> each follower: filter -> its connection
//! ```
//!
//! A follower that is slower than the ring is told how many records it missed, and since when, so
//! that they can be searched for; neither the collector nor another follower waits for it. What it is not handed because
//! it came later, a search finds that begins afterwards: see [`TailHub::hand_on`].

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
    wire::TailLine,
};

/// Batches kept for slow followers. A batch comes from one chunk of one file.
const RING: usize = 64;

struct Live {
    info: Arc<StreamInfo>,
    records: Vec<Record>,
    /// Records published before these; set when they are sent.
    before: u64,
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
        self.send(self.live(batch));
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
        self.send(live);
        Ok(())
    }

    fn live(&self, batch: &Batch) -> Option<Live> {
        if self.sender.receiver_count() == 0 {
            return None;
        }
        Some(Live { info: batch.info.clone(), records: batch.records.clone(), before: 0 })
    }

    fn send(&self, live: Option<Live>) {
        if let Some(mut live) = live {
            let count = live.records.len() as u64;
            live.before = self.published.fetch_add(count, Ordering::Relaxed);
            if let Some(time) = live.records.iter().map(|record| record.time).min() {
                self.oldest.lock().add(live.before + count, time);
            }
            // The last follower may have left just now.
            let _ = self.sender.send(Arc::new(live));
        }
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
                // The next batch tells how many records were missed.
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
        self.expected = live.before + live.records.len() as u64;
        if !self.request.allows(&live.info) {
            return;
        }
        let labels = self.store.pods().get(&live.info.uid).map(|meta| meta.labels.clone());
        let query = &self.request.query;
        let verdicts = query.on_stream(StreamView { info: &live.info, labels: labels.as_deref() });
        if query.verdict(&verdicts) == Verdict::No {
            return;
        }
        let key = live.info.key();
        for record in live.records.iter().filter(|record| query.matches(&verdicts, record)) {
            let position = Position { time: record.time, stream: key.clone(), seq: record.seq };
            let line = shape::log_record(&live.info, labels.as_ref(), record, position);
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

    #[tokio::test]
    async fn what_could_not_be_appended_is_not_handed_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Retention::default()).expect("a store");
        let request = Request::new(&NodeRequest::default(), Duration::from_secs(60)).expect("a query");
        let hub = TailHub::default();
        let mut lines = Box::pin(tail(&hub, Arc::new(store), request, "n1".into()));
        let info = Arc::new(StreamInfo {
            namespace: "shop".into(),
            pod: "web-1".into(),
            uid: "uid-1".into(),
            container: "app".into(),
            restart: 0,
            node: "n1".into(),
        });
        let batch = |seq: u64| {
            let body = Bytes::from(format!("line {seq}"));
            let record = Record { time: 1, seq, level: Level::Info, source: Source::Stdout, body };
            Batch { info: info.clone(), records: vec![record] }
        };
        assert_eq!(hub.hand_on(batch(0), |_| Err("the disk is full")), Err("the disk is full"));
        assert_eq!(hub.hand_on(batch(1), |_| Ok::<_, &str>(())), Ok(()));
        let line = lines.next().await;
        assert!(matches!(&line, Some(TailLine::Record(record)) if record.body == "line 1"), "{line:?}");
    }
}
