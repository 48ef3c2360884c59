//! From the doors into the store, by way of the disk.
//!
//! ```text
//! parcels (a request's records) -> number them -> what their namespace wants of them
//!                               -> write-ahead log, one fsync for all that wait
//!                               -> the appending task -> the sender is told
//! ```
//!
//! First of all comes what an earlier process acknowledged and no split covers. An
//! error of the disk is told to the senders of that write, who send again; nothing
//! of it is in the store.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tiphys_lifecycle::CancellationToken;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::policies::Policies;

use crate::{
    doors::{Hold, Parcel, Refusal},
    index::Store,
    metric_names::Metrics,
    record::Labels,
    tail::Batch,
    time,
    wal::{self, Contents, Entry, Left, Mark, Pushed, Wal, WalError},
};

/// Parcels that are written with one fsync.
const GROUP: usize = 64;
/// Entries that wait for the appending task.
const WAITING: usize = 16;
/// A note of what was left out comes so long after it, if no record comes.
const NOTES: std::time::Duration = std::time::Duration::from_secs(1);
/// Streams whose next number is remembered one by one.
const STREAMS: usize = 20_000;

/// An entry of the write-ahead log, on its way into the store.
pub struct Arrival {
    pub streams: Vec<Pushed>,
    /// The store stands here when it has them.
    pub mark: Mark,
    /// Who waits to hear of it, if it didn't come before a restart.
    pub receipt: Option<Receipt>,
}

/// Tells a sender that its records are taken, and gives back the memory they took. There is one
/// only once they are on disk. So also one that nobody signs, because the collector stops, says
/// that they are taken: they are replayed, and would be there twice if they were sent again.
pub struct Receipt {
    sender: Option<oneshot::Sender<Result<(), Refusal>>>,
    _hold: Hold,
}

impl Receipt {
    /// The records can be found.
    pub fn sign(self) {}
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // Who sent it may have gone.
        self.sender.take().map(|sender| sender.send(Ok(())));
    }
}

/// The appending task's end: what arrives, and where to say what is in splits.
pub struct Arrivals {
    pub receiver: mpsc::Receiver<Arrival>,
    pub covered: watch::Sender<u64>,
    /// All that an earlier process acknowledged has been sent.
    replayed: Arc<AtomicBool>,
}

impl Arrivals {
    /// Whether something of an earlier process may still come.
    pub fn has_left(&self) -> bool {
        !self.replayed.load(Ordering::Acquire) || !self.receiver.is_empty()
    }
}

/// The task between the doors and the appending one.
pub struct Intake {
    /// Away only while a blocking thread has it.
    desk: Option<Desk>,
    store: Arc<Store>,
    parcels: mpsc::Receiver<Parcel>,
    arrivals: mpsc::Sender<Arrival>,
    covered: watch::Receiver<u64>,
    replayed: Arc<AtomicBool>,
    numbers: Numbers,
    /// When notes of what was left out are due.
    notes: Option<Instant>,
    metrics: Metrics,
}

/// What is worked with on blocking threads.
struct Desk {
    wal: Wal,
    policies: Policies,
    /// Of the streams that a note may come of.
    labels: HashMap<String, Labels>,
}

impl Intake {
    /// `store` stands where the arrivals go on.
    pub fn new(
        wal: Wal,
        policies: Policies,
        store: Arc<Store>,
        parcels: mpsc::Receiver<Parcel>,
        metrics: Metrics,
    ) -> (Self, Arrivals) {
        let mark = store.mark();
        let (arrivals, receiver) = mpsc::channel(WAITING);
        let (sender, covered) = watch::channel(mark.number);
        let numbers = Numbers { next: HashMap::new(), floor: mark.next_seq };
        let desk = Some(Desk { wal, policies, labels: HashMap::new() });
        let replayed = Arc::<AtomicBool>::default();
        let at_end = Arrivals { receiver, covered: sender, replayed: replayed.clone() };
        (Self { desk, store, parcels, arrivals, covered, replayed, numbers, notes: None, metrics }, at_end)
    }

    /// Works until the token is cancelled. What is on disk by then and not in the store comes
    /// after the next start.
    pub async fn run(mut self, token: CancellationToken) -> Result<(), WalError> {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            done = self.take_left() => done?,
        }
        self.replayed.store(true, Ordering::Release);
        self.forget().await?;
        let (mut group, mut open) = (Vec::new(), true);
        loop {
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                Ok(()) = self.covered.changed() => self.forget().await?,
                () = super::ingest::at(self.notes) => if !self.write_notes().await? {
                    return Ok(());
                },
                taken = self.parcels.recv_many(&mut group, GROUP), if open => {
                    // Without a door there still is what was left to be covered.
                    open = taken > 0;
                    if !self.take(std::mem::take(&mut group)).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// What an earlier process acknowledged.
    async fn take_left(&mut self) -> Result<(), WalError> {
        while let Some(left) = self.with_desk(|desk| desk.wal.read_left()).await? {
            let Left { segment, entries, fault } = left;
            let mut unread = Vec::new();
            for Entry { number, payload } in entries {
                let read = self.with_desk(move |desk| {
                    let Contents { streams, is_judged } = wal::read_entry(&payload)?;
                    Ok::<_, wal::BadEntry>(if is_judged { streams } else { desk.redact(streams) })
                });
                let streams = match read.await? {
                    Ok(streams) => streams,
                    Err(why) => {
                        unread.push((number, why));
                        continue;
                    }
                };
                self.numbers.saw(&streams);
                let mark = Mark { number, next_seq: self.numbers.floor };
                if self.arrivals.send(Arrival { streams, mark, receipt: None }).await.is_err() {
                    return Ok(());
                }
            }
            let count = unread.len();
            let unread =
                unread.first().map(|(number, why)| format!("{count} entries, first {number}: {why}"));
            let unread = match unread {
                Some(why) => Some(self.with_desk(move |desk| desk.wal.set_aside(segment, &why)).await?),
                None => None,
            };
            self.metrics.wal.lost.inc_by(count as u64 + u64::from(fault.is_some()));
            fault.into_iter().chain(unread).for_each(|what| self.store.name_broken(what));
        }
        Ok(())
    }

    /// Writes parcels and hands them on. False when nobody takes them.
    async fn take(&mut self, mut parcels: Vec<Parcel>) -> Result<bool, WalError> {
        if parcels.is_empty() {
            return Ok(true);
        }
        for parcel in &mut parcels {
            self.numbers.give(&mut parcel.streams);
        }
        let (written, parcels, bytes, is_idle) = self
            .with_desk(move |desk| {
                for parcel in &mut parcels {
                    parcel.streams = desk.judge(std::mem::take(&mut parcel.streams));
                }
                let payloads: Vec<_> =
                    parcels.iter().map(|parcel| wal::write_entry(&parcel.streams)).collect();
                (desk.wal.write(&payloads), parcels, desk.wal.bytes(), desk.policies.is_idle())
            })
            .await?;
        if !is_idle {
            self.notes.get_or_insert_with(|| Instant::now() + NOTES);
        }
        self.metrics.wal.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let first = match written {
            Ok(first) => first,
            Err(error) => {
                self.refuse(parcels, &error);
                return Ok(true);
            }
        };
        let next_seq = self.numbers.floor;
        let arrivals: Vec<Arrival> = (first..)
            .zip(parcels)
            .map(|(number, Parcel { streams, receipt, hold })| Arrival {
                streams,
                mark: Mark { number, next_seq },
                receipt: Some(Receipt { sender: Some(receipt), _hold: hold }),
            })
            .collect();
        for arrival in arrivals {
            if self.arrivals.send(arrival).await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes what is to be said of what was left out. False when nobody takes it.
    async fn write_notes(&mut self) -> Result<bool, WalError> {
        let (streams, written, is_idle) = self
            .with_desk(|desk| {
                let streams = desk.notes();
                let written = (!streams.is_empty()).then(|| desk.wal.write(&[wal::write_entry(&streams)]));
                (streams, written, desk.policies.is_idle())
            })
            .await?;
        self.notes = (!is_idle).then(|| Instant::now() + NOTES);
        match written {
            None => Ok(true),
            Some(Ok(number)) => {
                let mark = Mark { number, next_seq: self.numbers.floor };
                Ok(self.arrivals.send(Arrival { streams, mark, receipt: None }).await.is_ok())
            }
            // The counters have it all the same.
            Some(Err(error)) => {
                tracing::warn!(%error, "a note of what was left out can't be made durable");
                Ok(true)
            }
        }
    }

    fn refuse(&self, parcels: Vec<Parcel>, error: &WalError) {
        self.metrics.wal.failures.inc();
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        tracing::error!(%error, cause, "records can't be made durable, their senders are told");
        for parcel in parcels {
            let refusal = Refusal::unavailable(format!("the records can't be made durable: {error}{cause}"));
            let _ = parcel.receipt.send(Err(refusal));
        }
    }

    async fn forget(&mut self) -> Result<(), WalError> {
        let covered = *self.covered.borrow_and_update();
        let bytes = self
            .with_desk(move |desk| {
                desk.wal.forget(covered);
                desk.wal.bytes()
            })
            .await?;
        self.metrics.wal.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Works with the log on a blocking thread.
    async fn with_desk<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, WalError> {
        let mut desk = self.desk.take().expect("it is back after each use, and lost only with this task");
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut desk);
            (desk, result)
        });
        let (desk, result) = done.await.map_err(WalError::BrokeOff)?;
        self.desk = Some(desk);
        Ok(result)
    }
}

impl Desk {
    /// What their namespaces want of records: from here on nothing else is anywhere.
    fn judge(&mut self, streams: Vec<Pushed>) -> Vec<Pushed> {
        let now = time::now();
        let mut judged = Vec::with_capacity(streams.len());
        for Pushed { info, labels, records } in streams {
            let taken = self.policies.take(Batch { info: info.clone(), records }, Some(now));
            if !self.policies.is_idle() {
                self.labels.insert(info.uid.clone(), labels.clone());
            }
            judged.extend(taken.map(|batch| Pushed { info, labels, records: batch.records }));
        }
        judged
    }

    /// Records that an earlier version wrote as they came.
    fn redact(&mut self, streams: Vec<Pushed>) -> Vec<Pushed> {
        let redacted = streams.into_iter().map(|Pushed { info, labels, records }| {
            let mut batch = Batch { info: info.clone(), records };
            self.policies.redact(&mut batch);
            Pushed { info, labels, records: batch.records }
        });
        redacted.collect()
    }

    /// What is to be said of records that were left out.
    fn notes(&mut self) -> Vec<Pushed> {
        let mut labels = std::mem::take(&mut self.labels);
        let notes = self.policies.take_notes().into_iter().map(|Batch { info, records }| {
            let labels = labels.remove(&info.uid).unwrap_or_default();
            Pushed { info, labels, records }
        });
        notes.collect()
    }
}

/// The next number of each stream that came by a door. A stream that isn't remembered goes on
/// beyond all numbers that were ever given, so that none is given twice.
struct Numbers {
    next: HashMap<Arc<str>, u64>,
    floor: u64,
}

impl Numbers {
    fn give(&mut self, streams: &mut [Pushed]) {
        for stream in streams {
            if self.next.len() >= STREAMS {
                self.next.clear();
            }
            let floor = self.floor;
            let next = self.next.entry(stream.info.uid.as_str().into()).or_insert(floor);
            for record in &mut stream.records {
                record.seq = *next;
                *next += 1;
            }
            self.floor = self.floor.max(*next);
        }
    }

    fn saw(&mut self, streams: &[Pushed]) {
        let newest = streams.iter().flat_map(|stream| &stream.records).map(|record| record.seq).max();
        self.floor = self.floor.max(newest.map_or(0, |newest| newest.saturating_add(1)));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        index::tests::info,
        record::{Level, Record, Source},
    };

    fn stream(pod: &str, count: usize) -> Pushed {
        let record =
            Record { time: 0, seq: 0, level: Level::Info, source: Source::Stdout, body: Bytes::new() };
        Pushed { info: info(pod), labels: Arc::default(), records: vec![record; count] }
    }

    fn seqs(stream: &Pushed) -> Vec<u64> {
        stream.records.iter().map(|record| record.seq).collect()
    }

    #[tokio::test]
    async fn what_is_on_disk_when_the_collector_stops_is_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Default::default()).expect("a store");
        let (store, metrics) = (Arc::new(store), Metrics::new());
        let open = || Wal::open(&folder.path().join("wal"), &folder.path().join("broken"), 0).expect("a log");
        let (inlet, parcels) = crate::doors::Inlet::new();
        let policies = Policies::new(store.clone(), metrics.clone());
        let (intake, arrivals) = Intake::new(open(), policies, store, parcels, metrics);
        // The appending task is gone.
        drop(arrivals.receiver);
        let sent = inlet.submit(vec![stream("a", 2)], crate::doors::Budget::new(1 << 20).hold());
        let (told, ended) = tokio::join!(sent, intake.run(CancellationToken::new()));
        assert!(told.is_ok() && ended.is_ok(), "{told:?} {ended:?}");
        let left = open().read_left().expect("a segment");
        assert_eq!(left.entries.len(), 1, "it is replayed");
    }

    #[tokio::test]
    async fn it_is_known_when_all_has_come_that_an_earlier_process_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path(), Default::default()).expect("a store");
        let (store, metrics) = (Arc::new(store), Metrics::new());
        let start = || {
            let wal = Wal::open(&folder.path().join("wal"), &folder.path().join("broken"), 0).expect("a log");
            let (inlet, parcels) = crate::doors::Inlet::new();
            let policies = Policies::new(store.clone(), metrics.clone());
            let (intake, arrivals) = Intake::new(wal, policies, store.clone(), parcels, metrics.clone());
            (inlet, intake, arrivals)
        };
        let (inlet, intake, arrivals) = start();
        drop(arrivals.receiver);
        let sent = inlet.submit(vec![stream("a", 2)], crate::doors::Budget::new(1 << 20).hold());
        let (told, ended) = tokio::join!(sent, intake.run(CancellationToken::new()));
        assert!(told.is_ok() && ended.is_ok(), "{told:?} {ended:?}");
        let (_inlet, intake, mut arrivals) = start();
        assert!(arrivals.has_left());
        let token = CancellationToken::new();
        let take = async {
            while !arrivals.replayed.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            assert!(arrivals.has_left(), "it was sent, and not taken");
            assert!(arrivals.receiver.recv().await.is_some_and(|arrival| arrival.receipt.is_none()));
            assert!(!arrivals.has_left());
            token.cancel();
        };
        let (ended, ()) = tokio::join!(intake.run(token.clone()), take);
        assert!(ended.is_ok(), "{ended:?}");
    }

    #[test]
    fn numbers_of_a_stream_rise_and_none_is_given_twice_after_a_restart() {
        let mut numbers = Numbers { next: HashMap::new(), floor: 10 };
        let mut first = [stream("a", 2), stream("b", 1), stream("a", 1)];
        numbers.give(&mut first);
        assert_eq!(first.iter().map(seqs).collect::<Vec<_>>(), [vec![10, 11], vec![12], vec![12]]);
        let mut again = Numbers { next: HashMap::new(), floor: 0 };
        again.saw(&first);
        let mut second = [stream("b", 1), stream("a", 1)];
        again.give(&mut second);
        assert_eq!(second.iter().map(seqs).collect::<Vec<_>>(), [vec![13], vec![14]]);
    }
}
