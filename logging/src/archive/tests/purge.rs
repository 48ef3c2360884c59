//! What is to be gone: in no answer at once, on no disk soon, and nothing else with it.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use object_store::ObjectStoreExt;
use tiphys_lifecycle::Tasks;

use super::{
    check_all,
    nodes::{Cluster, Node},
};
use crate::{
    archive::purge::{forget_orders, purge_all},
    block,
    deletion::{DeleteAnswer, DeleteRequest},
    index::{Clock, Keep, NamespaceMeta, Retention, Split, Store},
    root::RootError,
};
use tiphys_api::auth::UserInfo;

const SECRET: &str = "hunter2";

async fn delete(cluster: &Cluster, before: Option<i64>) -> DeleteAnswer {
    let before = before.map(crate::time::format);
    let request = DeleteRequest { namespace: "shop".into(), before };
    cluster.root().delete(&UserInfo::master("m"), &request).await.expect("deleted")
}

/// Bodies in all splits below a folder, whatever hides them.
fn bodies_on_disk(folder: &Path) -> Vec<String> {
    let mut bodies = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("listed").path();
        let split = Split::open(0, &path).expect("a split");
        for at in 0..split.blocks().len() {
            let records = block::records(&split.read_block(at).expect("read")).expect("decoded");
            bodies.extend(records.iter().map(|record| String::from_utf8_lossy(&record.body).into_owned()));
        }
        let words = split.blocks_with(SECRET.as_bytes()).expect("words");
        bodies.extend(words.iter().map(|_| SECRET.to_owned()));
    }
    bodies
}

fn has_secret(bodies: &[String]) -> bool {
    bodies.iter().any(|body| body.contains(SECRET))
}

/// Bodies in the archive, whatever hides them.
async fn bodies_archived(cluster: &Cluster) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    cluster.copy_to(folder.path()).await;
    let nodes = std::fs::read_dir(folder.path().join("c/nodes")).expect("nodes");
    let mut bodies = Vec::new();
    for node in nodes {
        let node = node.expect("listed").path();
        std::fs::remove_file(node.join("index")).expect("an index");
        bodies.extend(bodies_on_disk(&node));
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespaces_logs_are_deleted_everywhere_and_nothing_else_is() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let (one, dead) = (Node::start("one", &tasks).await, Node::start("dead", &tasks).await);
    let away = Node::start("away", &tasks).await;
    let nodes = [&one, &dead, &away];
    for node in nodes {
        for place in ["archived", "on disk", "in memory"] {
            node.say("shop", &format!("{SECRET} {place}"));
            node.say("bank", &format!("{place} on {}", node.name));
            match place {
                "archived" => {
                    node.commit();
                    cluster.live(&[node]);
                    cluster.pull().await;
                }
                "on disk" => node.commit(),
                _ => {}
            }
        }
    }
    cluster.live(&[&one]);
    cluster.live_without_collector(&["away"]);
    assert!(has_secret(&bodies_archived(&cluster).await) && has_secret(&bodies_on_disk(&one.splits())));

    let answer = delete(&cluster, None).await;
    assert_eq!((answer.nodes, answer.archive), (vec!["one".to_owned()], true));
    assert_eq!(answer.partial[0].node, "away");
    // Nowhere at once, also not of the node that is dead, and of the one that comes back.
    assert_eq!(cluster.search("ns:shop", 100).await.records, []);
    assert_eq!(cluster.facets_count_partial("ns:shop").await, 0);
    one.forget("shop");
    dead.forget("shop");
    cluster.live(&[&one, &away]);
    cluster.pull().await;
    assert_eq!(cluster.search("ns:shop", 100).await.records, []);
    away.forget("shop");

    // It is kept through a crash, and what comes late is caught.
    let folder = one.crash_copy();
    let again = Store::open(folder.path(), Retention::default()).expect("a store").0;
    assert_eq!(again.floors().of("shop", 0), one.store().floors().of("shop", 0));
    one.say("shop", "late");
    one.forget("shop");
    for node in [&one, &away] {
        node.commit();
        while node.store().purge().expect("purged") {}
        assert!(!has_secret(&bodies_on_disk(&node.splits())), "{}", node.name);
        assert!(!bodies_on_disk(&node.splits()).contains(&"late".to_owned()));
    }
    cluster.pull().await;
    purge_all(cluster.archive()).await.expect("purged");
    assert!(!has_secret(&bodies_archived(&cluster).await));
    // What of the dead node never was archived is not there to be found.
    dead.forget_unarchived(1);
    check_all(&cluster, &[&one, &dead, &away]).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_older_is_deleted() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..6 {
        one.say("shop", "line");
    }
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    let third = one.written()[3].0;
    delete(&cluster, Some(third)).await;
    one.forget_before("shop", third);
    check_all(&cluster, &[&one]).await;
    while one.store().purge().expect("purged") {}
    check_all(&cluster, &[&one]).await;
    cluster.live(&[]);
    check_all(&cluster, &[&one]).await;
    purge_all(cluster.archive()).await.expect("purged");
    check_all(&cluster, &[&one]).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_30_who_may_not_delete_a_namespaces_logs_deletes_nothing() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(4);
    cluster.live(&[&one]);
    let request = |namespace: &str| DeleteRequest { namespace: namespace.into(), before: None };
    let eve = UserInfo::named("eve", &[]);
    for namespace in ["shop", ""] {
        let refused = cluster.root().delete(&eve, &request(namespace)).await;
        assert!(matches!(refused, Err(RootError::Forbidden(_) | RootError::Invalid(_))), "{refused:?}");
    }
    // A right in one's own namespace reaches no other.
    cluster.root().delete(&eve, &request("eve")).await.expect("allowed");
    check_all(&cluster, &[&one]).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_says_how_long_it_keeps_records() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(10);
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    // All times of these tests are long past.
    let annotations = [("retention".to_owned(), "1d".to_owned())].into();
    one.store().namespace_table().update("shop", NamespaceMeta { annotations, gone: false });
    one.store().refresh_floors();
    cluster.keeps.lock().insert("shop".into(), Keep { age: Some(Duration::from_secs(86_400)), bytes: None });
    one.forget("shop");
    check_all(&cluster, &[&one]).await;
    while one.store().purge().expect("purged") {}
    assert_eq!(bodies_on_disk(&one.splits()).len(), 5);
    cluster.live(&[]);
    check_all(&cluster, &[&one]).await;
    purge_all(cluster.archive()).await.expect("purged");
    assert_eq!(bodies_archived(&cluster).await.len(), 5);
    check_all(&cluster, &[&one]).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_keeps_no_more_than_it_may_and_takes_nothing_in_again() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..4 {
        one.write(10);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    let bytes: u64 = cluster.bytes().await;
    cluster.retention.bytes = bytes / 2;
    cluster.reopen();
    cluster.pull().await;
    purge_all(cluster.archive()).await.expect("purged");
    let left = cluster.archived("one").await;
    assert!((1..4).contains(&left), "{left}");
    cluster.pull().await;
    assert_eq!(cluster.archived("one").await, left);
    let names: BTreeSet<String> =
        cluster.names().await.iter().filter_map(|name| name.split('/').nth(3).map(str::to_owned)).collect();
    assert_eq!(names.len(), left + 1, "folders of splits and the index: {names:?}");
    check_all(&cluster, &[&one]).await;
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_is_wrong_for_a_while_deletes_nothing() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(10);
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    let up = Arc::new(AtomicU64::new(0));
    let (seconds, far) = (up.clone(), 4_080_000_000 * crate::time::SECOND);
    let source = move || (far, Duration::from_secs(seconds.load(Ordering::Relaxed)));
    let clock = Clock::of(Some(crate::time::now()), source);
    assert!(cluster.archive().inner.clock.set(clock).is_ok());
    for minutes in [0, 1, 59] {
        up.store(minutes * 60, Ordering::Relaxed);
        purge_all(cluster.archive()).await.expect("purged");
        assert_eq!(cluster.archived("one").await, 1, "after {minutes} minutes");
    }
    up.store(3600, Ordering::Relaxed);
    purge_all(cluster.archive()).await.expect("purged");
    assert_eq!(cluster.archived("one").await, 0, "it has said so for an hour");
    tasks.shutdown(Duration::from_secs(120)).await;
}

/// Letters that can't be packed well: no namespace may keep less than a MiB.
fn noise(seed: u64) -> String {
    let mut state = seed;
    let letters = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    });
    letters.take(250_000).collect()
}

#[test]
fn a_namespace_keeps_so_many_bytes_the_newest() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Store::open(folder.path(), Retention::default()).expect("a store").0);
    let node = Node::of_store("one", store.clone());
    for round in 0..3 {
        node.write(40);
        (1..=10).for_each(|number| node.say("shop", &noise(10 * round + number)));
        node.commit();
    }
    let newest: u64 = store.snapshot().splits()[2]
        .blocks()
        .iter()
        .filter(|block| {
            store.snapshot().splits()[2].streams()[block.stream as usize].info.namespace == "shop"
        })
        .map(|block| block.disk_bytes())
        .sum();
    let annotations = [("retention-bytes".to_owned(), (newest + 1).to_string())].into();
    store.namespace_table().update("shop", NamespaceMeta { annotations, gone: false });
    while store.purge().expect("purged") {}
    let kept = |namespace: &str| node.found(&format!("ns:{namespace} line")).len();
    assert_eq!((kept("shop"), kept("bank")), (20, 60));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deleted_namespace_keeps_holds_until_its_logs_are_gone() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(10);
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    let day = Keep { age: Some(Duration::from_secs(86_400)), bytes: None };
    cluster.keeps.lock().extend([("shop".to_owned(), day), ("bank".to_owned(), Keep::default())]);
    cluster.archive().remember_keeps().await.expect("written");
    // The namespace is deleted, and another server begins.
    cluster.keeps.lock().remove("shop");
    cluster.reopen();
    cluster.moment().await;
    assert_eq!(cluster.search("ns:shop", 100).await.records, []);
    assert_eq!(cluster.search("ns:bank", 100).await.records.len(), 5);
    // One of that name that is there speaks for itself.
    cluster.keeps.lock().insert("shop".into(), Keep::default());
    assert_eq!(cluster.search("ns:shop", 100).await.records.len(), 5);
    cluster.keeps.lock().remove("shop");
    let known = || cluster.archive().inner.catalog.known();
    purge_all(cluster.archive()).await.expect("purged");
    assert_eq!(bodies_archived(&cluster).await.len(), 5);
    purge_all(cluster.archive()).await.expect("purged");
    assert_eq!(known().keeps, [].into(), "nothing is left that it is about");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_another_server_is_carried_out_without_a_node() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.say("shop", SECRET);
    one.say("bank", "money");
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    let other = Cluster::over(cluster.objects.clone(), &tasks);
    let answer = delete(&other, None).await;
    assert!(answer.archive, "{answer:?}");
    // Two in one moment of two servers; none is lost.
    let at = crate::time::now();
    for server in [&cluster, &other] {
        server.archive().delete_records("bank", at - 1, ["gone".to_owned()].into()).await.expect("ordered");
    }
    assert_eq!(cluster.names().await.iter().filter(|name| name.starts_with("c/orders/")).count(), 3);
    purge_all(cluster.archive()).await.expect("purged");
    assert!(!has_secret(&bodies_archived(&cluster).await));
    let waiting = cluster.archive().inner.catalog.known().orders.clone();
    assert_eq!(waiting.iter().map(|order| order.waiting.len()).sum::<usize>(), 3, "{waiting:?}");
    tasks.shutdown(Duration::from_secs(120)).await;
}

/// What a purge writes is named by no index until it is whole: a node's first list must not
/// take it for what a crash left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_anew_is_not_swept_away() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let node = Node::start("one", &tasks).await;
    cluster.live(&[&node]);
    for body in ["kept", SECRET] {
        node.say(if body == SECRET { "shop" } else { "ops" }, body);
    }
    node.commit();
    cluster.pull().await;
    cluster.reopen();
    let archive = cluster.archive().clone();
    let objects = archive.inner.catalog.nodes().below("one");
    let before = objects.folders().await.expect("listed");

    // While something unnamed is written, a sweep waits.
    let writing = archive.inner.unnamed.lock().await;
    let name = object_store::path::Path::from("c/nodes/one/unfinished/file");
    cluster.objects.put(&name, b"half".to_vec().into()).await.expect("written");
    let pull = cluster.try_pull();
    let swept = tokio::time::timeout(Duration::from_millis(200), pull).await;
    assert!(swept.is_err(), "the sweep didn't wait");
    assert_eq!(objects.folders().await.expect("listed").len(), before.len() + 1);
    // And so does a purge, with what it wants to write.
    delete(&cluster, None).await;
    let purge = purge_all(&archive);
    let purged = tokio::time::timeout(Duration::from_millis(500), purge).await;
    assert!(purged.is_err(), "the purge didn't wait");
    assert_eq!(objects.folders().await.expect("listed").len(), before.len() + 1);
    drop(writing);
    cluster.pull().await;
    purge_all(&archive).await.expect("purged");
    assert!(!has_secret(&bodies_archived(&cluster).await));
    assert!(!objects.folders().await.expect("listed").contains(&"unfinished".to_owned()));
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_remembered_until_all_have_carried_it_out() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let archive = cluster.archive();
    let now = crate::time::now();
    let hours = |hours: i64| now + hours * 3600 * crate::time::SECOND;
    archive.delete_records("shop", now, ["away".to_owned()].into()).await.expect("ordered");
    let orders = || archive.inner.catalog.known().orders.clone();
    forget_orders(archive, hours(2)).await.expect("looked");
    assert_eq!(orders().len(), 1, "a node waits");
    archive.inner.catalog.told(&orders()[0], "away").await.expect("told");
    forget_orders(archive, now).await.expect("looked");
    assert_eq!(orders().len(), 1, "something may come late");
    forget_orders(archive, hours(2)).await.expect("looked");
    assert_eq!(orders().len(), 0);
    // A node that never comes back is not waited for beyond the archive's age, which is a day.
    archive.delete_records("shop", now, ["gone".to_owned()].into()).await.expect("ordered");
    forget_orders(archive, hours(26)).await.expect("looked");
    assert_eq!((orders().len(), cluster.names().await.len()), (0, 0));
    tasks.shutdown(Duration::from_secs(120)).await;
}
