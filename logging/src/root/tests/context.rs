//! Context through the root: the record's own node, and nothing beyond the right to read.

use super::*;
use crate::wire::{ContextScope, Order};

fn request(id: &str, scope: ContextScope) -> ContextRequest {
    ContextRequest { id: id.into(), before: Some(2), after: Some(1), scope, ..ContextRequest::default() }
}

/// Lines of two Pods of two namespaces on the first node, in turns; one more on the second.
async fn cluster() -> (TestCluster, String) {
    let cluster = TestCluster::start(2, 1).await;
    let node = &cluster.nodes[0];
    for at in 0..5 {
        // The clock is set back before the fourth line.
        let time = if at == 3 { 5 } else { at * 100 };
        node.write("shop/web-1", time, at as u64, Level::Info, &format!("web {at}"));
        node.write("ops/db-1", at * 100 + 50, at as u64, Level::Info, &format!("db {at}"));
    }
    cluster.nodes[1].write("shop/other-1", 210, 0, Level::Info, "other");
    (cluster, "200.2.uid-web-1/app/0".into())
}

#[tokio::test]
async fn records_around_one_come_in_the_order_of_their_scope() {
    let (cluster, id) = cluster().await;
    let around = async |scope| {
        let answer = cluster.root.context(&admin(), &request(&id, scope)).await.expect("an answer");
        assert_eq!(answer.record.as_ref().map(|record| record.body.as_str()), Some("web 2"));
        assert_eq!((answer.partial.len(), answer.partial[0].node.as_str()), (1, "n3"));
        let bodies = |records: Vec<crate::wire::LogRecord>| records.into_iter().map(|record| record.body);
        (
            bodies(answer.before).collect::<Vec<_>>(),
            bodies(answer.after).collect::<Vec<_>>(),
            answer.more_after,
        )
    };
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    // As it was written, whatever the clock said.
    assert_eq!(around(ContextScope::Stream).await, (strings(&["web 0", "web 1"]), strings(&["web 3"]), true));
    assert_eq!(around(ContextScope::Pod).await, (strings(&["web 3", "web 1"]), strings(&["web 4"]), false));
    assert_eq!(around(ContextScope::Node).await, (strings(&["web 1", "db 1"]), strings(&["db 2"]), true));
    cluster.stop().await;
}

#[tokio::test]
async fn abuse_30_context_shows_only_what_the_user_may_read() {
    let (cluster, id) = cluster().await;
    for scope in [ContextScope::Stream, ContextScope::Pod, ContextScope::Node] {
        let refused = cluster.root.context(&reader("ops"), &request(&id, scope)).await;
        assert!(matches!(refused, Err(RootError::NotFound(_))), "{scope:?}: {refused:?}");
        // A record that there isn't is told in the same words.
        let absent = cluster.root.context(&reader("ops"), &request("201.2.uid-web-1/app/0", scope)).await;
        let words = |answer: Result<_, RootError>, id: &str| {
            answer.map(|_: ContextAnswer| ()).unwrap_err().to_string().replace(id, "")
        };
        assert_eq!(words(refused, &id), words(absent, "201.2.uid-web-1/app/0"));
        let seen = cluster.root.context(&reader("shop"), &request(&id, scope)).await.expect("an answer");
        assert!(seen.restricted && !format!("{seen:?}").contains("db"), "{scope:?}: {seen:?}");
    }
    let no_id = cluster.root.context(&admin(), &request("yesterday", ContextScope::Stream)).await;
    assert!(matches!(no_id, Err(RootError::Invalid(_))));
    cluster.stop().await;
}

#[tokio::test]
async fn the_oldest_records_come_first_when_asked_for() {
    let (cluster, _) = cluster().await;
    let request = SearchRequest { oldest_first: true, limit: Some(3), ..SearchRequest::default() };
    let page = cluster.root.search(&admin(), &request).await.expect("an answer");
    assert_eq!(bodies(&page.records), ["web 0", "web 3", "db 0"]);
    let next = SearchRequest { cursor: page.cursor, limit: Some(100), ..request };
    let page = cluster.root.search(&admin(), &next).await.expect("an answer");
    assert_eq!(bodies(&page.records), ["web 1", "db 1", "web 2", "other", "db 2", "db 3", "web 4", "db 4"]);
    assert_eq!((page.cursor, Order::default()), (None, Order::Newest));
    cluster.stop().await;
}
