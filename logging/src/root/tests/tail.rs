//! The live tail over time: nodes come and go, rights are taken away.

use parking_lot::Mutex;
use tokio::sync::watch;

use super::*;
use crate::time;

/// Nodes that join and leave.
struct Changing(watch::Sender<Vec<Collector>>);

#[async_trait]
impl Collectors for Changing {
    async fn list(&self) -> Vec<Collector> {
        self.0.borrow().clone()
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let changed = async |mut list: watch::Receiver<Vec<Collector>>| {
            list.changed().await.ok()?;
            Some(((), list))
        };
        futures::stream::unfold(self.0.subscribe(), changed).boxed()
    }
}

async fn next(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin)) -> Option<TailLine> {
    tokio::time::timeout(Duration::from_secs(60), lines.next()).await.expect("in time")
}

fn body(line: Option<TailLine>) -> String {
    match line {
        Some(TailLine::Record(record)) => record.body,
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn nodes_that_join_later_are_followed_and_those_that_leave_are_not() {
    let mut cluster = TestCluster::start(2, 0).await;
    let all = cluster.root.collectors.list().await;
    let (sender, _) = watch::channel(vec![all[0].clone()]);
    cluster.root.collectors = Arc::new(Changing(sender.clone()));
    let request = SearchRequest::default();
    cluster.nodes[1].write("shop/web-1", time::now(), 0, Level::Info, "before the follow");
    let mut lines = Box::pin(cluster.root.tail(&admin(), &request).await.expect("a tail"));
    let write = |text: &str, seq| {
        cluster.nodes[1].write("shop/web-1", time::now(), seq, Level::Info, text);
    };
    write("nobody follows", 1);
    cluster.nodes[0].write("shop/web-0", 1, 0, Level::Info, "followed");
    assert_eq!(body(next(&mut lines).await), "followed");
    sender.send(all.clone()).expect("followed");
    assert_eq!(body(next(&mut lines).await), "nobody follows", "it is shown when the node joins");
    write("joined", 2);
    assert_eq!(body(next(&mut lines).await), "joined");
    sender.send(vec![all[0].clone()]).expect("followed");
    let left = async {
        while cluster.nodes[1].hub.followers() > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(10), lines.next()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("in time");
    write("it left", 3);
    sender.send(all.clone()).expect("followed");
    assert_eq!(body(next(&mut lines).await), "it left", "once more in the list, it goes on where it was");
    sender.send(vec![all[1].clone()]).expect("followed");
    let left = async {
        while cluster.nodes[0].hub.followers() > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(10), lines.next()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), left).await.expect("in time");
    drop(lines);
    cluster.stop().await;
}

/// Rights that can be taken away.
struct Taken(Arc<Mutex<Vec<&'static str>>>);

impl Authorizer for Taken {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        let may = self.0.lock().iter().any(|taken| *taken == namespace || *taken == "*");
        if may { Err("it was taken".into()) } else { ByName.authorize(user, attributes) }
    }
}

#[tokio::test]
async fn abuse_30_a_tail_ends_with_the_right_to_it() {
    for (user, namespace) in [(admin(), None), (reader("shop"), Some("shop")), (reader("shop"), None)] {
        let mut cluster = TestCluster::start(1, 0).await;
        let taken = Arc::new(Mutex::default());
        cluster.root.authorizer = Arc::new(Taken(taken.clone()));
        cluster.root.rights = Duration::from_millis(50);
        cluster.nodes[0].write("shop/web-1", 1, 0, Level::Info, "before");
        let request = SearchRequest { namespace: namespace.map(str::to_owned), ..SearchRequest::default() };
        let mut lines = Box::pin(cluster.root.tail(&user, &request).await.expect("a tail"));
        cluster.nodes[0].write("shop/web-1", 2, 1, Level::Info, "followed");
        assert_eq!(body(next(&mut lines).await), "followed");
        *taken.lock() = vec!["*"];
        // The stream ends by itself, whether or not there are records.
        let mut last = next(&mut lines).await;
        while let Some(TailLine::Partial { .. }) = last {
            last = next(&mut lines).await;
        }
        assert!(
            matches!(&last, Some(TailLine::Ended { ended }) if ended.contains("get pods/log")),
            "{last:?}"
        );
        assert_eq!(next(&mut lines).await, None);
        drop(lines);
        cluster.stop().await;
    }
}

#[tokio::test]
async fn abuse_30_a_tail_leaves_out_what_may_not_be_read_any_more() {
    let mut cluster = TestCluster::start(1, 0).await;
    let taken = Arc::new(Mutex::default());
    cluster.root.authorizer = Arc::new(Taken(taken.clone()));
    cluster.root.rights = Duration::from_millis(20);
    let request = SearchRequest::default();
    let mut lines = Box::pin(cluster.root.tail(&admin(), &request).await.expect("a tail"));
    *taken.lock() = vec!["ops"];
    let told = async {
        for seq in 0.. {
            cluster.nodes[0].write("ops/db-1", seq, seq as u64, Level::Info, "secret");
            match next(&mut lines).await {
                Some(TailLine::Partial { partial }) => return partial,
                // It may have been read a moment ago.
                other => assert_eq!(body(other), "secret"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        unreachable!("it goes on")
    };
    let partial = tokio::time::timeout(Duration::from_secs(60), told).await.expect("in time");
    assert!(partial.node == "namespace ops" && partial.error.contains("any more"), "{partial:?}");
    cluster.nodes[0].write("ops/db-1", 1_000_000, 1_000_000, Level::Info, "secret");
    cluster.nodes[0].write("shop/web-1", 1_000_000, 1_000_000, Level::Info, "open");
    assert_eq!(body(next(&mut lines).await), "open", "told once, and nothing of it is shown");
    drop(lines);
    cluster.stop().await;
}
