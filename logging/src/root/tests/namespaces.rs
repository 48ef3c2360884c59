//! Users who may not read all namespaces: follows that grow with what they may read, and answers that
//! name who can't say which namespaces it has.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json,
    http::StatusCode,
    routing::{MethodRouter, get},
};
use object_store::memory::InMemory;
use parking_lot::Mutex;
use tiphys_objects::Objects;

use super::*;
use crate::{archive, index::Keep, time};

/// A test that hangs ends.
const LIMIT: Duration = Duration::from_secs(60);

async fn next(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin)) -> Option<TailLine> {
    tokio::time::timeout(LIMIT, lines.next()).await.expect("in time")
}

/// The next line is of this text.
async fn shows(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin), text: &str) {
    let line = next(lines).await;
    assert!(matches!(&line, Some(TailLine::Record(record)) if record.body == text), "{text}: {line:?}");
}

/// The next line says this of a node.
async fn says(lines: &mut (impl futures::Stream<Item = TailLine> + Unpin), node: &str, what: &str) {
    let line = next(lines).await;
    let Some(TailLine::Partial { partial }) = &line else { panic!("{what}: {line:?}") };
    assert!(partial.node == node && partial.error.contains(what), "{what}: {partial:?}");
}

/// A collector before this node that answers otherwise when it is asked for namespaces.
async fn before(cluster: &TestCluster, node: &TestNode, namespaces: MethodRouter) -> Collector {
    let router =
        axum::Router::new().route("/v1/namespaces", namespaces).fallback_service(node.router(&cluster.tasks));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().ok();
    cluster.tasks.spawn("collector", tiphys_lifecycle::OnError::Log, async move {
        axum::serve(listener, router).await
    });
    Collector { node: node.name.clone(), address, access: Access::Token(TOKEN.into()) }
}

#[tokio::test]
async fn a_namespace_that_is_new_is_followed_from_its_first_line_on() {
    let mut cluster = TestCluster::start(1, 1).await;
    cluster.root.rights = Duration::from_millis(20);
    let mut lines =
        Box::pin(cluster.root.tail(&reader("shop"), &SearchRequest::default()).await.expect("a tail"));
    says(&mut lines, "namespaces", "get pods/log").await;
    says(&mut lines, "n2", "can't be followed").await;
    let write = |pod: &str, numbers: std::ops::Range<u64>| {
        for seq in numbers {
            cluster.nodes[0].write(pod, time::now(), seq, Level::Info, &format!("{pod} {seq}"));
        }
    };
    write("ops/db-1", 0..3);
    write("shop/web-1", 0..3);
    for seq in 0..3 {
        shows(&mut lines, &format!("shop/web-1 {seq}")).await;
    }
    // Each once, and nothing more is said of the node that is still missing.
    write("shop/web-1", 3..6);
    write("ops/db-1", 3..6);
    write("shop/web-2", 0..1);
    for seq in 3..6 {
        shows(&mut lines, &format!("shop/web-1 {seq}")).await;
    }
    shows(&mut lines, "shop/web-2 0").await;
    drop(lines);
    cluster.stop().await;
}

/// The namespaces that may be read; the empty name is all.
struct Given(Arc<Mutex<Vec<&'static str>>>);

impl Authorizer for Given {
    fn authorize(&self, _: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, .. } = attributes else { return Err("no".into()) };
        let may = self.0.lock().iter().any(|given| given.is_empty() || *given == namespace);
        if may { Ok(()) } else { Err("no rule allows it".into()) }
    }
}

#[tokio::test]
async fn a_right_that_is_given_counts_for_a_follow_which_ends_with_the_last() {
    for more in ["ops", ""] {
        let mut cluster = TestCluster::start(1, 0).await;
        let given = Arc::new(Mutex::new(vec!["shop"]));
        cluster.root.authorizer = Arc::new(Given(given.clone()));
        cluster.root.rights = Duration::from_millis(20);
        let write = |pod: &str, seq: u64| {
            cluster.nodes[0].write(pod, time::now(), seq, Level::Info, &format!("{pod} {seq}"));
        };
        write("shop/web-1", 0);
        write("ops/db-1", 0);
        let mut lines =
            Box::pin(cluster.root.tail(&reader("ada"), &SearchRequest::default()).await.expect("a tail"));
        write("ops/db-1", 1);
        for seq in 1..5 {
            write("shop/web-1", seq);
            shows(&mut lines, &format!("shop/web-1 {seq}")).await;
        }
        given.lock().push(more);
        // What it wrote since the follow began, and of the others nothing once more.
        shows(&mut lines, "ops/db-1 1").await;
        for (pod, seq) in [("shop/web-1", 5), ("ops/db-1", 2)] {
            write(pod, seq);
            shows(&mut lines, &format!("{pod} {seq}")).await;
        }
        given.lock().retain(|given| *given == more);
        write("ops/db-1", 3);
        shows(&mut lines, "ops/db-1 3").await;
        given.lock().clear();
        let last = next(&mut lines).await;
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
async fn lines_do_not_wait_for_a_node_that_does_not_say_which_namespaces_it_has() {
    let mut cluster = TestCluster::start(1, 0).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let slow = get(move || {
        let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if !is_first {
                std::future::pending::<()>().await;
            }
            Json(vec!["shop"])
        }
    });
    let collector = before(&cluster, &cluster.nodes[0], slow).await;
    cluster.root.collectors = Arc::new(Nodes(vec![collector]));
    cluster.root.rights = Duration::from_millis(20);
    // Who waited for it would wait for longer than this test.
    cluster.root.deadline = 10 * LIMIT;
    let request = SearchRequest::default();
    let mut lines = Box::pin(cluster.root.tail(&reader("shop"), &request).await.expect("a tail"));
    let written = async {
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cluster.nodes[0].write("shop/web-1", time::now(), 0, Level::Info, "meanwhile");
    };
    tokio::join!(shows(&mut lines, "meanwhile"), written);
    drop(lines);
    cluster.stop().await;
}

#[tokio::test]
async fn namespaces_that_there_are_are_followed_before_they_have_lines() {
    let mut cluster = TestCluster::start(1, 0).await;
    let folder = tempfile::tempdir().expect("a folder");
    let config = archive::Config {
        cluster: "c".into(),
        cache: folder.path().join("cache"),
        cache_bytes: 1 << 20,
        retention: Retention::default(),
    };
    let keeps = || BTreeMap::from([("shop".to_owned(), Keep::default())]);
    let objects = Objects::new(Arc::new(InMemory::new()));
    let archive = Archive::new(&objects, &config, Box::new(keeps), &cluster.tasks).expect("an archive");
    cluster.root = cluster.root.clone().with_archive(archive);
    // Rights are not asked again while this test runs.
    cluster.root.rights = 10 * LIMIT;
    let request = SearchRequest::default();
    let mut lines = Box::pin(cluster.root.tail(&reader("shop"), &request).await.expect("a tail"));
    cluster.nodes[0].write("shop/web-1", time::now(), 0, Level::Info, "first");
    shows(&mut lines, "first").await;
    drop(lines);
    cluster.stop().await;
}

#[tokio::test]
async fn who_cannot_say_which_namespaces_it_has_is_named_beside_the_answer() {
    let mut cluster = TestCluster::start(2, 1).await;
    let broken = get(async || StatusCode::INTERNAL_SERVER_ERROR);
    let mut collectors = cluster.root.collectors.list().await;
    collectors[1] = before(&cluster, &cluster.nodes[1], broken).await;
    cluster.root.collectors = Arc::new(Nodes(collectors));
    let id = cluster.nodes[0].write("shop/web-1", 1, 0, Level::Info, "here");
    cluster.nodes[1].write("shop/web-2", 2, 0, Level::Info, "there");

    let user = reader("shop");
    let answer = cluster.root.search(&user, &SearchRequest::default()).await.expect("an answer");
    assert_eq!(bodies(&answer.records), ["there", "here"]);
    let facets = cluster.root.facets(&user, &FacetsRequest::default()).await.expect("an answer");
    let around = ContextRequest { id, ..ContextRequest::default() };
    let around = cluster.root.context(&user, &around).await.expect("an answer");
    for partial in [answer.partial, facets.partial, around.partial] {
        let [late, missing] = partial.as_slice() else { panic!("{partial:?}") };
        assert!(late.node == "n2" && late.error.contains("which namespaces it has"), "{late:?}");
        assert!(late.error.contains("500"), "{late:?}");
        // It says nothing at all, which is told once.
        assert!(missing.node == "n3" && missing.error.starts_with("no collector"), "{missing:?}");
    }
    // To who may read all it makes no difference.
    let answer = cluster.root.search(&admin(), &SearchRequest::default()).await.expect("an answer");
    assert_eq!(answer.partial.iter().map(|missing| missing.node.as_str()).collect::<Vec<_>>(), ["n3"]);
    cluster.stop().await;
}
