//! Multi-version behaviour against a model that keeps every state whole: transactions, leases,
//! compactions, restarts, and crashes in which the tail of the log is lost or torn.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::{collection::vec, option, prelude::*};
use tiphys_store::{Compare, Event, LeaseId, Op, Options, Range, Revision, StoreError, Txn, Watch};

use super::{
    history::{History, State},
    testbed::{Bed, events_until},
};

/// What a crash leaves of bytes that were being written.
#[derive(Debug, Clone, Copy)]
enum Torn {
    Cut,
    Zeros,
    Noise(u8),
}

/// Operations on keys by number: a value to put, or a deletion; the last part is a lease's number.
type Writes = Vec<(u8, Option<u16>, Option<u8>)>;

/// A transaction that runs if a key is at the guessed revision; else another one does.
#[derive(Debug, Clone)]
struct Guess {
    at: Option<(u8, u64)>,
    success: Writes,
    failure: Writes,
}

#[derive(Debug, Clone)]
enum Action {
    Txn(Guess),
    Grant,
    /// Of the leases that live, the one with this number.
    Revoke(u8),
    /// Gives up history, this share of what there is (0 to 100).
    Compact(u64),
    Reopen,
    /// Of these transactions nobody heard the answer; the log is whole up to somewhere among them.
    Crash {
        unheard: Vec<Guess>,
        share: u16,
        torn: Torn,
    },
}

fn writes() -> impl Strategy<Value = Writes> {
    vec((0..6_u8, option::weighted(0.7, any::<u16>()), option::weighted(0.3, any::<u8>())), 0..4)
}

fn guess() -> impl Strategy<Value = Guess> {
    (option::of((0..6_u8, 0..12_u64)), writes(), writes()).prop_map(|(at, success, failure)| Guess {
        at,
        success,
        failure,
    })
}

/// `crashes`: how often, beside thirty transactions.
fn actions(crashes: u32) -> impl Strategy<Value = Vec<Action>> {
    let torn = prop_oneof![Just(Torn::Cut), Just(Torn::Zeros), any::<u8>().prop_map(Torn::Noise)];
    let crash = (vec(guess(), 1..6), any::<u16>(), torn).prop_map(|(unheard, share, torn)| Action::Crash {
        unheard,
        share,
        torn,
    });
    let action = prop_oneof![
        30 => guess().prop_map(Action::Txn),
        2 => Just(Action::Grant),
        1 => any::<u8>().prop_map(Action::Revoke),
        2 => (0..100_u64).prop_map(Action::Compact),
        1 => Just(Action::Reopen),
        crashes => crash,
    ];
    vec(action, 1..60)
}

fn ops(writes: &Writes, leases: &BTreeSet<LeaseId>) -> Vec<Op> {
    let mut seen = BTreeSet::new();
    let lease = |number: u8| leases.iter().nth(usize::from(number) % leases.len().max(1)).copied();
    let op = |(n, value, number): &(u8, Option<u16>, Option<u8>)| {
        let key = format!("/{}/{n}", n % 2);
        match value {
            // Now and then a read takes the place of a write.
            Some(value) if value % 8 == 0 => Op::Get { key },
            Some(value) => Op::Put { key, value: value.to_string().into(), lease: number.and_then(lease) },
            None => Op::Delete { key },
        }
    };
    writes.iter().filter(|(n, ..)| seen.insert(*n)).map(op).collect()
}

fn txn(guess: &Guess, leases: &BTreeSet<LeaseId>) -> Txn {
    let compare = |(n, mod_revision)| Compare { key: format!("/{}/{n}", n % 2), mod_revision };
    Txn {
        compare: guess.at.map(compare).into_iter().collect(),
        success: ops(&guess.success, leases),
        failure: ops(&guess.failure, leases),
    }
}

/// A store, its model, and a watch that has been open since a revision.
struct Run {
    bed: Bed,
    model: History,
    live: Watch,
    live_from: Revision,
}

impl Run {
    async fn start(bed: Bed) -> Self {
        let live = bed.store.watch("/", 1).await.unwrap();
        Self { bed, model: History::new(), live, live_from: 1 }
    }

    async fn act(self, action: Action) -> Self {
        let mut run = self;
        // A store that is still held somewhere can't be opened again.
        let store = &run.bed.store;
        match action {
            Action::Txn(guess) => {
                let txn = txn(&guess, &run.model.leases);
                let result = store.transact(txn.clone()).await.unwrap();
                assert_eq!(result, run.model.transact(&txn));
            }
            Action::Grant => {
                let lease = store.grant(Duration::from_secs(3600)).await.unwrap();
                assert!(run.model.leases.insert(lease), "lease {lease} was granted twice");
            }
            Action::Revoke(number) => {
                let n = run.model.leases.len().max(1);
                let Some(lease) = run.model.leases.iter().nth(usize::from(number) % n).copied() else {
                    return run;
                };
                store.revoke(lease).await.unwrap();
                run.model.revoke(lease);
            }
            Action::Compact(share) => {
                let to = run.model.revision() * share / 100;
                if to > run.model.compacted {
                    store.compact(to).await.unwrap();
                    run.model.compacted = to;
                }
            }
            Action::Reopen => {
                run.told_everything().await;
                let bed = run.bed.reopen(quiet()).await;
                return Self::again(bed, run.model).await;
            }
            Action::Crash { unheard, share, torn } => return run.crash(&unheard, share, torn).await,
        }
        run
    }

    /// Goes on with a store that was opened again.
    async fn again(bed: Bed, model: History) -> Self {
        let live_from = model.revision() + 1;
        let live = bed.store.watch("/", live_from).await.unwrap();
        Self { bed, model, live, live_from }
    }

    /// The live watch has told of everything since it was opened.
    async fn told_everything(&mut self) {
        if self.live_from <= self.model.revision() {
            let told = told(&mut self.live, self.model.revision()).await;
            assert_eq!(told, self.model.events("/", self.live_from));
        }
    }

    async fn crash(self, unheard: &[Guess], share: u16, torn: Torn) -> Self {
        let Self { bed, mut model, .. } = self;
        let (heard, whole) = (model.revision(), journal(bed.path()));
        let txns: Vec<Txn> = unheard.iter().map(|guess| txn(guess, &model.leases)).collect();
        // All at once, so that some share a write to the disk.
        let results = futures::future::join_all(txns.iter().map(|txn| bed.store.transact(txn.clone()))).await;
        for (txn, result) in txns.iter().zip(results) {
            assert_eq!(result.unwrap(), model.transact(txn));
        }
        let damage = |folder: &Path| {
            // The mark is written a moment after what it speaks of.
            fs::write(folder.join("acknowledged"), format!("{heard}\n")).unwrap();
            tear(&whole, &journal(folder), share, torn);
        };
        let bed = bed.reopen_after(quiet(), damage).await;
        let found = bed.store.revision().await.unwrap();
        assert!(found >= heard, "revision {found} is there of {heard} that were acknowledged");
        assert!(found <= model.revision(), "revision {found} was never written");
        model.cut(found);
        check(&bed, &model).await;
        Self::again(bed, model).await
    }
}

/// Nothing is written but what a test writes; a quiet watch is soon told how far the store is.
fn quiet() -> Options {
    let never = Duration::from_secs(3600);
    let soon = Duration::from_millis(20);
    Options { mark_every: never, compact_every: never, progress_every: soon, ..Options::default() }
}

/// The file that is being appended to, and what is in it.
fn journal(folder: &Path) -> (PathBuf, Vec<u8>) {
    let entries = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let journals = entries.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    let number = |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
    let newest = journals.max_by_key(number).expect("a store has a journal");
    let bytes = fs::read(&newest).unwrap();
    (newest, bytes)
}

/// Damages a journal behind what it held earlier.
fn tear(whole: &(PathBuf, Vec<u8>), now: &(PathBuf, Vec<u8>), share: u16, torn: Torn) {
    let (path, mut bytes) = now.clone();
    assert_eq!(whole.0, path, "the journal was changed for another");
    let same = whole.1.iter().zip(&bytes).take_while(|(before, after)| before == after).count();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1).max(same);
    let at = same + (end - same) * usize::from(share) / usize::from(u16::MAX);
    match torn {
        Torn::Cut => bytes.truncate(at),
        Torn::Zeros => bytes[at..].fill(0),
        Torn::Noise(seed) => {
            bytes.truncate(end);
            // No byte of it is one of fjall's tags: noise that reads as one more item than a batch
            // has makes it refuse the store, and rightly, as it can't tell where the batch ended.
            bytes[at..]
                .iter_mut()
                .zip(u64::from(seed) + 1..)
                .for_each(|(byte, n)| *byte ^= ((n * 2_654_435_761) >> 7) as u8 | 0x80);
        }
    }
    fs::write(path, bytes).unwrap();
}

async fn run(bed: Bed, actions: Vec<Action>) {
    let mut run = Run::start(bed).await;
    for action in actions {
        // A watch that is behind is told of no compaction: it has read everything before.
        if matches!(action, Action::Compact(_)) {
            run.told_everything().await;
            run = Run::again(run.bed, run.model).await;
        }
        run = run.act(action).await;
    }
    run.told_everything().await;
    check(&run.bed, &run.model).await;
    run.bed.close().await;
}

/// Everything a watch tells up to a revision, by key within each.
async fn told(watch: &mut Watch, revision: Revision) -> Vec<Event> {
    let mut events = events_until(watch, revision).await.unwrap();
    assert!(events.is_sorted_by_key(|event| event.revision));
    events.sort_by(|one, other| (one.revision, &one.key).cmp(&(other.revision, &other.key)));
    events
}

/// Every readable revision, and what watches from everywhere are told.
async fn check(bed: &Bed, model: &History) {
    let store = &*bed.store;
    // On etcd a sign of progress may take a revision of its own, so nobody may wait for one there.
    let prefixes = if bed.cluster.is_some() { &["/"][..] } else { &["/", "/0/", "/1/5"] };
    for revision in 1..=model.revision() {
        let read = store.range(Range { revision: Some(revision), ..Range::prefix("/") }).await;
        if revision < model.compacted {
            assert!(matches!(read, Err(StoreError::Compacted { .. })));
            continue;
        }
        let state: State =
            read.unwrap().records.into_iter().map(|record| (record.key.clone(), record)).collect();
        assert_eq!(&state, model.state(revision));
    }
    let step = (model.revision() / 5).max(1) as usize;
    for from in (1..=model.revision()).step_by(step) {
        for prefix in prefixes {
            let watch = store.watch(prefix, from).await;
            // One on etcd may remember longer than it has to.
            if from <= model.compacted && (bed.cluster.is_none() || watch.is_err()) {
                assert!(matches!(watch, Err(StoreError::Compacted { .. })));
                continue;
            }
            let mut watch = watch.unwrap();
            assert_eq!(
                told(&mut watch, model.revision()).await,
                model.events(prefix, from),
                "{prefix} from {from}"
            );
        }
    }
    for lease in &model.leases {
        assert!(store.time_to_live(*lease).await.is_ok(), "lease {lease} is gone");
    }
}

/// `TIPHYS_SOAK=1` tries many more.
fn config(cases: u32) -> ProptestConfig {
    let cases = if std::env::var_os("TIPHYS_SOAK").is_some() { cases * 100 } else { cases };
    ProptestConfig { cases, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() }
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work);
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn the_embedded_store_agrees_with_the_model(actions in actions(2)) {
        block_on(async { run(Bed::with(quiet()).await, actions).await });
    }
}

proptest! {
    #![proptest_config(config(6))]

    // Its members' crashes have tests of their own.
    #[test]
    fn the_etcd_store_agrees_with_the_model(actions in actions(0)) {
        block_on(async { run(Bed::etcd().await, actions).await });
    }
}
