//! How much of the archive is on the server's disk and on its way there, whoever asks for how much, and
//! waits for it or not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join_all;
use tiphys_api::auth::UserInfo;
use tiphys_lifecycle::Tasks;

use super::{
    gated::{Gated, bytes_below},
    nodes::{Cluster, Node, WITHIN},
};
use crate::{archive::cache::FETCHES, wire::FacetsRequest};

/// A test that hangs ends.
const LIMIT: Duration = Duration::from_secs(120);

/// Two nodes that are no more, each with so many splits of ten records in the archive.
async fn gone(store: &Arc<Gated>, splits: usize, tasks: &Tasks) -> Cluster {
    let cluster = Cluster::over(store.clone(), tasks);
    let (one, two) = (Node::start("one", tasks).await, Node::start("two", tasks).await);
    for _ in 0..splits {
        for node in [&one, &two] {
            node.write(10);
            node.commit();
        }
    }
    cluster.live(&[&one, &two]);
    cluster.pull().await;
    cluster.live(&[]);
    cluster
}

/// Bytes of each archived split, by `node/folder`.
async fn sizes(cluster: &Cluster) -> BTreeMap<String, u64> {
    let moment = cluster.moment().await;
    let mut sizes = BTreeMap::new();
    for node in moment.nodes() {
        let splits = &moment.index(&node).expect("archived").splits;
        sizes.extend(splits.iter().map(|split| (format!("{node}/{}", split.folder()), split.bytes())));
    }
    sizes
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, met).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_any_more_is_not_fetched() {
    let tasks = Tasks::new();
    let store = Arc::new(Gated::default());
    let cluster = gone(&store, 6, &tasks).await;
    let cache = &cluster.archive().inner.cache;
    store.close();
    let root = cluster.root().with_deadline(Duration::from_millis(100));
    let answer = root.facets(&UserInfo::master("m"), &FacetsRequest::default()).await.expect("an answer");
    assert_eq!(answer.count, 0);
    assert_eq!(answer.partial.len(), 12, "{:?}", answer.partial);
    assert!(answer.partial.iter().all(|missing| missing.error.contains("still being fetched")));
    // Of each node so many were waited for, and the others come too late to be asked for.
    assert!(cache.fetching() <= 2 * FETCHES, "{}", cache.fetching());
    store.open();
    until(|| cache.fetching() == 0).await;
    let begun = store.begun();
    assert!(begun.len() <= FETCHES, "{begun:?}");
    assert_eq!(cluster.facets_count("*").await, 120);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_when_nobody_waits_is_within_the_limit_too() {
    let tasks = Tasks::new();
    let store = Arc::new(Gated::default());
    let mut cluster = gone(&store, 6, &tasks).await;
    let largest = sizes(&cluster).await.into_values().max().expect("splits");
    let limit = 2 * largest;
    cluster.cache_bytes = limit;
    cluster.reopen();
    let folder = cluster.cache();
    store.measure(&folder);
    let inner = &cluster.archive().inner;
    let (cache, objects) = (&inner.cache, inner.catalog.nodes());
    let moment = cluster.moment().await;
    for node in ["one", "two"] {
        for some in moment.index(node).expect("archived").splits.chunks(FETCHES) {
            store.close();
            let all = store.begun().len() + some.len();
            let waiting = join_all(some.iter().map(|split| cache.get(&objects, node, split)));
            // Who waits leaves when all have begun.
            tokio::select! {
                _ = waiting => panic!("nothing is given yet"),
                () = until(|| store.begun().len() == all) => {}
            }
            store.open();
            until(|| cache.fetching() == 0 && bytes_below(&folder) <= limit).await;
            assert!(cluster.cached_splits() > 0, "what has begun goes on");
        }
    }
    let most = store.most();
    assert!(most <= limit + FETCHES as u64 * largest, "{most} bytes with a limit of {limit}");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_of_a_question_share_the_cache() {
    let tasks = Tasks::new();
    let store = Arc::new(Gated::default());
    let mut cluster = gone(&store, 6, &tasks).await;
    let sizes = sizes(&cluster).await;
    cluster.cache_bytes = sizes.values().sum::<u64>() / 2;
    cluster.reopen();
    cluster.moment().await;
    let user = UserInfo::master("m");
    let request = FacetsRequest { within: WITHIN.map(str::to_owned), ..FacetsRequest::default() };
    let answer = cluster.root().facets(&user, &request).await.expect("an answer");
    let begun = store.begun();
    let fetched: u64 = begun.iter().map(|split| sizes[split]).sum();
    assert!(fetched <= cluster.cache_bytes, "{fetched} bytes with a limit of {}", cluster.cache_bytes);
    assert!(!begun.is_empty() && answer.count == 10 * begun.len() as u64, "{} of {begun:?}", answer.count);
    let left_out = |missing: &crate::wire::NodeError| missing.error.contains("were not looked into");
    assert!(answer.partial.iter().any(left_out), "{:?}", answer.partial);
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_that_goes_while_it_is_fetched_leaves_nothing_on_the_disk() {
    let tasks = Tasks::new();
    let store = Arc::new(Gated::default());
    let cluster = gone(&store, 1, &tasks).await;
    let inner = &cluster.archive().inner;
    let (cache, objects) = (&inner.cache, inner.catalog.nodes());
    let moment = cluster.moment().await;
    let split = &moment.index("one").expect("archived").splits[0];
    store.close();
    let forgotten = async {
        until(|| store.begun().len() == 1).await;
        cache.forget("one", split);
        store.open();
    };
    let (got, ()) = tokio::join!(cache.get(&objects, "one", split), forgotten);
    // Who waited has it open.
    assert!(got.expect("fetched").read_block(0).is_ok());
    assert_eq!(cluster.cached_splits(), 0);
    tasks.shutdown(Duration::from_secs(120)).await;
}
