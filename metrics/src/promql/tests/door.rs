//! The HTTP API: its shapes, its errors, and what which user sees.

use std::sync::Arc;

use axum::{Extension, Router, body::Body, http::Request};
use serde_json::{Value as Json, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};
use tower::ServiceExt;

use super::*;
use crate::{
    promql::routes,
    series::{Exemplar, Meta, MetricKind},
};

/// `admin` may list everything everywhere, `anna` in the namespace shop, `otto` nowhere; `vera` may
/// list Pods everywhere.
struct Rules;

impl Authorizer for Rules {
    fn authorize(&self, user: &UserInfo, asked: &Attributes) -> Result<(), String> {
        let Attributes::Resource { namespace, resource, .. } = asked else { return Err("no".into()) };
        let may = match user.name.as_str() {
            "admin" => true,
            "anna" => namespace == "shop",
            "vera" => resource == "pods",
            _ => false,
        };
        if may { Ok(()) } else { Err("no".into()) }
    }
}

fn filled() -> Store {
    let now = jiff::Timestamp::now().as_millisecond();
    let store = Store::in_memory(series::Limits::default());
    for text in [
        r#"requests_total{namespace="shop", pod="a"}"#,
        r#"requests_total{namespace="bank", pod="b"}"#,
        r#"node_load{node="one"}"#,
        r#"secret_total{namespace="bank"}"#,
    ] {
        let series = store.resolve(&labels(text)).expect("taken");
        for (place, time) in (now - 60_000..now).step_by(10_000).enumerate() {
            store.append(&[Sample { series, time, value: Value::Number(place as f64) }]);
        }
        let labels = Labels::new([("trace_id", "t")]);
        store.add_exemplar(series, Exemplar { time: now - 1500, value: 0.5, labels });
    }
    store.describe_own(
        "requests_total",
        Meta { kind: MetricKind::Counter, help: "Requests.".into(), unit: String::new() },
    );
    store.describe_own(
        "secret_total",
        Meta { kind: MetricKind::Counter, help: "Hush.".into(), unit: String::new() },
    );
    store
}

fn door(user: Option<&str>) -> Router {
    let router = routes(Arc::new(filled()), Arc::new(Rules));
    match user {
        Some(name) => router.layer(Extension(UserInfo::named(name, &[]))),
        None => router,
    }
}

async fn send(user: Option<&str>, request: Request<Body>) -> (u16, String) {
    let response = door(user).oneshot(request).await.expect("answered");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

async fn get(user: &str, path: &str) -> (u16, Json) {
    let request = Request::get(format!("/prometheus{path}")).body(Body::empty()).expect("a request");
    let (status, body) = send(Some(user), request).await;
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}")))
}

#[tokio::test]
async fn queries_are_answered_by_get_and_by_form() {
    let (status, answer) = get("admin", "/api/v1/query?query=sum(requests_total)").await;
    assert_eq!(
        (status, &answer["status"], &answer["data"]["resultType"]),
        (200, &json!("success"), &json!("vector"))
    );
    assert_eq!(answer["data"]["result"][0]["value"][1], "10");
    let now = jiff::Timestamp::now().as_second();
    let form = format!("query=node_load&start={}&end={now}&step=15s", now - 30);
    let request = Request::post("/prometheus/api/v1/query_range")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("a request");
    let (status, body) = send(Some("admin"), request).await;
    let answer: Json = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["data"]["resultType"]), (200, &json!("matrix")));
    assert_eq!(answer["data"]["result"][0]["metric"], json!({"__name__": "node_load", "node": "one"}));
    assert_eq!(answer["data"]["result"][0]["values"].as_array().map(Vec::len), Some(3));
    let (_, formatted) = get("admin", "/api/v1/format_query?query=sum%20by(a)(up)").await;
    assert_eq!(formatted["data"], "sum by (a) (up)");
    let (_, tree) = get("admin", "/api/v1/parse_query?query=sum%20by(a)(up)").await;
    let data = &tree["data"];
    let told = (&tree["status"], &data["type"], &data["grouping"], &data["expr"]["name"]);
    assert_eq!(told, (&json!("success"), &json!("aggregation"), &json!(["a"]), &json!("up")));
    let (_, noted) = get("admin", "/api/v1/query?query=rate(node_load[1m])").await;
    assert!(
        noted["infos"][0].as_str().is_some_and(|info| info.contains("might not be a counter")),
        "{noted}"
    );
}

#[tokio::test]
async fn a_large_answer_comes_in_parts_and_whole() {
    let now = jiff::Timestamp::now().as_second();
    let query = "%7B__name__%3D~%22requests_total|node_load|secret_total%22%7D%20or%20vector(1)";
    let path = format!("/api/v1/query_range?query={query}&start={}&end={now}&step=1", now - 10_999);
    let request = Request::get(format!("/prometheus{path}")).body(Body::empty()).expect("a request");
    let response = door(Some("admin")).oneshot(request).await.expect("answered");
    assert_eq!(response.headers().get("content-length"), None, "nobody knows its length");
    let answer = get("admin", &path).await.1;
    let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
    assert_eq!((result.len(), &answer["status"]), (5, &json!("success")));
    let ones = result.iter().find(|series| series["metric"] == json!({})).expect("the vector");
    assert_eq!(ones["values"].as_array().map(Vec::len), Some(11_000));
}

#[tokio::test]
async fn errors_have_their_kinds_and_say_where() {
    let check = async |path: &str, code: u16, kind: &str, has: &str| {
        let (status, answer) = get("admin", path).await;
        let sentence = answer["error"].as_str().unwrap_or_default().to_owned();
        assert_eq!((status, &answer["errorType"]), (code, &json!(kind)), "{path}: {answer}");
        assert!(sentence.contains(has), "{path}: {sentence}");
    };
    check("/api/v1/query?query=rtae(up[5m])", 400, "bad_data", "1:1: parse error: unknown function").await;
    check("/api/v1/query", 400, "bad_data", "\"query\"").await;
    check("/api/v1/query?query=up&time=never", 400, "bad_data", "never").await;
    check("/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "before start").await;
    check("/api/v1/query_range?query=up&start=1&end=2&step=0", 400, "bad_data", "zero or negative").await;
    check("/api/v1/query_range?query=up&start=1&end=99999&step=1", 400, "bad_data", "11000").await;
    check("/api/v1/series", 400, "bad_data", "match[]").await;
    check("/api/v1/parse_query", 400, "bad_data", "\"query\"").await;
    check("/api/v1/parse_query?query=sum(up", 400, "bad_data", "parameter \"query\": 1:7: parse").await;
    let alternatives = "/api/v1/parse_query?query={a=%221%22%20or%20b=%221%22}";
    check(alternatives, 400, "bad_data", "not part of PromQL").await;
    check(
        "/api/v1/query?query=label_replace(requests_total,%22pod%22,%22%22,%22%22,%22%22)-on()requests_total",
        422,
        "execution",
        "many-to-many",
    )
    .await;
    let (_, answer) = get("admin", "/api/v1/query?query=request_total").await;
    assert!(answer["infos"][0].as_str().is_some_and(|info| info.contains("\"requests_total\"")), "{answer}");
    let request = Request::get("/prometheus/api/v1/labels").body(Body::empty()).expect("a request");
    assert_eq!(send(None, request).await.0, 401);
}

#[tokio::test]
async fn abuse_29_a_user_sees_series_of_their_namespaces_only() {
    for (user, pods, names, loads) in [
        ("admin", json!(["a", "b"]), json!(["node_load", "requests_total", "secret_total"]), 1),
        ("anna", json!(["a"]), json!(["requests_total"]), 0),
        ("otto", json!([]), json!([]), 0),
    ] {
        assert_eq!(get(user, "/api/v1/label/pod/values").await.1["data"], pods, "{user}");
        assert_eq!(get(user, "/api/v1/label/__name__/values").await.1["data"], names, "{user}");
        let count = pods.as_array().map_or(0, Vec::len);
        let results =
            async |path: &str| get(user, path).await.1["data"]["result"].as_array().map_or(0, Vec::len);
        assert_eq!(results("/api/v1/query?query=requests_total").await, count, "{user}");
        assert_eq!(results("/api/v1/query?query=node_load").await, loads, "{user}");
        assert_eq!(
            results("/api/v1/query?query=count({__name__!=%22%22})%3E0").await,
            usize::from(count > 0),
            "{user}"
        );
        let series = get(user, "/api/v1/series?match[]=requests_total&match[]={pod=%22a%22}").await.1;
        assert_eq!(series["data"].as_array().map(Vec::len), Some(count), "{user}");
        let exemplars = get(user, "/api/v1/query_exemplars?query=rate(requests_total[5m])").await.1;
        assert_eq!(exemplars["data"].as_array().map(Vec::len), Some(count), "{user}: {exemplars}");
        let metadata = get(user, "/api/v1/metadata").await.1;
        assert_eq!(metadata["data"].get("secret_total").is_some(), user == "admin", "{user}: {metadata}");
        assert_eq!(metadata["data"].get("requests_total").is_some(), count > 0, "{user}: {metadata}");
        let request = Request::get("/prometheus/federate?match[]={__name__=~%22.%2B%22}").body(Body::empty());
        let (_, text) = send(Some(user), request.expect("a request")).await;
        assert_eq!(text.contains("secret_total"), user == "admin", "{user}: {text}");
        assert_eq!(text.contains("pod=\"a\""), count > 0, "{user}: {text}");
    }
}

#[tokio::test]
async fn abuse_29_names_of_objects_are_seen_by_who_may_list_them() {
    let now = jiff::Timestamp::now().as_millisecond();
    let store = Store::in_memory(series::Limits::default());
    for text in [
        r#"kube_secret_info{namespace="shop", secret="hush"}"#,
        r#"kube_secret_info{namespace="bank", secret="hush"}"#,
        r#"up{namespace="shop"}"#,
        r#"node_load{node="one"}"#,
    ] {
        let series = store.resolve(&labels(text)).expect("taken");
        store.append(&[Sample { series, time: now - 1000, value: Value::Number(1.0) }]);
    }
    for metric in ["kube_secret_info", "node_load"] {
        store.describe_own(metric, Meta::default());
    }
    let routes = routes(Arc::new(store), Arc::new(Rules));
    for (user, secrets, all, told) in
        [("admin", 2, 4, 2), ("anna", 1, 2, 1), ("vera", 0, 2, 1), ("otto", 0, 0, 0)]
    {
        let routes = routes.clone().layer(Extension(UserInfo::named(user, &[])));
        let asked = async |path: &str| {
            let request = Request::get(format!("/prometheus/api/v1/{path}")).body(Body::empty());
            let response = routes.clone().oneshot(request.expect("a request")).await.expect("answered");
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
            serde_json::from_slice::<Json>(&body).expect("JSON")["data"].clone()
        };
        let found = async |query: &str| {
            asked(&format!("query?query={query}")).await["result"].as_array().map(Vec::len)
        };
        assert_eq!(found("kube_secret_info").await, Some(secrets), "{user}");
        assert_eq!(found("{__name__!=%22%22}").await, Some(all), "{user}");
        let series = asked("series?match[]={__name__!=%22%22}").await;
        assert_eq!(series.as_array().map(Vec::len), Some(all), "{user}: {series}");
        let metadata = asked("metadata").await;
        assert_eq!(metadata.as_object().map(|found| found.len()), Some(told), "{user}: {metadata}");
    }
}

#[tokio::test]
async fn abuse_29_what_a_namespace_says_of_a_metric_is_seen_where_its_series_are() {
    let store = filled();
    let says = |namespace: &str, metric: &str, help: &str| {
        let meta = Meta { kind: MetricKind::Gauge, help: help.into(), unit: String::new() };
        store.describe(namespace, metric, meta);
    };
    says("bank", "requests", "The bank's.");
    says("shop", "requests", "The shop's.");
    // The same word again is one, and of a metric that a namespace does not have there is none.
    says("bank", "requests_total", "The shop's.");
    says("shop", "requests_total", "The shop's.");
    says("shop", "secret_total", "The shop's.");
    let routes = routes(Arc::new(store), Arc::new(Rules));
    let told = async |user: &str, metric: &str| {
        let routes = routes.clone().layer(Extension(UserInfo::named(user, &[])));
        let path = format!("/prometheus/api/v1/metadata?metric={metric}");
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = routes.oneshot(request).await.expect("answered");
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
        let answer = serde_json::from_slice::<Json>(&body).expect("JSON");
        let words = answer["data"][metric].as_array().cloned().unwrap_or_default();
        words.iter().map(|word| word["help"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("admin", "requests").await, ["The bank's.", "The shop's."]);
    assert_eq!(told("anna", "requests").await, ["The shop's."]);
    assert_eq!(told("vera", "requests").await, ["The bank's.", "The shop's."]);
    assert!(told("otto", "requests").await.is_empty());
    assert_eq!(told("anna", "requests_total").await, ["Requests.", "The shop's."]);
    assert_eq!(told("admin", "requests_total").await, ["Requests.", "The shop's."]);
    assert_eq!(told("admin", "secret_total").await, ["Hush."]);
    assert!(told("anna", "secret_total").await.is_empty());
}

#[tokio::test]
async fn labels_and_the_rest_are_told() {
    let (_, labels) = get("admin", "/api/v1/labels").await;
    assert_eq!(labels["data"], json!(["__name__", "namespace", "node", "pod"]));
    let (_, some) = get("admin", "/api/v1/labels?match[]=node_load&limit=1").await;
    assert_eq!((&some["data"], some["warnings"].as_array().map(Vec::len)), (&json!(["__name__"]), Some(1)));
    let (_, metadata) = get("admin", "/api/v1/metadata?metric=requests_total").await;
    let expected = json!({"requests_total": [{"type": "counter", "help": "Requests.", "unit": ""}]});
    assert_eq!(metadata["data"], expected);
    let (_, exemplars) = get("admin", "/api/v1/query_exemplars?query=node_load").await;
    assert_eq!(exemplars["data"][0]["exemplars"][0]["value"], "0.5", "{exemplars}");
    assert_eq!(get("admin", "/api/v1/alerts").await.1["data"], json!({"alerts": []}));
    assert!(get("admin", "/api/v1/status/buildinfo").await.1["data"]["version"].is_string());
    let request = Request::get("/prometheus/-/healthy").body(Body::empty()).expect("a request");
    assert_eq!(send(Some("admin"), request).await, (200, "healthy\n".to_owned()));
}
