//! Which services call which, and traces that are asked for by their ids.

use super::*;
use crate::traces::jaeger::{reading::Bounds, routes_within};

fn of(service: &str, trace: &str, id: &str, parent: &str, time: i64) -> Span {
    Span {
        time,
        trace_id: format!("{trace:0>32}"),
        span_id: id.into(),
        parent_span_id: parent.into(),
        name: "a call".into(),
        service: service.into(),
        namespace: "shop".into(),
        ..Span::default()
    }
}

#[tokio::test]
async fn services_that_call_others_are_counted() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let mut bench = bench(folder.path(), &tasks);
    let hidden = Span { namespace: "ops".into(), ..of("store", "1", "c", "b", now) };
    let spans = vec![of("cart", "1", "b", "a", now), of("web", "1", "a", "", now - 1000), hidden];
    bench.spans.take(spans).expect("taken");
    let link = json!([{"parent": "web", "child": "cart", "callCount": 1}]);
    let an_hour_ago = now / 1000 - 3_600_000;
    // In memory and in a file alike.
    for _ in 0..2 {
        for (query, expected) in [
            (String::new(), &link),
            (format!("?endTs={}&lookback=60000", now / 1000 + 1), &link),
            (format!("?endTs={an_hour_ago}&lookback=60000"), &json!([])),
            (format!("?endTs={an_hour_ago}"), &json!([])),
            ("?service=cart".to_owned(), &link),
            ("?service=store".to_owned(), &json!([])),
        ] {
            let (status, found) = bench.jaeger("shop", &format!("/dependencies{query}")).await;
            assert_eq!((status, &found["data"]), (StatusCode::OK, expected), "{query}");
            assert_eq!(found["errors"], Value::Null, "{query}");
        }
        bench.spans.write(now).expect("written");
    }
    let bounds = Bounds { calls: 1, ..Bounds::default() };
    bench.routes = routes_within(bounds, bench.spans.clone(), Arc::new(Own));
    let (_, found) = bench.jaeger("shop", "/dependencies").await;
    let said = found["errors"][0]["msg"].as_str().unwrap_or_default();
    assert!(found["data"] == json!([]) && said.contains("newest 1 spans only"), "{found}");
    tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn traces_are_found_by_several_ids() {
    let (folder, tasks, now) = (tempfile::tempdir().expect("a folder"), Tasks::new(), now());
    let bench = bench(folder.path(), &tasks);
    let spans = ["1", "ab", "3"].map(|trace| of("web", trace, "a", "", now));
    bench.spans.take(spans.into()).expect("taken");
    let (status, found) = bench.jaeger("shop", "/traces?traceID=1&traceID=AB&limit=1&traceID=77").await;
    let mut ids: Vec<_> =
        found["data"].as_array().expect("traces").iter().map(|trace| trace["traceID"].clone()).collect();
    ids.sort_by_key(Value::to_string);
    let whole = |id: &str| format!("{id:0>32}");
    assert_eq!((status, ids), (StatusCode::OK, vec![json!(whole("1")), json!(whole("ab"))]));
    assert_eq!(found["errors"], json!([{"msg": "trace not found", "traceID": whole("77")}]));
    let many: Vec<String> = (0..2000).map(|id| format!("traceID={id:x}")).collect();
    let (status, said) = bench.jaeger("shop", &format!("/traces?{}", many.join("&"))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    tasks.shutdown(Duration::from_secs(120)).await;
}
