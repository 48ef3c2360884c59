//! The archive beside real stores behind the real door: nothing twice, nothing lost,
//! whatever moves where, and readable after a crash at any operation.

mod bounds;
mod cache;
mod crash;
mod failing;
mod gated;
mod looks;
mod nodes;
mod purge;

use std::collections::BTreeSet;

use tiphys_lifecycle::Tasks;

use self::nodes::{Cluster, Node};
use crate::index::Retention;

/// What a question of each kind finds: bodies, and two counts.
async fn found(cluster: &Cluster) -> (Vec<String>, u64, u64) {
    cluster.moment().await;
    let answer = cluster.search("*", 10_000).await;
    assert_eq!(answer.partial, []);
    let bodies: Vec<String> = answer.records.into_iter().map(|record| record.body).collect();
    (bodies, cluster.histogram_count("*").await, cluster.facets_count("*").await)
}

/// All lines of all nodes, once each, newest first.
async fn check_all(cluster: &Cluster, expected: &[&Node]) {
    let (bodies, bars, facets) = found(cluster).await;
    let mut lines: Vec<(i64, String)> = expected.iter().flat_map(|node| node.written()).collect();
    lines.sort_by(|a, b| b.cmp(a));
    assert_eq!(bodies, lines.into_iter().map(|(_, body)| body).collect::<Vec<_>>());
    assert_eq!((bars, facets), (bodies.len() as u64, bodies.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_has_no_more_is_found_in_the_archive_and_nothing_twice() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let (one, two) = (Node::start("one", &tasks).await, Node::start("two", &tasks).await);
    cluster.live(&[&one, &two]);
    for round in 0..3 {
        one.write(20);
        two.write(10);
        one.commit();
        check_all(&cluster, &[&one, &two]).await;
        cluster.pull().await;
        two.commit();
        check_all(&cluster, &[&one, &two]).await;
        cluster.pull().await;
        check_all(&cluster, &[&one, &two]).await;
        if round == 1 {
            // Retention takes all from the node, which has new records afterwards.
            one.expire();
            check_all(&cluster, &[&one, &two]).await;
        }
    }
    // Eight of a size become one, here and there.
    for _ in 0..8 {
        two.write(5);
        two.commit();
        cluster.pull().await;
    }
    while two.store().merge().expect("merged") {}
    check_all(&cluster, &[&one, &two]).await;
    cluster.pull().await;
    check_all(&cluster, &[&one, &two]).await;
    assert!(cluster.archived("two").await < 8, "what was merged is archived merged");

    // A node that is no more, and one that doesn't answer.
    cluster.live(&[&one]);
    check_all(&cluster, &[&one, &two]).await;
    cluster.live_without_collector(&["two"]);
    let answer = cluster.search("*", 10_000).await;
    assert_eq!(answer.records.len(), one.written().len() + two.written().len());
    assert_eq!(answer.partial.len(), 1, "{:?}", answer.partial);
    assert_eq!(answer.partial[0].node, "two");
    assert!(answer.partial[0].error.contains("only what is archived"), "{:?}", answer.partial);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_go_over_live_and_archived_records() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let (one, two) = (Node::start("one", &tasks).await, Node::start("two", &tasks).await);
    for _ in 0..4 {
        one.write(13);
        one.commit();
        two.write(7);
        two.commit();
    }
    cluster.live(&[&one, &two]);
    cluster.pull().await;
    one.expire();
    one.write(9);
    cluster.live(&[&one]);
    let whole: Vec<String> =
        cluster.search("*", 10_000).await.records.into_iter().map(|record| record.id).collect();
    assert_eq!(whole.len(), 4 * 20 + 9);
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let page = cluster.page("*", 7, cursor).await;
        paged.extend(page.records.into_iter().map(|record| record.id));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, whole);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_in_order_though_splits_overlap() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for at in 0..7 {
        one.say_at("shop", &format!("late {at}"), at * 1_000_000);
        one.say_at("shop", &format!("line {at}"), (10 + at) * 1_000_000);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    // The first splits fill a page, and those behind them have what is newer than its end.
    let page = cluster.page("*", 5, None).await;
    let bodies: Vec<&str> = page.records.iter().map(|record| record.body.as_str()).collect();
    assert_eq!(bodies, ["line 6", "line 5", "line 4", "line 3", "line 2"]);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_30_the_archive_shows_what_the_user_may_read() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(6);
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    let seen = |answer: crate::wire::SearchAnswer| -> BTreeSet<String> {
        answer.records.into_iter().map(|record| record.namespace).collect()
    };
    assert_eq!(seen(cluster.search("*", 100).await).len(), 2);
    let own = cluster.search_as("shop", "*").await;
    assert!(own.restricted);
    assert_eq!(seen(own), ["shop".to_string()].into());
    assert_eq!(seen(cluster.search_as("eve", "*").await), BTreeSet::new());
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abuse_09_and_14_a_split_gives_its_own_files_and_no_others() {
    let tasks = Tasks::new();
    let one = Node::start("one", &tasks).await;
    one.write(4);
    one.commit();
    let outside = tempfile::tempdir().expect("a folder");
    std::fs::write(outside.path().join("secret"), "hunter2").expect("written");
    let words = one.splits().join("0/words");
    std::os::unix::fs::symlink(outside.path().join("secret"), words.join("linked")).expect("a link");
    std::os::unix::fs::symlink(outside.path(), one.splits().join("7")).expect("a link");
    // Beside a split's files, but none of them.
    for name in ["0/note", "0/words/..note"] {
        std::fs::write(one.splits().join(name), "hunter2").expect("written");
    }
    for path in [
        "0/..%2f..%2fMANIFEST",
        "0/words/..%2f..%2f..%2fMANIFEST",
        "0/words/%2e%2e",
        "0/words/linked",
        "0/words",
        "0/words/",
        "0/%2fetc%2fpasswd",
        "0/../../MANIFEST",
        "7/secret",
        "0/note",
        "0/words/..note",
        "1/blocks",
        "-1/blocks",
    ] {
        let (status, body) = one.get(&format!("/v1/splits/{path}"), nodes::TOKEN).await;
        assert!(matches!(status, 400 | 404 | 500), "{path} {status}");
        assert!(!body.windows(7).any(|part| part == b"hunter2" || part == b"tiphys-"), "{path} {body:?}");
    }
    assert_eq!(one.get("/v1/splits/0/blocks", nodes::TOKEN).await.0, 200);
    assert_eq!(one.get("/v1/splits/0/blocks", "guess").await.0, 401);
    assert_eq!(one.get("/v1/splits", "guess").await.0, 401);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_made_anew_keeps_its_former_life_in_the_archive() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let old = Node::start("one", &tasks).await;
    old.write(10);
    old.commit();
    cluster.live(&[&old]);
    cluster.pull().await;
    let new = Node::start("one", &tasks).await;
    new.write(10);
    new.commit();
    cluster.live(&[&new]);
    check_all(&cluster, &[&old, &new]).await;
    cluster.pull().await;
    check_all(&cluster, &[&old, &new]).await;
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_that_the_archive_refuses_stays_on_its_node() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let at_once = Retention { age: std::time::Duration::ZERO, bytes: u64::MAX };
    let one = Node::keeping(at_once, "one", &tasks).await;
    for _ in 0..2 {
        one.write(10);
        one.commit();
    }
    let ids =
        || one.store().listing().expect("listed").splits.iter().map(|it| it.id).collect::<BTreeSet<_>>();
    let all = ids();
    let (first, second) = (*all.first().expect("a split"), *all.last().expect("a split"));
    let blocks = one.splits().join(first.to_string()).join("blocks");
    let mut bytes = std::fs::read(&blocks).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blocks, bytes).expect("written");
    cluster.live(&[&one]);
    cluster
        .pull_twice(&one, || {
            one.write(10);
            one.commit();
        })
        .await;
    assert_eq!(cluster.archived("one").await, 2, "all but the damaged one");
    one.store().expire().expect("looked");
    let left = ids();
    assert!(left.contains(&first) && !left.contains(&second), "{left:?}");
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_object_is_named_and_the_rest_answers() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..2 {
        one.write(10);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    cluster.damage("-0/blocks").await;
    let answer = cluster.search("*", 100).await;
    assert_eq!(answer.records.len(), 10);
    assert_eq!(answer.partial.len(), 1);
    assert!(answer.partial[0].error.contains("10 archived records"), "{:?}", answer.partial);
    let told = cluster.archive().component().render();
    assert!(told.contains("tiphys_logs_archive_missing_splits_total 1\n"), "{told}");
    assert!(told.contains("tiphys_logs_archive_queries_total 1\n"), "{told}");
    cluster.damage("nodes/one/index").await;
    cluster.reopen();
    cluster.moment().await;
    let answer = cluster.search("*", 100).await;
    assert_eq!(answer.records.len(), 0);
    assert!(answer.partial[0].error.contains("the index: it is damaged"), "{:?}", answer.partial);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_fetched_than_a_page_takes() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..10 {
        one.write(10);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    one.expire();
    one.write(20);
    assert_eq!(cluster.page("*", 10, None).await.records.len(), 10);
    assert_eq!(cluster.cached_splits(), 0, "the node fills the page");
    assert_eq!(cluster.page("*", 25, None).await.records.len(), 25);
    assert!(cluster.cached_splits() <= 4, "{}", cluster.cached_splits());
    cluster.live(&[]);
    cluster.reopen();
    cluster.moment().await;
    assert_eq!(cluster.page("*", 5, None).await.records.len(), 5);
    assert!(cluster.cached_splits() <= 4, "{}", cluster.cached_splits());
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_cache_answers_bit_by_bit_and_says_what_it_left_out() {
    let tasks = Tasks::new();
    let mut cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    for _ in 0..6 {
        one.write(10);
        one.commit();
    }
    cluster.live(&[&one]);
    cluster.pull().await;
    cluster.live(&[]);
    cluster.cache_bytes = 1;
    cluster.reopen();
    cluster.moment().await;
    let answer = cluster.search("*", 100).await;
    assert_eq!(answer.records.len(), 10, "the newest split");
    assert!(answer.partial[0].error.contains("5 archived splits"), "{:?}", answer.partial);
    let told = cluster.archive().component().render();
    assert!(told.contains("tiphys_logs_archive_unread_splits_total 5\n"), "{told}");
    let oldest = &one.written()[0];
    let answer = cluster.search_until("*", oldest.0 + 1).await;
    assert_eq!(answer.records.len(), 1);
    assert_eq!(answer.partial, []);
    assert_eq!(cluster.cached_splits(), 1);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archiver_takes_in_what_nodes_seal_by_itself() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    cluster.live(&[&one]);
    cluster.archive().pull(cluster.collectors(), &tasks);
    for splits in 1..4 {
        one.write(5);
        one.commit();
        let archived = async {
            while cluster.archived("one").await < splits {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(120), archived).await.expect("archived in time");
    }
    check_all(&cluster, &[&one]).await;
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_outside_of_a_question_is_not_fetched() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let (one, two) = (Node::start("one", &tasks).await, Node::start("two", &tasks).await);
    for node in [&one, &two, &one, &two, &one] {
        node.write(6);
        node.commit();
    }
    cluster.live(&[&one, &two]);
    cluster.pull().await;
    cluster.live(&[]);
    let first = one.written()[5].0;
    let query = format!("time:<=1970-01-01T00:00:{:09.6}Z", first as f64 / 1e9);
    // A range beside the query is wider; both hold.
    let found = cluster.search_until(&query, i64::MAX).await;
    assert_eq!((found.records.len(), found.partial, cluster.cached_splits()), (6, vec![], 1), "{query}");
    // What stands around a record is on its node.
    let id = found.records[0].id.clone();
    let request = crate::wire::ContextRequest { id, ..Default::default() };
    let user = tiphys_api::auth::UserInfo::master("m");
    let around = cluster.root().context(&user, &request).await.expect("an answer");
    assert_eq!((around.before.len(), around.after.len()), (2, 6));
    assert_eq!(cluster.cached_splits(), 3);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}
