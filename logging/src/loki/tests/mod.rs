//! Loki's API over real collectors: the calls that Grafana's data source and logcli make.

mod compare;
mod grafana;
mod rights;
mod tail;

use axum::{Extension, body::Body};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tiphys_api::auth::UserInfo;
use tower::ServiceExt;

use super::{params::decoded, router};
use crate::{record::Level, root::tests::TestCluster, time::SECOND};

/// The time of the first line: a full minute.
const BEGIN: i64 = 1_700_000_040 * SECOND;

/// For a query string.
fn encoded(text: &str) -> String {
    let code = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    let text: String = text.bytes().map(code).collect();
    assert!(!decoded(&text).is_empty() || text.is_empty());
    text
}

/// Parameters in the order given.
fn with(path: &str, params: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    format!("/tiphys/loki/loki/api/v1/{path}?{}", pairs.join("&"))
}

/// What a user gets; JSON, or text as a JSON string.
async fn get(cluster: &TestCluster, user: Option<UserInfo>, uri: &str) -> (StatusCode, Value) {
    let request = Request::get(uri).body(Body::empty()).expect("a request");
    let router = router(cluster.root.clone());
    let response = match user {
        Some(user) => router.layer(Extension(user)).oneshot(request).await,
        None => router.oneshot(request).await,
    };
    let response = response.expect("an answer");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
}

/// Two nodes; web's JSON lines, db's logfmt lines; a line each ten seconds for two minutes.
async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(2, 0).await;
    for at in 0..12i64 {
        let time = BEGIN + at * 10 * SECOND;
        let status = if at % 4 == 0 { 503 } else { 200 };
        let level = if at % 4 == 0 { Level::Error } else { Level::Info };
        let body = format!(
            r#"{{"status":{status},"took":"{}ms","path":"/a/{at}","user":{{"id":"u{at}"}}}}"#,
            at * 10
        );
        cluster.nodes[(at % 2) as usize].write("shop/web-1", time, at as u64, level, &body);
        let body = format!("msg=\"query done\" rows={at} took={}ms", at * 5);
        cluster.nodes[0].write("ops/db-1", time + 1, at as u64, Level::Warn, &body);
    }
    cluster
}
