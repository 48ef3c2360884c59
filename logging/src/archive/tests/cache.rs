//! Copies of splits on the server's disk: whole or not there, and left alone while
//! somebody reads them.

use std::sync::Arc;

use tiphys_lifecycle::Tasks;

use super::nodes::{Cluster, Node};
use crate::archive::ArchiveError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_read_is_never_written_again() {
    let tasks = Tasks::new();
    let cluster = Cluster::new(&tasks);
    let one = Node::start("one", &tasks).await;
    one.write(10);
    one.commit();
    cluster.live(&[&one]);
    cluster.pull().await;
    let inner = &cluster.archive().inner;
    let moment = cluster.moment().await;
    let split = moment.index("one").expect("archived").splits[0].clone();
    let (cache, objects) = (&inner.cache, inner.catalog.nodes());

    let first = cache.get(&objects, "one", &split).await.expect("fetched");
    let before = first.read_block(0).expect("read");
    // What comes now is not what was archived: there is no copy, and nothing is left of it.
    cluster.damage("-0/blocks").await;
    cache.forget_damaged("one", &split, &first);
    assert_eq!(cluster.cached_splits(), 0);
    let refused = cache.get(&objects, "one", &split).await;
    assert!(matches!(refused, Err(error) if matches!(*error, ArchiveError::Other { .. })));
    assert_eq!(cluster.cached_splits(), 0);
    assert_eq!(first.read_block(0).expect("still there"), before);

    // The bit is flipped back.
    cluster.damage("-0/blocks").await;
    let second = cache.get(&objects, "one", &split).await.expect("fetched");
    assert_eq!(second.read_block(0).expect("read"), before);
    // Who learns late that the first was damaged doesn't take the second.
    cache.forget_damaged("one", &split, &first);
    let again = cache.get(&objects, "one", &split).await.expect("here");
    assert!(Arc::ptr_eq(&second, &again));
    assert_eq!(cluster.cached_splits(), 1);
    // What the archive has no more goes, whichever copy it is.
    cache.forget("one", &split);
    assert_eq!(cluster.cached_splits(), 0);
    tasks.shutdown(std::time::Duration::from_secs(120)).await;
}
