//! An archive that doesn't say what it has: it is named, nobody waits for it twice, and what was known
//! last answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use object_store::memory::InMemory;
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::Tasks;

use super::{
    failing::Failing,
    gated::Gated,
    nodes::{Cluster, Node},
};
use crate::{
    archive::catalog::{FRESH, LEFT_ALONE},
    deletion::DeleteRequest,
    wire::SearchAnswer,
};

/// The answer lacks the archive, and nothing else.
fn lacks_the_archive(answer: &SearchAnswer) {
    let [missing] = answer.partial.as_slice() else { panic!("{answer:?}") };
    assert_eq!(missing.node, "archive");
    assert!(missing.error.starts_with("no answer within 3s; the answer has nothing of it"), "{missing:?}");
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_never_answers_is_waited_for_once() {
    let tasks = Tasks::new();
    let store = Arc::new(Gated::default());
    store.fall_silent();
    let cluster = Cluster::over(store.clone(), &tasks);
    lacks_the_archive(&cluster.search("*", 10).await);
    for pause in [Duration::ZERO, FRESH, LEFT_ALONE, 10 * LEFT_ALONE] {
        tokio::time::advance(pause).await;
        let again = cluster.search("*", 10).now_or_never();
        lacks_the_archive(&again.expect("nobody waits for it once more"));
    }
    assert_eq!(store.looks(), 1);
    // Which nodes are gone is not known, so not all can be told.
    let request = DeleteRequest { namespace: "shop".into(), ..DeleteRequest::default() };
    let deleted = cluster.root().delete(&UserInfo::master("m"), &request).await.expect("an answer");
    let [missing] = deleted.partial.as_slice() else { panic!("{deleted:?}") };
    assert!(deleted.archive && missing.error.ends_with("delete again"), "{deleted:?}");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn what_was_known_last_answers_while_the_archive_fails() {
    let tasks = Tasks::new();
    let store = Arc::new(Failing { inner: InMemory::new(), left: AtomicI64::new(i64::MAX) });
    let cluster = Cluster::over(store.clone(), &tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..2 {
        one.write(10);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    let first = one.written()[0].0;
    assert_eq!(cluster.search_until("*", first + 1).await.records.len(), 1);
    assert_eq!(cluster.cached_splits(), 1);

    // Time passes by what is said here; disk and threads hold it.
    tokio::time::pause();
    tokio::time::advance(FRESH).await;
    store.left.store(0, Ordering::SeqCst);
    let answer = cluster.search("*", 100).await;
    assert_eq!(answer.records.len(), 10, "what is on the disk");
    let [archive, node] = answer.partial.as_slice() else { panic!("{:?}", answer.partial) };
    assert_eq!((archive.node.as_str(), node.node.as_str()), ("archive", "one"));
    assert!(archive.error.contains("; the answer goes by what was there at "), "{archive:?}");
    assert!(node.error.starts_with("1 archived splits can't be had now"), "{node:?}");

    // It is left alone for a while, and then it is looked again.
    store.left.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(cluster.search("*", 100).await.partial, answer.partial);
    tokio::time::advance(LEFT_ALONE).await;
    let answer = cluster.search("*", 100).await;
    assert_eq!((answer.records.len(), answer.partial), (20, vec![]));
    tokio::time::resume();
    tasks.shutdown(Duration::from_secs(120)).await;
}
