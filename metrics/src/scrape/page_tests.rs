//! The pages of what is scraped: their shapes, and whose targets a user sees there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{Extension, Router, body::Body, http::Request, routing::get};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tiphys_api::auth::UserInfo;
use tower::ServiceExt;

use super::{
    discover::{Dropped, Found, Problem},
    loop_tests::{api, bench, serve},
    page,
    target::{Target, target, tests::job},
};
use crate::sql::tests::ByName;

const TOLD: &str =
    "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 1\n# TYPE temp gauge\ntemp 2\n";

fn of(namespace: &str, address: &str, interval: Duration) -> Target {
    let mut job = job(json!([]));
    job.name = format!("podMonitor/{namespace}/m/0");
    job.interval = interval;
    let discovered = [("__address__", address), ("namespace", namespace)];
    let discovered = discovered.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    target(&Arc::new(job), discovered).expect("an address").expect("kept")
}

async fn ask(routes: &Router, user: &str, path: &str) -> (u16, Value) {
    let routes = routes.clone().layer(Extension(UserInfo::named(user, &[])));
    let request = Request::get(format!("/prometheus/api/v1/{path}")).body(Body::empty()).expect("a request");
    let response = routes.oneshot(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn what_targets_say_of_their_metrics_and_their_pools_are_told_to_who_sees_them() {
    let bench = bench(api(BTreeMap::new()));
    let address = serve(Router::new().route("/metrics", get(async || TOLD)), &bench.tasks).await.to_string();
    let often = Duration::from_millis(100);
    bench.pool.sync(vec![of("shop", &address, often), of("bank", &address, often)]);
    let scraped = async {
        while bench.pool.said().iter().any(|(_, said)| said.of(None).len() < 2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), scraped).await.expect("both are scraped");
    let mut found = Found::default();
    let (pool, namespace) = ("serviceMonitor/shop/web/0".to_owned(), "shop".to_owned());
    found.dropped.push(Dropped { pool, namespace, discovered: BTreeMap::new() });
    let (pool, namespace) = ("serviceMonitor/bank/x".to_owned(), "bank".to_owned());
    found.problems.push(Problem { pool, namespace, message: "the spec is wrong".into() });
    let routes = page::routes(bench.pool.clone(), Arc::new(Mutex::new(found)), Arc::new(ByName));
    let labels = |namespace: &str| json!({"instance": address, "job": format!("podMonitor/{namespace}/m/0"), "namespace": namespace});
    let orders = |namespace: &str| {
        json!({"target": labels(namespace), "metric": "orders_total", "type": "counter", "help": "Orders.",
            "unit": ""})
    };
    let temp = |namespace: &str| json!({"target": labels(namespace), "metric": "temp", "type": "gauge", "help": "", "unit": ""});
    let mut unnamed = temp("shop");
    unnamed.as_object_mut().expect("an object").remove("metric");
    for (user, query, data) in [
        ("shop", "", json!([orders("shop"), temp("shop")])),
        ("nobody", "", json!([])),
        ("admin", "?match_target=%7Bnamespace%3D%22bank%22%7D", json!([orders("bank"), temp("bank")])),
        ("admin", "?match_target=%7Bjob%3D~%22x.*%22%7D", json!([])),
        ("shop", "?metric=temp", json!([unnamed])),
        ("shop", "?metric=none", json!([])),
        // A target's entries come all or not at all.
        ("admin", "?limit=1", json!([orders("bank"), temp("bank")])),
        ("admin", "?limit=0", json!([])),
        ("shop", "?limit=-1", json!([orders("shop"), temp("shop")])),
    ] {
        let expected = json!({"status": "success", "data": data});
        assert_eq!(ask(&routes, user, &format!("targets/metadata{query}")).await, (200, expected), "{query}");
    }
    for (query, why) in [("limit=x", "limit must be a number"), ("match_target=sum(up)", "match_target")] {
        let (status, answer) = ask(&routes, "admin", &format!("targets/metadata?{query}")).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert_eq!((status, &answer["errorType"]), (400, &json!("bad_data")), "{answer}");
        assert!(error.contains(why), "{answer}");
    }
    let all =
        ["podMonitor/bank/m/0", "podMonitor/shop/m/0", "serviceMonitor/bank/x", "serviceMonitor/shop/web/0"];
    for (user, pools) in [("admin", json!(all)), ("shop", json!([all[1], all[3]])), ("nobody", json!([]))] {
        let expected = json!({"status": "success", "data": {"scrapePools": pools}});
        assert_eq!(ask(&routes, user, "scrape_pools").await, (200, expected), "{user}");
    }
    let request = Request::get("/prometheus/api/v1/scrape_pools").body(Body::empty()).expect("a request");
    assert_eq!(routes.clone().oneshot(request).await.expect("answered").status().as_u16(), 401);
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}

#[tokio::test]
async fn abuse_35_what_targets_say_of_their_metrics_has_an_end() {
    let bench = bench(api(BTreeMap::new()));
    // Each target says about a mebibyte.
    let help = "x".repeat(4000);
    let told: String = (0..255).map(|n| format!("# HELP m{n} {help}\n")).collect();
    let told = axum::body::Bytes::from(told);
    let router = Router::new().route("/metrics", get(async move || told.clone()));
    let address = serve(router, &bench.tasks).await.to_string();
    let targets = (0..40).map(|n| of(&format!("n{n:02}"), &address, Duration::from_secs(2)));
    bench.pool.sync(targets.collect());
    let scraped = async {
        while bench.pool.said().iter().any(|(_, said)| said.of(None).len() < 255) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), scraped).await.expect("all are scraped");
    let routes = page::routes(bench.pool.clone(), Arc::default(), Arc::new(ByName));
    let routes = routes.layer(Extension(UserInfo::named("admin", &[])));
    let ask = async |query: &str| {
        let path = format!("/prometheus/api/v1/targets/metadata{query}");
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = routes.clone().oneshot(request).await.expect("answered");
        let body = axum::body::to_bytes(answer.into_body(), 64 << 20).await.expect("not larger");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        (answer["data"].as_array().map_or(0, Vec::len), answer["warnings"].is_array())
    };
    let (entries, is_warned) = ask("").await;
    assert!(is_warned && entries > 20 * 255 && entries < 40 * 255, "{entries}");
    assert_eq!(ask("?metric=m7").await, (40, false));
    assert_eq!(ask("?match_target=%7Bnamespace%3D%22n05%22%7D").await, (255, false));
    bench.tasks.shutdown(Duration::from_secs(120)).await;
}
