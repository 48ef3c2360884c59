//! The archiver dies at each operation of the object store in turn.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use object_store::memory::InMemory;
use tiphys_lifecycle::Tasks;

use super::{
    failing::Failing,
    nodes::{Cluster, Node},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_operation_leaves_an_archive_that_can_be_read() {
    let tasks = Tasks::new();
    let node = Node::start("one", &tasks).await;
    for _ in 0..8 {
        node.write(2);
        node.commit();
    }
    let before = Arc::new(InMemory::new());
    let cluster = Cluster::over(before.clone(), &tasks);
    cluster.live(&[&node]);
    cluster.pull().await;
    assert!(node.store().merge().expect("merged"));
    node.write(2);
    node.commit();

    let mut crashes = 0;
    for operations in 0.. {
        let store = Arc::new(Failing { inner: before.fork(), left: AtomicI64::new(operations) });
        let mut cluster = Cluster::over(store.clone(), &tasks);
        cluster.live(&[&node]);
        let lived = cluster.try_pull().await.is_ok();
        store.left.store(i64::MAX, Ordering::SeqCst);
        cluster.reopen();
        cluster.live(&[]);
        // Sixteen records were there before, however they are divided.
        let records = cluster.archived_records("one").await;
        assert!(records == 16 || records == 18, "after {operations} operations {records}");
        if operations % 20 == 0 {
            let answer = cluster.search("*", 1000).await;
            assert_eq!(answer.partial, [], "after {operations} operations");
            let ids: BTreeSet<_> = answer.records.iter().map(|record| &record.id).collect();
            assert_eq!((ids.len() as u64, cluster.facets_count("*").await), (records, records));
        }

        // The next one goes on where it ended, and leaves nothing behind.
        cluster.live(&[&node]);
        cluster.pull().await;
        cluster.live(&[]);
        assert_eq!(cluster.archived_records("one").await, 18);
        let names = cluster.names().await;
        let inside = names.iter().filter_map(|name| name.strip_prefix("c/nodes/one/")?.split_once('/'));
        let folders: BTreeSet<&str> = inside.map(|(folder, _)| folder).collect();
        assert_eq!(folders.len(), 2, "after {operations} operations {folders:?}");
        if lived {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 15, "{crashes}");
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}
