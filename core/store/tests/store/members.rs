//! Members that die: three on loopback, killed with -9 one after the other in a
//! storm of writes. Nothing acknowledged is lost, and no watch has a gap.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use tiphys_store::{Event, Range, Revision, Store, StoreError, Txn, Watch};
use tiphys_tests::EtcdCluster;

use super::testbed::{Bed, put, text, within};

const WRITERS: usize = 16;
/// Acknowledged writes before and after each death; writers are ahead of that by as many at most,
/// however long the members take: what a watch that is not read may be behind is bounded, too.
const WRITES: u64 = 200;

/// How many writes are acknowledged, and how many there may be by now.
#[derive(Default)]
struct Count {
    done: AtomicU64,
    most: AtomicU64,
}

/// What a writer knows: its last acknowledged number and revision.
type Acknowledged = (u64, Revision);

/// Writes ever greater numbers to a key of its own until told to stop.
async fn write(store: Arc<dyn Store>, key: String, stop: Arc<AtomicBool>, count: Arc<Count>) -> Acknowledged {
    let mut last = (0, 0);
    for n in 1_u64.. {
        while count.done.load(Ordering::Relaxed) >= count.most.load(Ordering::Relaxed)
            && !stop.load(Ordering::Relaxed)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match store.transact(Txn::put(key.clone(), n.to_string())).await {
            Ok(result) => {
                assert!(result.revision > last.1, "revisions of {key} went back");
                last = (n, result.revision);
                count.done.fetch_add(1, Ordering::Relaxed);
            }
            // Its fate is unknown: the next number goes on either way.
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{key}: {error}"),
        }
    }
    last
}

/// Everything a watch tells up to a key named `/end`.
async fn read(mut watch: Watch) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let batch = within(watch.next()).await.expect("the watch goes on").expect("the watch goes on");
        events.extend(batch.events);
        if events.last().is_some_and(|event| event.key == "/end") {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_of_members_loses_nothing_and_leaves_no_gap() {
    let mut bed = Bed::on(EtcdCluster::start(3), &|_| {}).await;
    let mut cluster = bed.cluster.take().unwrap();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(Count::default()));
    let watches = join_all((0..4).map(|_| bed.store.watch("/", 2))).await;
    let writers = (0..WRITERS)
        .map(|writer| write(bed.store.clone(), format!("/w/{writer}"), stop.clone(), count.clone()));
    let killing = async {
        for member in 0..3 {
            more_writes(&count).await;
            cluster.kill(member);
            assert!(bed.store.probe(member).await.is_err());
            // A majority is left: writes go on while the member is away.
            more_writes(&count).await;
            tokio::task::block_in_place(|| cluster.restart(member));
        }
        more_writes(&count).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(join_all(writers), killing);
    within(end(&*bed.store)).await;

    let told = join_all(watches.into_iter().map(|watch| read(watch.unwrap()))).await;
    check(&*bed.store, &acknowledged, &told[0]).await;
    for other in &told[1..] {
        assert!(*other == told[0], "watches of one prefix differ");
    }
    bed.cluster = Some(cluster);
    bed.close().await;
}

async fn more_writes(count: &Count) {
    let target = count.done.load(Ordering::Relaxed) + WRITES;
    count.most.store(target + WRITES, Ordering::Relaxed);
    within(async {
        while count.done.load(Ordering::Relaxed) < target {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Writes the last event, whatever the members are about.
async fn end(store: &dyn Store) {
    while store.transact(Txn::put("/end", "x")).await.is_err() {
        tokio::task::yield_now().await;
    }
    put(store, "/later", "x").await;
}

async fn check(store: &dyn Store, acknowledged: &[Acknowledged], events: &[Event]) {
    let page = store.range(Range::prefix("/w/")).await.unwrap();
    assert_eq!(page.records.len(), WRITERS);
    for record in &page.records {
        let writer: usize = record.key.trim_start_matches("/w/").parse().unwrap();
        let (n, revision) = acknowledged[writer];
        let stored: u64 = text(record).parse().unwrap();
        assert!(stored >= n && record.mod_revision >= revision, "{} went back", record.key);
    }
    // No gap: each event's former version is the one that was told before it.
    let mut versions: HashMap<&str, (Revision, u64)> = HashMap::new();
    for event in events.iter().filter(|event| event.key.starts_with("/w/")) {
        let current = event.current.as_ref().unwrap();
        let before = event.previous.as_ref().map(|record| (record.mod_revision, record.version));
        assert_eq!(versions.get(&*event.key).copied(), before, "{} at {}", event.key, event.revision);
        versions.insert(&event.key, (current.mod_revision, current.version));
    }
    for record in &page.records {
        assert_eq!(versions[&*record.key], (record.mod_revision, record.version), "{}", record.key);
    }
}
